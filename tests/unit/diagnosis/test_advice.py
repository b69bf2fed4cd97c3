"""Each code has a meaning, an advice, and says whether waiting helps."""

import pytest

from monitor.access.diagnosis import advise
from monitor.access.diagnosis.rules import RULES
from monitor.access.words import Code, Effect, Gate, Owner


@pytest.mark.parametrize("code", list(Code))
def test_every_code_has_advice(code):
    advice = advise(code)
    assert advice.meaning.endswith(".")
    assert advice.advice.endswith(".")
    assert "  " not in advice.advice


def test_waiting_helps_only_where_something_may_change_by_itself():
    helped = {code for code in Code if advise(code).waiting_helps}
    assert helped == {
        Code.VERIFICATION_REQUIRED,
        Code.RATE_LIMITED,
        Code.SERVER_ERROR,
        Code.EDGE_ERROR,
        Code.NETWORK_ERROR,
    }


@pytest.mark.parametrize("gate", [None, *Gate])
def test_the_gates_advice_holds_what_people_learned(gate):
    advice = advise(Code.VERIFICATION_REQUIRED, gate).advice
    for part in ("Five causes", "24 hours", "90 days", "usage tier", "`service_tier`", "own row"):
        assert part in advice


def test_the_three_gates_are_told_apart():
    meanings = {advise(Code.VERIFICATION_REQUIRED, gate).meaning for gate in Gate}
    assert len(meanings) == 3


def test_a_failed_verification_advises_the_next_try():
    advice = advise(Code.VERIFICATION_LOCKED).advice
    assert "24 hours" in advice
    assert "90 days" in advice


def test_a_relay_without_a_channel_gets_its_own_advice():
    assert advise(Code.MODEL_UNAVAILABLE, owner=Owner.ROUTE).waiting_helps
    assert not advise(Code.MODEL_UNAVAILABLE, owner=Owner.MODEL).waiting_helps


def test_every_rule_has_a_name_of_its_own_and_a_reason():
    assert len({rule.name for rule in RULES}) == len(RULES)
    assert all(rule.why.endswith(".") for rule in RULES)


def test_no_rule_by_words_grants():
    assert all(rule.code.effect is not Effect.GRANTED for rule in RULES)


def test_phrases_are_written_as_they_are_compared():
    for rule in RULES:
        for phrase in rule.any_of:
            for part in (phrase,) if isinstance(phrase, str) else phrase:
                assert part == part.casefold()
