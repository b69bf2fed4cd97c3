"""`status` sums pools up and lists what is out of the ordinary."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from monitor.access.words import Code, Contract, State, Surface
from monitor.cli.status import LISTED_MOST, last_answer, pool_summaries
from monitor.store.records import TargetStatus

NOW = datetime(2026, 11, 20, 15, 0, tzinfo=UTC)
STALE = timedelta(minutes=30)
Make = Callable[..., TargetStatus]


@pytest.fixture
def target() -> Make:
    """A target of pool-a that has been available for a day; keyword arguments replace its fields."""

    def build(number: int = 0, **fields: Any) -> TargetStatus:
        key = fields.pop("key", f"pool-a-{number:08x}")
        values: dict[str, Any] = {
            "target": f"{key}/gpt-image-2:images", "key": key, "organization": None, "project": None,
            "route": "openai", "contract": Contract.DIRECT, "model": "gpt-image-2",
            "surface": Surface.IMAGES, "state": State.AVAILABLE, "since": NOW - timedelta(days=1),
            "blocker": None, "last_probe_at": NOW, "last_diagnosis": Code.ACCESS_GRANTED,
            "next_probe_at": NOW, "spend_today_usd": 0.0, **fields,
        }  # fmt: skip
        return TargetStatus(**values)

    return build


def test_a_pool_is_counted_by_state_and_by_blocker(target: Make) -> None:
    targets = [target(n) for n in range(812)]
    targets += [target(1000 + n, state=State.UNVERIFIED) for n in range(40)]
    targets += [target(2000 + n, blocker=Code.INVALID_CREDENTIALS) for n in range(3)]
    lines, listed, more = pool_summaries(targets, ["pool-a", "pool-b"], STALE, NOW)
    assert lines == [
        "pool-a: 812 available, 40 unverified, 3 invalid credentials",
        "pool-b: no targets",
    ]
    assert listed == targets[-3:]
    assert more == 0


def test_what_is_in_no_pool_is_listed_first_and_the_worst_of_the_pools_next(target: Make) -> None:
    recent = NOW - timedelta(minutes=59)
    late = target(1, next_probe_at=NOW - STALE)
    mute = target(2, last_diagnosis=Code.SERVER_ERROR)
    news = target(3, since=recent)
    locked = target(4, state=State.LOCKED)
    blocked = target(5, blocker=Code.QUOTA_EXHAUSTED)
    ordinary = [target(6), target(7, state=State.UNKNOWN, since=recent)]
    own = target(key="acme-prod")
    targets = [late, mute, news, locked, blocked, *ordinary, own]
    _, listed, _ = pool_summaries(targets, ["pool-a"], STALE, NOW)
    assert listed == [own, blocked, locked, news, late, mute]


def test_a_list_that_came_is_an_answer_too(target: Make) -> None:
    assert last_answer(target()) == "access_granted"
    assert last_answer(target(last_diagnosis=None)) == "list answered"
    assert last_answer(target(last_diagnosis=None, last_probe_at=None)) == "-"


def test_so_many_are_listed_and_the_rest_is_counted(target: Make) -> None:
    targets = [target(n, since=NOW) for n in range(10_000)]
    _, listed, more = pool_summaries(targets, ["pool-a"], STALE, NOW)
    assert (len(listed), more) == (LISTED_MOST, 10_000 - LISTED_MOST)


def test_without_pools_everything_is_listed(target: Make) -> None:
    targets = [target(1), target(2)]
    assert pool_summaries(targets, [], STALE, NOW) == ([], targets, 0)
