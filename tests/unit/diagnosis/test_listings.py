"""A listing tells of the key, its organization and project only; no answer at all is the network's."""

import json

import pytest

from monitor.access.diagnosis import diagnose, read_listing
from monitor.access.observation import Failure, Observation
from monitor.access.words import Code, Effect, ProbeKind

LIST = {"object": "list", "data": [{"id": "gpt-image-2", "object": "model"}]}


def _listing(status, body, **fields):
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Observation(status, {}, raw, kind=ProbeKind.LISTING, **fields)


def _error(message, code=None):
    return {"error": {"message": message, "type": "invalid_request_error", "code": code}}


def test_a_model_list_says_that_the_key_is_fine():
    assert read_listing(_listing(200, LIST)) is None


def test_a_list_longer_than_our_cap_is_a_list():
    cut = json.dumps({"object": "list", "data": LIST["data"] * 900}).encode()[:20_000]
    assert read_listing(_listing(200, cut, truncated=True)) is None
    assert read_listing(_listing(200, cut)) is not None


@pytest.mark.parametrize(
    ("status", "body", "code"),
    [
        (401, _error("Incorrect API key provided", "invalid_api_key"), Code.INVALID_CREDENTIALS),
        (
            401,
            _error("OpenAI-Organization header should match organization for API key"),
            Code.ORGANIZATION_MISMATCH,
        ),
        (401, _error("gone", "account_deactivated"), Code.ACCOUNT_DEACTIVATED),
        (403, _error("Country, region, or territory is none of ours"), Code.REGION_BLOCKED),
        (429, _error("Too many requests"), Code.RATE_LIMITED),
        (500, _error("The server had an error"), Code.SERVER_ERROR),
        # What is about a model or a path says nothing of the target's own request.
        (404, _error("Invalid URL (GET /models)"), Code.UNRECOGNIZED),
        (403, _error("Missing scopes: api.model.read"), Code.UNRECOGNIZED),
        (404, _error("The model does not exist", "model_not_found"), Code.UNRECOGNIZED),
        (
            200,
            {"choices": [{"finish_reason": "stop", "message": {"content": "hi"}}]},
            Code.UNRECOGNIZED,
        ),
        (200, {"data": [], "error": {"message": "The server had an error"}}, Code.SERVER_ERROR),
    ],
)
def test_anything_else_is_blocked_or_inconclusive(status, body, code):
    found = read_listing(_listing(status, body))
    assert found is not None
    assert found.code is code


@pytest.mark.parametrize("status", [200, 403, 404])
@pytest.mark.parametrize(
    "body",
    [
        LIST,
        {"data": [{"b64_json": "iVBORw0KGgo="}]},
        _error("Your organization must be verified to use the model `gpt-image-2`."),
        _error("Your organization could not be verified."),
    ],
)
def test_a_listing_is_never_conclusive(status, body):
    listed = _listing(status, body)
    read = read_listing(listed)
    assert read is None or not read.effect.conclusive
    assert diagnose(listed).effect in (Effect.BLOCKED, Effect.INCONCLUSIVE)


@pytest.mark.parametrize("kind", list(ProbeKind))
@pytest.mark.parametrize("failure", list(Failure))
def test_no_answer_is_a_network_error_that_names_the_failure(kind, failure):
    observation = Observation(None, failure=failure, failure_text="went\nwrong", kind=kind)
    found = diagnose(observation)
    assert found.code is Code.NETWORK_ERROR
    assert (found.rule, found.message) == (f"no_answer_{failure}", "went wrong")
    assert read_listing(Observation(None, failure=failure)) is not None


def test_a_cut_answer_is_a_network_error_even_with_a_status():
    assert diagnose(Observation(200, failure=Failure.CUT)).code is Code.NETWORK_ERROR
