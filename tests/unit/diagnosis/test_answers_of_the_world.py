"""Gateways' own envelopes, edges in other classes' clothes, and sentences that terminals took apart."""

import json

import pytest

from monitor.access.words import Code

_GATE = "Your organization must be verified to stream this model."


def _vendor(number, text):
    return {"choices": None, "reply": "", "base_resp": {"status_code": number, "status_msg": text}}


OWN_ENVELOPES = [
    (200, _vendor(1008, "no money, no answer"), Code.QUOTA_EXHAUSTED),
    (200, _vendor(1002, "calm down"), Code.RATE_LIMITED),
    (200, _vendor(2049, "who are you"), Code.INVALID_CREDENTIALS),
    (200, _vendor(1026, "not these words"), Code.MODERATION_BLOCKED),
    (200, _vendor(2013, "messages are missing"), Code.BAD_REQUEST),
    (401, {"error": {"errorType": "InvalidProviderAPIKey"}, "provider": "acme"}, Code.INVALID_CREDENTIALS),
    (402, {"detail": {"code": "deactivated_workspace"}}, Code.ACCOUNT_DEACTIVATED),
    (403, {"error": {"param": json.dumps({"error": {"message": _GATE}}), "message": "failed"}},
     Code.VERIFICATION_REQUIRED),
    (422, {"object": "error", "message": {"detail": [{"loc": ["body", "store"], "msg": "not permitted"}]}},
     Code.BAD_REQUEST),
    (503, {"error": {"message": "Overloaded", "code": "insufficient_user_quota"}}, Code.QUOTA_EXHAUSTED),
    (500, {"error": {"message": "This channel is at its capacity limit", "code": "get_channel_failed"}},
     Code.SERVER_ERROR),
    (404, {"error": {"code": 404, "message": "acme-image-3 is unavailable.", "status": "NOT_FOUND"}},
     Code.MODEL_UNAVAILABLE),
    (400, {"error": "The model acme-image draws and is therefore not available on this endpoint."},
     Code.WRONG_ENDPOINT),
    (200, {"choices": [{"message": {"content": "Hel"}, "finish_reason": "error"}]}, Code.SERVER_ERROR),
]  # fmt: skip


@pytest.mark.parametrize(("status", "body", "code"), OWN_ENVELOPES)
def test_a_gateways_own_envelope_is_read(read_answer, status, body, code):
    assert read_answer(status, body).code is code


def test_a_vendors_own_status_of_zero_is_a_success(read_answer):
    body = {
        "choices": [{"message": {"content": "Hello"}, "finish_reason": "stop"}],
        "base_resp": {"status_code": 0, "status_msg": ""},
    }
    assert read_answer(200, body).code is Code.ACCESS_GRANTED


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (None, "acme.AuthenticationError: Error code: 403 - error code: 1010"),
        (None, "acme.InternalServerError: AcmeException - error code: 524"),
        (None, "acme.Error: error code: 1020 (code: 403)"),
        (403, {"title": "Error 1010: Access denied", "status": 403, "error_code": 1010}),
        (
            429,
            {"title": "You are being rate limited", "error_code": 1015, "cloudflare_error": True},
        ),
        (403, {"error": {"code": 1009, "message": "Access denied", "ray_id": "0"}}),
    ],
)
def test_an_edges_own_number_is_the_edge_whatever_class_wraps_it(read_answer, status, body):
    assert read_answer(status, body).code is Code.EDGE_ERROR


def test_a_number_of_the_vendors_is_no_edge(read_answer):
    assert read_answer(429, {"error": {"code": 1013, "message": "wait"}}).code is Code.RATE_LIMITED


@pytest.mark.parametrize(
    ("delay", "code"), [("21s", Code.RATE_LIMITED), (None, Code.QUOTA_EXHAUSTED)]
)
def test_a_delay_of_seconds_beside_a_quota_is_a_rate_limit(read_answer, delay, code):
    error = {"code": 429, "message": "You exceeded your current quota, see your plan."}
    if delay:
        error["details"] = [{"@type": "x/RetryInfo", "retryDelay": delay}]
    assert read_answer(429, {"error": error}).code is code
    assert read_answer(None, f"429 RESOURCE_EXHAUSTED. { ({'error': error}) }").code is code


@pytest.mark.parametrize(
    "paste",
    [
        "│ {'error': {'message': 'Your organization must   │\n│ be verified to stream this model.'}}   │",
        "> 400 Your organization must be\n> verified to stream\n> this model.",
        "# {'error':\n#   {'message': 'Your organization must be\n#    verified to stream this model.'}}",
        "body: '{' +\n  '\"message\": \"Your organization ' +\n  'must be verified to stream it.\"}'",
        '{"error": {"message": "Your organization\n must be verified\tto stream this model."}}',
        '"{\\"error\\": {\\"message\\": \\"Your organization must\\n be verified to stream it.\\"}}"',
        "Your organi\nzation must be veri\nfied to stream this model.",
    ],
)
def test_what_a_terminal_puts_into_a_sentence_is_taken_out(read_answer, paste):
    assert read_answer(400, paste).code is Code.VERIFICATION_REQUIRED


@pytest.mark.parametrize(
    "body",
    [
        {"result": {"error": {"message": _GATE}}},
        {"exception": "acme.Denied", "args": [str({"error": {"message": _GATE}})]},
        {
            "name": "AcmeError",
            "statusCode": 403,
            "responseBody": json.dumps({"error": {"message": _GATE}}),
        },
        {"error": {"message": "no", "details": {"acme": {"error": {"message": _GATE}}}}},
        "**Your organization** must be **verified** to stream this model",
    ],
)
def test_an_error_is_found_under_a_gateways_own_names(read_answer, body):
    assert read_answer(403, body).code is Code.VERIFICATION_REQUIRED


def test_what_was_asked_for_is_no_error(read_answer):
    asked = {"prompt": f'{{"error": "{_GATE}"}}', "messages": [{"message": _GATE}]}
    assert read_answer(403, {"message": "no", "request": asked}).code is Code.UNRECOGNIZED
