"""Rules of one's own in the settings file."""

from collections.abc import Callable

import pytest

from monitor.access.diagnosis.own_rule import OwnRule
from monitor.access.words import Code
from monitor.config import Settings, SettingsError, show

KEY = '[[keys]]\nname = "acme"\nsecret = "env:OPENAI_API_KEY"\nwatch = ["gpt-image-2"]\n'

Load = Callable[[str], Settings]


def test_rules_are_kept_in_their_order_with_what_they_name(settings_of: Load) -> None:
    settings = settings_of(
        KEY + '[[rules]]\ndiagnosis = "rate_limited"\nstatus = 418\nmessage_contains = "Busy "\n'
        '[[rules]]\ndiagnosis = "verification_locked"\ncode = "40301"\ntype = "t"\nparam = "p"\n'
    )
    assert settings.rules == (
        OwnRule(Code.RATE_LIMITED, status=418, message_contains="Busy"),
        OwnRule(Code.VERIFICATION_LOCKED, code="40301", type="t", param="p"),
    )
    assert show(settings)["rules"][0] == {
        "diagnosis": "rate_limited",
        "status": 418,
        "message_contains": "Busy",
    }
    assert settings.warnings == ()


def test_without_any_there_are_none(settings_of: Load) -> None:
    assert settings_of(KEY).rules == ()


@pytest.mark.parametrize(
    ("rule", "said"),
    [
        ('diagnosis = "access_granted"\nstatus = 200', "a rule never means granted"),
        ('diagnosis = "rate_limited"', "needs at least one of: status, code, type, param, mess"),
        ('diagnosis = "rate_limit"\nstatus = 418', 'did you mean "rate_limited"?'),
        ("status = 418", "rules[0].diagnosis: is missing"),
        ('diagnosis = "bad_request"\nstatus = "418"', "must be a whole number, not text"),
        ('diagnosis = "bad_request"\nstatus = 99', "must not be less than 100"),
        ('diagnosis = "bad_request"\ncode = 40301', "must be text in quotes"),
        ('diagnosis = "bad_request"\nmessage_contains = " "', "1 to 200 printable characters"),
        ('diagnosis = "bad_request"\nmessage = "x"', 'did you mean "message_contains"?'),
        ('diagnosis = "bad_request"\npattern = ".*"', "unknown setting"),
    ],
)
def test_a_rule_that_cannot_be_used_is_refused(settings_of: Load, rule: str, said: str) -> None:
    with pytest.raises(SettingsError) as caught:
        settings_of(f"{KEY}[[rules]]\n{rule}\n")
    assert said in str(caught.value)
    assert "line" in str(caught.value)


@pytest.mark.parametrize("status", [400, 403, 404])
def test_a_rule_that_would_hide_the_gate_is_a_warning(settings_of: Load, status: int) -> None:
    rule = f'[[rules]]\ndiagnosis = "project_denied"\nstatus = {status}\n'
    (warning,) = settings_of(KEY + rule).warnings
    assert f"the gate itself answers {status}" in warning
    assert settings_of(KEY + rule + 'code = "x"\n').warnings == ()
