"""Each code has a meaning, an advice, and says whether waiting helps."""

import re

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


@pytest.mark.parametrize("code", list(Code))
def test_advice_is_three_sentences_at_most_and_of_its_own_diagnosis(code):
    advice = advise(code)
    assert len(re.findall(r"[.](?= |$)", advice.advice)) <= 4
    assert advice.background == "" or advice.background.endswith(".")
    said = f"{advice.meaning} {advice.advice} {advice.background}"
    assert ("90 days" in said) == (code is Code.VERIFICATION_LOCKED)
    assert ("`service_tier`" in said) == (code is Code.TIER_UNSUPPORTED)


@pytest.mark.parametrize("gate", [None, *Gate])
def test_the_gates_advice_is_to_check_to_verify_and_to_wait(gate):
    advice = advise(Code.VERIFICATION_REQUIRED, gate)
    for part in ("is verified", "verify it", "wait"):
        assert part in advice.advice
    assert "No usage tier opens this gate." in advice.background


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
