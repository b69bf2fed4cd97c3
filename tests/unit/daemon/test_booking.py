"""What another process asks to book, read from the inbox."""

from datetime import date

import pytest

from monitor.daemon.booking import spend_of
from monitor.store.records import Spend

GOOD = {"key": "acme", "day": "2026-11-20", "usd": 0.0017, "estimated": True, "probes": 2}


def test_what_is_asked_becomes_a_change_of_spend() -> None:
    assert spend_of(GOOD) == Spend(
        "acme", date(2026, 11, 20), settled_usd=0.0017, probes=2, estimated=True
    )


@pytest.mark.parametrize(
    "wrong",
    [
        {"key": None}, {"day": "today"}, {"day": None}, {"usd": "0.1"}, {"usd": -1}, {"usd": 0},
        {"usd": True}, {"usd": float("nan")}, {"usd": float("inf")}, {"usd": 1e9}, {"probes": -1},
        {"probes": "2"},
    ],
)  # fmt: skip
def test_what_cannot_be_understood_is_not_booked(wrong: dict[str, object]) -> None:
    assert spend_of({**GOOD, **wrong}) is None
