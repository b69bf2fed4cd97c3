"""The queue of looks on a real loop and scheduler: who begins when, and with whom."""

import asyncio
from datetime import timedelta
from types import SimpleNamespace

import pytest

from monitor.daemon.clock import Clock
from monitor.daemon.schedule import Schedule

pytestmark = pytest.mark.anyio

EARLY = timedelta(seconds=0.4)


class Round:
    """A schedule, and how late each look began; early ones are below nought."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.schedule = Schedule(self.clock)
        self.late: dict[str, float] = {}
        self._dated = {}
        self._done = asyncio.Event()

    def date(self, name: str, seconds: float, *, waiting: bool = True, **more) -> None:
        self._dated[name] = self.clock.after(seconds)
        watch = SimpleNamespace(name=name, removed=False, waiting=waiting)
        self.schedule.at(watch, self._dated[name], **more)

    async def play(self) -> None:
        self.schedule.start(self._look)
        async with asyncio.timeout(10):
            await self._done.wait()
        self.schedule.stop()

    async def _look(self, watch) -> None:
        self.late[watch.name] = (self.clock.now() - self._dated[watch.name]).total_seconds()
        if len(self.late) == len(self._dated):
            self._done.set()


@pytest.fixture
async def looks() -> Round:
    return Round()


async def test_looks_that_may_be_early_go_along_with_one_that_is_due(looks):
    looks.date("due", 0.2)
    looks.date("near", 0.5, early=EARLY)
    looks.date("far", 1.0, early=EARLY)
    looks.date("exact", 0.5)
    await looks.play()
    assert looks.late["near"] < -0.1
    assert all(looks.late[name] >= 0 for name in ("due", "far", "exact"))


async def test_a_look_without_company_is_made_at_its_time(looks):
    looks.date("alone", 0.5, early=EARLY)
    await looks.play()
    assert looks.late["alone"] >= 0


async def test_a_crowd_does_not_all_go_along(looks):
    looks.date("due", 0.2)
    for number in range(100):
        looks.date(f"near-{number}", 0.5, early=EARLY)
    await looks.play()
    assert sum(late < 0 for late in looks.late.values()) == 16


async def test_where_both_are_due_targets_that_wait_go_before_open_ones_yet_not_only(looks):
    for number in range(40):
        looks.date(f"open-{number}", -2 + number / 100, waiting=False)
        looks.date(f"waits-{number}", -1 + number / 100)
    await looks.play()
    order = list(looks.late)
    assert [name.split("-")[0] for name in order[:16]] == (["waits"] * 7 + ["open"]) * 2
    for kind in ("open", "waits"):
        assert [name for name in order if name.startswith(kind)] == [
            f"{kind}-{number}" for number in range(40)
        ]


async def test_others_on_the_loop_have_their_turn_among_many_that_are_due(looks):
    for number in range(200):
        looks.date(f"{number}", -1)
    seen = []

    async def watch() -> None:
        while len(looks.late) < 200:
            seen.append(len(looks.late))
            await asyncio.sleep(0)

    await asyncio.gather(looks.play(), watch())
    assert len({count for count in seen if count}) >= 9


async def test_a_stop_while_many_are_due_begins_no_more_and_is_no_error(looks, caplog):
    for number in range(200):
        looks.date(f"{number}", -1)
    looks.schedule.start(looks._look)
    async with asyncio.timeout(10):
        while not looks.late:  # noqa: ASYNC110 - a turn of the loop is what is waited for
            await asyncio.sleep(0)
    looks.schedule.stop()
    begun = len(looks.late)
    assert begun < 200
    for _ in range(50):
        await asyncio.sleep(0)
    assert len(looks.late) == begun
    assert not caplog.records
