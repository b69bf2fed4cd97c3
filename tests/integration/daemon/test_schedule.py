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

    def date(self, name: str, seconds: float, **more) -> None:
        self._dated[name] = self.clock.after(seconds)
        self.schedule.at(SimpleNamespace(name=name, removed=False), self._dated[name], **more)

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
