"""The queue of probes on a real loop and scheduler: who begins when, and with whom."""

import asyncio
from datetime import timedelta
from types import SimpleNamespace

import pytest

from monitor.daemon.clock import Clock
from monitor.daemon.schedule import Schedule

pytestmark = pytest.mark.anyio

EARLY = timedelta(seconds=0.4)


class Round:
    """A schedule, and how late each probe began; early ones are below nought."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.schedule = Schedule(self.clock)
        #: what is dated alike is due at the same moment, however long the dating takes
        self._began = self.clock.now()
        self.late: dict[str, float] = {}
        self._dated = {}
        self._done = asyncio.Event()

    def date(self, name: str, seconds: float, *, waiting: bool = True, **more) -> None:
        self._dated[name] = self._began + timedelta(seconds=seconds)
        watch = SimpleNamespace(name=name, removed=False, waiting=waiting)
        self.schedule.at(watch, self._dated[name], **more)

    async def play(self) -> None:
        self.schedule.start(self._probe)
        async with asyncio.timeout(10):
            await self._done.wait()
        self.schedule.stop()

    async def _probe(self, watch) -> None:
        self.late[watch.name] = (self.clock.now() - self._dated[watch.name]).total_seconds()
        if len(self.late) == len(self._dated):
            self._done.set()


@pytest.fixture
async def probes() -> Round:
    return Round()


async def test_probes_that_may_be_early_go_along_with_one_that_is_due(probes):
    probes.date("due", 0.2)
    probes.date("near", 0.5, early=EARLY)
    probes.date("far", 1.0, early=EARLY)
    probes.date("exact", 0.5)
    await probes.play()
    assert probes.late["near"] < -0.1
    assert all(probes.late[name] >= 0 for name in ("due", "far", "exact"))


async def test_a_probe_without_company_is_made_at_its_time(probes):
    probes.date("alone", 0.5, early=EARLY)
    await probes.play()
    assert probes.late["alone"] >= 0


async def test_a_crowd_does_not_all_go_along(probes):
    probes.date("due", 0.2)
    for number in range(100):
        probes.date(f"near-{number}", 0.5, early=EARLY)
    await probes.play()
    assert sum(late < 0 for late in probes.late.values()) == 16


async def test_where_both_are_due_targets_that_wait_go_before_open_ones_yet_not_only(probes):
    for number in range(40):
        probes.date(f"open-{number}", -2 + number / 100, waiting=False)
        probes.date(f"waits-{number}", -1 + number / 100)
    await probes.play()
    order = list(probes.late)
    assert [name.split("-")[0] for name in order[:16]] == (["waits"] * 7 + ["open"]) * 2
    for kind in ("open", "waits"):
        assert [name for name in order if name.startswith(kind)] == [
            f"{kind}-{number}" for number in range(40)
        ]


async def test_others_on_the_loop_have_their_turn_among_many_that_are_due(probes):
    for number in range(200):
        probes.date(f"{number}", -1)
    seen = []

    async def watch() -> None:
        while len(probes.late) < 200:
            seen.append(len(probes.late))
            await asyncio.sleep(0)

    await asyncio.gather(probes.play(), watch())
    assert len({count for count in seen if count}) >= 9


async def test_a_stop_while_many_are_due_begins_no_more_and_is_no_error(probes, caplog):
    for number in range(200):
        probes.date(f"{number}", -1)
    probes.schedule.start(probes._probe)
    async with asyncio.timeout(10):
        while not probes.late:  # noqa: ASYNC110 - a turn of the loop is what is waited for
            await asyncio.sleep(0)
    probes.schedule.stop()
    begun = len(probes.late)
    assert begun < 200
    for _ in range(50):
        await asyncio.sleep(0)
    assert len(probes.late) == begun
    assert not caplog.records
