"""What another process asks to hold and to book, read from the inbox."""

from datetime import date

import pytest

from monitor.access.holds import Reservation
from monitor.oneshot.booking import Cost, Wanted, costs_of, wanted_of

ASKED = {"wanted": [["acme/m:chat openai direct key acme", "acme", 0.0017]], "day": "2026-11-20"}
HOLD = [7, "acme/m:chat openai direct key acme", "acme", "2026-11-20", 0.0017]


def test_what_is_asked_for_is_read():
    wanted = Wanted("acme/m:chat openai direct key acme", "acme", 0.0017)
    assert wanted_of(ASKED) == ([wanted], date(2026, 11, 20), False)
    assert wanted_of({**ASKED, "over": True})[2] is True


@pytest.mark.parametrize(
    "wrong",
    [
        {"wanted": None}, {"wanted": [["a", "b"]]}, {"wanted": [["a", "b", -1]]},
        {"wanted": [["a", "b", 1e9]]}, {"day": "today"}, {"day": None},
    ],
)  # fmt: skip
def test_what_cannot_be_understood_is_not_held(wrong):
    assert wanted_of({**ASKED, **wrong}) is None


@pytest.mark.parametrize("usd", [0.0015, 0.0, None])
def test_what_a_hold_came_to_is_read(usd):
    hold = Reservation(7, "acme/m:chat openai direct key acme", "acme", date(2026, 11, 20), 0.0017)
    assert costs_of({"costs": [[HOLD, usd, 2, True]]}) == [Cost(hold, usd, 2, estimated=True)]


@pytest.mark.parametrize(
    "costs",
    [
        None, [[]], [[HOLD, -1.0, 1, False]], [[HOLD, 1e9, 1, False]], [[HOLD[:3], 0.1, 1, False]],
        [[HOLD, 0.1, "many", False]], [[None, 0.1, 1, False]],
    ],
)  # fmt: skip
def test_what_cannot_be_understood_is_not_booked(costs):
    assert costs_of({"costs": costs}) is None
