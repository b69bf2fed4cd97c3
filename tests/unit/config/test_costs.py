"""What settings cost in a month, and budgets with which a target could never be probed or confirmed."""

import pytest

from monitor.config import SettingsError, load, month


@pytest.fixture
def read(tmp_path):
    def read(budget: str, price: float = 1.0, watch: str = '"gpt-image-2"'):
        path = tmp_path / "access-monitor.toml"
        path.write_text(
            f'[routes.openai]\nprice = {price}\n[[keys]]\nname = "acme"\nsecret = "env:ACME"\n'
            f"watch = [{watch}]\n[budget]\n{budget}\n"
        )
        return load(path, {"ACME": "sk-FAKE-acme-0001"})

    return read


@pytest.mark.parametrize(
    ("budget", "price"),
    [
        ("per_key_per_day = 0.005", 1.0),
        ("per_key_per_day = 0.0", 1.0),
        ("per_key_per_day = 0.1", 60.0),
        ("per_month = 0.005", 1.0),
    ],
)
def test_three_prices_that_do_not_fit_are_refused(read, budget, price):
    with pytest.raises(SettingsError, match="3 probes of acme/gpt-image-2:images cost"):
        read(budget, price)


def test_three_prices_that_fit_are_taken(read):
    assert read("per_key_per_day = 0.006").budget.per_key_per_day == 0.006


def test_a_month_that_cannot_hold_what_waits_is_warned_of(read):
    watch = '"gpt-image-2", "gpt-image-1.5", "gpt-image-1.5:edits"'
    warned = read("per_month = 0.06", watch=watch).warnings
    assert any("does not hold 3 probes of each of the 3 targets" in line for line in warned)


def test_durations_that_end_before_what_they_bound_are_warned_of(read):
    warned = read(
        "per_month = 5.0\n"
        '[cadence]\neager = "1h"\neager_for = "1s"\nblocked = "2d"\nblocked_most = "1m"\n'
        '[delivery]\nretry_first = "1h"\ngive_up_after = "1m"'
    ).warnings
    assert warned == (
        "[cadence] eager: 1h is longer than eager_for (1s): no probe is eager",
        "[cadence] blocked: 2d is longer than blocked_most (1m), which has no effect",
        "[delivery] retry_first: 1h is longer than give_up_after (1m): nothing is tried twice",
        "[delivery] retry_first: 1h is longer than retry_most (15m), which is waited instead",
    )


def test_what_a_month_costs_is_said(read):
    most, rechecks = month(read("per_key_per_day = 0.1"))
    assert most.startswith("a month costs at most $3.10 ($0.1 a key and day for 1 key, $5 a month")
    assert rechecks == "rechecks of 1 target, if all are open: $0.05 a month"
