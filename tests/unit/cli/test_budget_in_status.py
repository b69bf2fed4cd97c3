"""`status` says that a budget is gone, and why."""

import pytest

from monitor.cli.status import gone
from monitor.config import load
from monitor.store.status_queries import Money


@pytest.fixture
def settings(tmp_path):
    path = tmp_path / "access-monitor.toml"
    path.write_text(
        '[[keys]]\nname = "acme"\nsecret = "env:ACME"\nwatch = ["gpt-image-2", "gpt-5.1:summary"]\n'
        "[budget]\nper_key_per_day = 0.02\nper_month = 0.10\n"
    )
    return load(path, {"ACME": "sk-FAKE-acme-0001"})


def test_nothing_is_said_while_there_is_room(settings):
    assert gone(settings, Money(0.0, {}, {})) == []
    assert gone(settings, Money(0.018, {"acme": 0.018}, {"acme": 0.0})) == []


def test_a_key_whose_day_is_gone_is_named_with_what_is_in_doubt(settings):
    (line,) = gone(settings, Money(0.0195, {"acme": 0.0195}, {"acme": 0.01}))
    assert line.startswith("budget: today's $0.02 is gone for acme ($0.0195, $0.0100 of it held)")


def test_the_month_is_named_when_it_is_gone(settings):
    (line,) = gone(settings, Money(0.0995, {"acme": 0.01}, {"acme": 0.0}))
    assert line == "budget: the month's $0.1 is gone ($0.0995 booked or held)"
