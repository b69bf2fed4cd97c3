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


def test_what_a_month_costs_is_said(read):
    most, rechecks = month(read("per_key_per_day = 0.1"))
    assert most.startswith("a month costs at most $3.10 ($0.1 a key and day for 1 key, $5 a month")
    assert rechecks == "rechecks of 1 target, if all are open: $0.05 a month"
