"""Each code has a meaning, an advice, and says whether waiting helps."""

import pytest

from monitor.access.diagnosis import advise
from monitor.access.words import Code, Gate, Owner


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
