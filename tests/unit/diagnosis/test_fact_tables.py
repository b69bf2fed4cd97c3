"""The two tables of what is known of the gate: its answers, and what only looks like them."""

import json

import pytest

from monitor.access.words import Code, Gate, Owner

_TAIL = (
    " Please go to: https://platform.openai.com/settings/organization/general and click on Verify "
    "Organization. If you just verified, it can take up to 15 minutes for access to propagate."
)
_EARLIEST_TAIL = _TAIL.partition(" If you just")[0]
_MODEL = "Your organization must be verified to use the model `gpt-image-2`."
_STREAM = "Your organization must be verified to stream this model."
_SUMMARY = "Your organization must be verified to generate reasoning summaries."

GATES = [
    ("images", 403, None, None, _MODEL, Gate.MODEL),
    ("chat or responses", 404, None, "model_not_found", _MODEL, Gate.MODEL),
    ("stream", 400, "stream", "unsupported_value", _STREAM, Gate.STREAM),
    ("summary", 400, "reasoning.summary", "unsupported_value", _SUMMARY, Gate.SUMMARY),
]


@pytest.mark.parametrize("tail", [_TAIL, _EARLIEST_TAIL, ""], ids=["full", "earliest", "cut"])
@pytest.mark.parametrize(
    ("status", "param", "code", "message", "gate"),
    [row[1:] for row in GATES],
    ids=[row[0] for row in GATES],
)
def test_every_row_of_the_gates_table_is_the_gate(
    read_answer, error_body, status, param, code, message, gate, tail
):
    found = read_answer(status, error_body(message + tail, param=param, code=code))
    assert found.code is Code.VERIFICATION_REQUIRED
    assert found.gate is gate
    assert found.owner is Owner.ORGANIZATION
    assert found.message.startswith(message)


@pytest.mark.parametrize("status", [200, 400, 401, 403, 404, 422, 429, 500, 502, None])
@pytest.mark.parametrize("code", [None, "", "unsupported_value", "model_not_found", 403, "500"])
def test_the_vendors_sentence_decides_whatever_status_and_code_say(
    read_answer, error_body, gate_message, status, code
):
    found = read_answer(status, error_body(gate_message, code=code, param=""))
    assert (found.code, found.gate) == (Code.VERIFICATION_REQUIRED, Gate.MODEL)


@pytest.mark.parametrize("sentence", [_MODEL, _STREAM, _SUMMARY])
def test_the_gate_is_told_from_the_message_when_a_relay_drops_the_parameter(read_answer, sentence):
    found = read_answer(400, {"error": {"message": sentence, "code": "unsupported_value"}})
    expected = {_MODEL: Gate.MODEL, _STREAM: Gate.STREAM, _SUMMARY: Gate.SUMMARY}
    assert found.gate is expected[sentence]


def test_a_relays_localized_message_does_not_win(read_answer, gate_message):
    body = {"error": {"message": gate_message, "localized_message": "Unknown error", "param": ""}}
    assert read_answer(403, body).message == gate_message


def _error(message, kind="invalid_request_error", code=None, param=None):
    return json.dumps({"error": {"message": message, "type": kind, "param": param, "code": code}})


SIMILAR_ANSWERS = [
    (
        403,
        _error(
            "Project `proj_FAKE` does not have access to model `gpt-5.1`", code="model_not_found"
        ),
        Code.PROJECT_DENIED,
    ),
    (
        404,
        _error(
            "The model `gpt-5.1` does not exist or you do not have access to it.",
            code="model_not_found",
        ),
        Code.MODEL_UNAVAILABLE,
    ),
    (404, _error("The model `o1` has been deprecated."), Code.MODEL_UNAVAILABLE),
    (
        400,
        _error("Unsupported value: 'size' cannot be tiny.", code="unsupported_value", param="size"),
        Code.BAD_REQUEST,
    ),
    (
        401,
        _error(
            "OpenAI-Organization header should match organization for API key",
            code="mismatched_organization",
        ),
        Code.ORGANIZATION_MISMATCH,
    ),
    (
        401,
        _error("Not with this key. Missing scopes: model.request."),
        Code.MISSING_SCOPE,
    ),
    (
        401,
        _error("Incorrect API key provided: sk-FAKE.", code="invalid_api_key"),
        Code.INVALID_CREDENTIALS,
    ),
    (401, _error("Switched off.", code="account_deactivated"), Code.ACCOUNT_DEACTIVATED),
    (
        401,
        _error("You must be a member of an organization, and are of none."),
        Code.ORGANIZATION_MISMATCH,
    ),
    (
        403,
        _error(
            "Country, region, or territory is none of ours",
            "request_forbidden",
            "unsupported_country_region_territory",
        ),
        Code.REGION_BLOCKED,
    ),
    (403, "<!DOCTYPE html><html><title>Denied</title></html>", Code.EDGE_ERROR),
    (502, "<html><body>Bad Gateway</body></html>", Code.EDGE_ERROR),
    (429, _error("Slow down a little.", "requests", "rate_limit_exceeded"), Code.RATE_LIMITED),
    (
        429,
        _error("Rate limit exceeded, and it is none at all. Limit: 0/1min."),
        Code.TIER_UNSUPPORTED,
    ),
    *(
        (429, _error("No more for now.", code=code), Code.QUOTA_EXHAUSTED)
        for code in (
            "insufficient_quota",
            "credit_balance_exhausted",
            "organization_spend_limit_exceeded",
            "project_spend_limit_exceeded",
            "organization_usage_limit_exceeded",
            "billing_not_active",
        )
    ),
    (400, _error("Stopped.", code="billing_hard_limit_reached"), Code.QUOTA_EXHAUSTED),
    (402, _error("Pay first."), Code.QUOTA_EXHAUSTED),
    (503, _error("The engine is overloaded", "server_error"), Code.SERVER_ERROR),
    (503, _error("no channel for model gpt-image-2", "relay_error"), Code.MODEL_UNAVAILABLE),
    (400, _error("Not that picture.", code="moderation_blocked"), Code.MODERATION_BLOCKED),
    (200, json.dumps({"created": 1, "data": []}), Code.UNRECOGNIZED),
    (403, _error("You must verify a phone number first."), Code.UNRECOGNIZED),
    (401, _error("You must verify a phone number first."), Code.UNRECOGNIZED),
    (
        404,
        _error("gpt-image-2 is not a chat model; ask elsewhere."),
        Code.WRONG_ENDPOINT,
    ),
    (
        400,
        _error("The requested model 'gpt-image-2' is not supported with the Responses API."),
        Code.WRONG_ENDPOINT,
    ),
]


@pytest.mark.parametrize(("status", "body", "code"), SIMILAR_ANSWERS)
def test_every_row_of_the_similar_answers_table_is_told_apart(read_answer, status, body, code):
    found = read_answer(status, body)
    assert found.code is code
    assert found.gate is None


def test_an_error_frame_inside_a_success_is_the_error(read_answer):
    body = (
        'event: error\ndata: {"error": {"message": "Slow down", "code": "rate_limit_exceeded"}}\n\n'
    )
    assert read_answer(200, body).code is Code.RATE_LIMITED


def test_a_relay_without_a_channel_owns_the_problem(read_answer, error_body):
    found = read_answer(503, error_body("no channel for model gpt-image-2"))
    assert found.owner is Owner.ROUTE


@pytest.mark.parametrize("status", [500, 502, 503])
def test_an_outage_that_guesses_at_verification_is_an_outage(read_answer, error_body, status):
    found = read_answer(status, error_body("We are broken; did you verify your organization?"))
    assert found.code is Code.SERVER_ERROR


def test_a_weaker_wording_of_the_gate_counts_where_it_is_a_refusal(read_answer, error_body):
    found = read_answer(403, error_body("To go on, please verify your organization."))
    assert found.code is Code.VERIFICATION_REQUIRED


def test_the_gates_own_code_is_enough_without_a_message(read_answer):
    found = read_answer(403, {"error": {"code": "organization_verification_required"}})
    assert (found.code, found.gate) == (Code.VERIFICATION_REQUIRED, Gate.MODEL)


@pytest.mark.parametrize(
    "message",
    [
        "Verification is currently not available for your organization.",
        "Your organization could not be verified.",
        "Organization could not be verified",
        "Your organisation could not be verified.",
        "Your organization's verification has failed.",
        "Your organization's verification was rejected.",
        "Organization's verification failed",
        "Organisation verification failed.",
        "Organization verification was unsuccessful.",
        "Your organization verification has been denied. You may try again in 24 hours",
        "The verification of your organization failed.",
        "Verification failed for your organization.",
        "Your organization failed verification.",
        "Your organization is not verified. Verification status: failed",
    ],
)
def test_a_plain_statement_that_verification_failed_is_locked(read_answer, error_body, message):
    assert read_answer(403, error_body(message)).code is Code.VERIFICATION_LOCKED


@pytest.mark.parametrize(
    ("status", "message"),
    [
        (
            403,
            "Your phone could not be verified; organization verification is not available by phone.",
        ),
        (403, "If your organization could not be verified, write to support."),
        (401, "Organization could not be verified for this API key header."),
        (503, "Verification is currently not available, try again."),
        (429, "Verification is currently not available."),
        (403, "Your key could not be verified."),
        (403, "User is not eligible for this verification"),
        (500, "Organization could not be verified"),
        (403, "Your organization cannot be verified because tenant acme is not in the list"),
        (403, "Organization verification failed: acme was not found in the directory"),
        (403, "Organization verification failed. Please try again"),
        (403, "Verification failed for your organization's domain."),
        (403, "The verification of your organization's webhook failed."),
        (403, "Your organization failed verification of its address."),
        (403, "If the verification of your organization failed, write to support."),
        (403, "Your organization is not verified. Verification status: pending"),
        (401, "The verification of your organization failed."),
    ],
)
def test_what_only_resembles_a_failed_verification_is_not_locked(
    read_answer, error_body, status, message
):
    assert read_answer(status, error_body(message)).code is not Code.VERIFICATION_LOCKED


def test_prose_in_a_success_is_never_locked(read_answer):
    assert read_answer(200, "Organization could not be verified").code is Code.UNRECOGNIZED


def test_the_gate_wins_over_the_advice_that_follows_it(read_answer, error_body, gate_message):
    advice = " If your organization could not be verified, see the help center."
    assert read_answer(403, error_body(gate_message + advice)).code is Code.VERIFICATION_REQUIRED
