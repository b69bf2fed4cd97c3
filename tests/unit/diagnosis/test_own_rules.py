"""Rules of the users' own: before the built-in ones, never over a proven success."""

import base64
import json

import pytest

from monitor.access.diagnosis import diagnose, read_listing
from monitor.access.diagnosis.own_rule import OwnRule
from monitor.access.observation import Failure, Observation
from monitor.access.words import Code, Effect, Gate, ProbeKind, Surface

ERROR = {"message": "Kettle is Busy, try later", "type": "relay_error", "code": "K1", "param": "N"}


def answer(status=418, error=ERROR, **fields):
    body = error if isinstance(error, bytes) else json.dumps({"error": error}).encode()
    return Observation(status, {}, body, **fields)


@pytest.mark.parametrize(
    "named",
    [
        {"status": 418},
        {"code": "k1"},
        {"type": "Relay_Error"},
        {"param": "n"},
        {"message_contains": "kettle is  BUSY"},
        {
            "status": 418,
            "code": "K1",
            "type": "relay_error",
            "param": "N",
            "message_contains": "try",
        },
    ],
)
def test_each_thing_that_a_rule_names_is_compared(named):
    found = diagnose(answer(), [OwnRule(Code.RATE_LIMITED, **named)])
    assert (found.code, found.rule, found.message) == (
        Code.RATE_LIMITED,
        "settings_rule_1",
        ERROR["message"],
    )
    assert found.owner is Code.RATE_LIMITED.owner


@pytest.mark.parametrize(
    "named",
    [{"status": 403}, {"code": "k"}, {"type": "k1"}, {"param": "x"}, {"message_contains": "k.*y"}],
)
def test_all_of_it_must_be_so(named):
    rule = OwnRule(Code.RATE_LIMITED, **({"message_contains": "busy"} | named))
    assert diagnose(answer(), [rule]).code is not Code.RATE_LIMITED


def test_a_status_that_is_not_known_is_not_the_one_that_a_rule_names():
    rule = OwnRule(Code.RATE_LIMITED, status=418)
    assert diagnose(answer(None), [rule]).code is not Code.RATE_LIMITED


def test_the_first_rule_that_matches_wins_over_the_others_and_the_built_in_ones():
    refusal = ERROR | {"message": "Your organization must be verified to use the model `m`."}
    rules = [
        OwnRule(Code.BAD_REQUEST, status=500),
        OwnRule(Code.PROJECT_DENIED, code="K1"),
        OwnRule(Code.RATE_LIMITED, code="K1"),
    ]
    assert diagnose(answer(403, refusal)).code is Code.VERIFICATION_REQUIRED
    found = diagnose(answer(403, refusal), rules)
    assert (found.code, found.rule) == (Code.PROJECT_DENIED, "settings_rule_2")


def test_a_numeric_code_is_compared_by_its_digits():
    relay = json.dumps({"code": 40301, "message": "not for you"}).encode()
    rule = OwnRule(Code.MISSING_SCOPE, code="40301")
    assert diagnose(answer(200, relay), [rule]).code is Code.MISSING_SCOPE


def test_a_rule_sees_the_error_inside_a_wrapper_and_in_a_repr():
    wrapped = {"message": "upstream said: " + json.dumps({"error": ERROR})}
    loose = f"Error code: 418 - {{'error': {ERROR!r}}}".encode()
    rule = OwnRule(Code.RATE_LIMITED, code="K1", type="relay_error")
    assert diagnose(answer(500, wrapped), [rule]).code is Code.RATE_LIMITED
    assert diagnose(answer(None, loose), [rule]).code is Code.RATE_LIMITED


def test_a_rule_that_means_the_gate_says_which():
    stream = {"message": "join the club", "param": "stream"}
    rule = OwnRule(Code.VERIFICATION_REQUIRED, message_contains="the club")
    assert diagnose(answer(400, stream), [rule]).gate is Gate.STREAM


def test_a_page_is_searched_for_a_phrase():
    page = b"<html><title>Firewall</title>Ask ACME-IT for the proxy</html>"
    rule = OwnRule(Code.NETWORK_ERROR, message_contains="ask acme-it")
    assert diagnose(answer(403, page), [rule]).code is Code.NETWORK_ERROR


def test_a_proven_success_stays_one_and_an_unproven_one_does_not():
    png = base64.b64encode(b"\x89PNG\r\n\x1a\n").decode()
    rules = [OwnRule(Code.PROJECT_DENIED, status=200)]
    asked = {"surface": Surface.IMAGES, "model": "gpt-image-2"}
    proven = json.dumps({"created": 1, "data": [{"b64_json": png}]}).encode()
    assert diagnose(answer(200, proven, **asked), rules).effect is Effect.GRANTED
    empty = json.dumps({"created": 1, "data": []}).encode()
    assert diagnose(answer(200, empty, **asked), rules).code is Code.PROJECT_DENIED


def test_no_rule_means_granted_or_nothing_at_all():
    with pytest.raises(ValueError, match="never means granted"):
        OwnRule(Code.ACCESS_GRANTED, status=200)
    with pytest.raises(ValueError, match="needs at least one of"):
        OwnRule(Code.BAD_REQUEST)


def test_no_answer_is_the_networks_whatever_the_rules_say():
    rule = OwnRule(Code.PROJECT_DENIED, message_contains="a")
    found = diagnose(Observation(None, failure=Failure.CUT, failure_text="a"), [rule])
    assert found.code is Code.NETWORK_ERROR


def test_a_rule_never_makes_a_listing_tell_of_the_gate():
    free = answer(403, kind=ProbeKind.LISTING)
    locked = [OwnRule(Code.VERIFICATION_LOCKED, status=403)]
    key = [OwnRule(Code.INVALID_CREDENTIALS, status=403)]
    assert read_listing(free, locked).code is Code.UNRECOGNIZED
    assert read_listing(free, key).code is Code.INVALID_CREDENTIALS
    good = Observation(200, {}, b'{"object":"list","data":[]}', kind=ProbeKind.LISTING)
    assert read_listing(good, [OwnRule(Code.RATE_LIMITED, status=200)]) is None
