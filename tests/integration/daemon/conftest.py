"""A whole monitor in this process, against a simulator in this process, on a real database, in quick time."""

import asyncio
import sqlite3
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, closing
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from listening import listening
from quick_time import FACTOR, PATIENCE, QUICK_BACKEND, datetime_of, quick_clock
from stored import spend_on

from monitor.alerts.interfaces import Sender
from monitor.config import load
from monitor.daemon.clock import Clock
from monitor.daemon.service import Monitor
from monitor.simulator import Simulator, parse_scenario
from monitor.store import queries
from monitor.store.errors import StoreError

FAST = """
[cadence]
eager = "200ms"
unverified = "200ms"
settling = "600ms"
deciding = "200ms"
listing = "400ms"
blocked = "400ms"
inconclusive = "200ms"
image_gap = "1ms"
[confirmation]
confirmation_span = "500ms"
"""


class Taker(Sender):
    """A channel that keeps the titles and texts it is sent."""

    name, parallel = "ops", 1

    def __init__(self, name: str = "ops") -> None:
        self.name = name
        self.titles: list[str] = []
        self.texts: list[str] = []

    async def send(self, message: Any) -> None:
        self.titles.append(message.title)
        self.texts.append(message.text)


class Bench:
    """Simulator, settings and monitor of one test."""

    def __init__(self, folder: Path, stack: AsyncExitStack) -> None:
        self.folder = folder
        self.taker = Taker()
        #: further channels that the settings name
        self.others: list[Taker] = []
        self.clock = quick_clock()
        self._stack = stack

    def now(self) -> datetime:
        """The monitor's time."""
        return self.clock.now()

    def wall(self) -> datetime:
        """The monitor's wall clock."""
        return self.clock.wall()

    async def simulate(self, scenario: str) -> None:
        passing = asyncio.get_running_loop().time
        self.simulator = Simulator(parse_scenario('name = "test"\n' + scenario), clock=passing)
        self.base_url = await self.simulator.start()
        self._stack.push_async_callback(self.simulator.stop)

    def replay(self, scenario: str) -> None:
        """Let the simulator play another scenario, from its beginning."""
        self.simulator.replace(parse_scenario('name = "test"\n' + scenario))

    def another_channel(self, name: str) -> Taker:
        """A further channel, which the settings must name."""
        self.others.append(Taker(name))
        return self.others[-1]

    def settings(self, keys: str, figures: str = "", channels: str = "") -> Any:
        text = (
            '[monitor]\ndatabase = "sqlite:///monitor.db"\n'
            f'[routes.sim]\nbase_url = "{self.base_url}"\ncontract = "direct"\nrate = 500.0\n'
            '[[channels]]\nname = "ops"\nurl = "env:OPS"\n' + channels + keys + FAST + figures
        )
        path = self.folder / "access-monitor.toml"
        path.write_text(text)
        secrets = {
            key.name.upper().replace("-", "_"): key.secret for key in self.simulator.scenario.keys
        }
        urls = {"OPS": "json://127.0.0.1:9/", "MAIL": "json://127.0.0.1:8/"}
        return load(path, urls | secrets, now=self.now())

    def never_settling(self, settings: Any) -> Any:
        """For a gate that flickers: on a busy machine it may be found open twice in a row."""
        never = replace(settings.confirmation, confirmation_span=timedelta(hours=1))
        return replace(settings, confirmation=never)

    async def run(self, settings: Any, clock: Clock | None = None) -> Monitor:
        self.clock = clock or self.clock
        monitor = Monitor(settings, [self.taker, *self.others], clock=self.clock)
        await monitor.start()
        running = asyncio.create_task(monitor.run())

        async def end() -> None:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
            await monitor.stop()

        self.end = end
        self._stack.push_async_callback(self._end_once)
        self._ended = False
        return monitor

    async def _end_once(self) -> None:
        if not self._ended:
            await self.stop()

    async def stop(self) -> None:
        self._ended = True
        await self.end()

    def history(self) -> list[Any]:
        try:
            return [row.event for row in queries.history(self.folder / "monitor.db")]
        except StoreError:
            return []

    def events(self, target: str | None = None) -> list[str]:
        return [
            str(h.kind)
            for h in self.history()
            if h.kind not in ("started", "stopping") and target in (None, h.target)
        ]

    def told(self) -> dict[str | None, set[str]]:
        """Who was told of each target, and of what has none."""
        told: dict[str | None, set[str]] = {}
        for row in queries.history(self.folder / "monitor.db"):
            if row.notifications:
                channels = told.setdefault(row.event.target, set())
                channels.update(one.channel for one in row.notifications)
        return told

    def spent(self) -> float:
        rows = spend_on(self.folder / "monitor.db", self.now().date())
        return sum(row.settled_usd for row in rows)

    def held(self) -> float:
        with closing(sqlite3.connect(self.folder / "monitor.db")) as database:
            (usd,) = database.execute("SELECT coalesce(sum(usd), 0) FROM holds").fetchone()
            return usd

    async def until(self, condition: Callable[[], bool]) -> None:
        end = time.monotonic() + PATIENCE
        while not condition():
            assert time.monotonic() < end
            await asyncio.sleep(0.02 * FACTOR)

    async def until_idle(self, monitor: Monitor) -> None:
        """Wait until no probe is under way: one that a stop cuts rightly keeps its price in doubt."""
        await self.until(lambda: not any(watch.busy for watch in monitor.watches))


class HangingGate:
    """A server that refuses the first `at_once` full probes, and the others when it may answer."""

    REFUSED = b'{"error": {"message": "Your organization must be verified to use the model `gpt-image-2`."}}'

    def __init__(self, stack: AsyncExitStack) -> None:
        self._stack = stack
        self.at_once = self.asked = 0
        self.hangs, self.may_answer = asyncio.Event(), asyncio.Event()

    async def start(self, *, at_once: int = 0, contract: str = "direct") -> str:
        """The settings of the route `slow`, which leads here."""
        self.at_once = at_once
        port = await self._stack.enter_async_context(listening(self._answer))
        base_url = f"http://127.0.0.1:{port}/v1"
        return f'[routes.slow]\nbase_url = "{base_url}"\ncontract = "{contract}"\n'

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if (await reader.readuntil(b"\r\n\r\n")).startswith(b"POST"):
            self.asked += 1
            if self.asked > self.at_once:
                self.hangs.set()
                await self.may_answer.wait()
        writer.write(b"HTTP/1.1 403 X\r\nContent-Type: application/json\r\nConnection: close\r\n"
                     b"Content-Length: %d\r\n\r\n%s" % (len(self.REFUSED), self.REFUSED))  # fmt: skip


@pytest.fixture
async def hanging_gate(anyio_backend: Any) -> AsyncIterator[HangingGate]:
    async with AsyncExitStack() as stack:
        yield HangingGate(stack)


@pytest.fixture
def anyio_backend(request: pytest.FixtureRequest) -> Any:
    """For whole monitors a loop on which time passes quickly."""
    return QUICK_BACKEND if "bench" in request.fixturenames else "asyncio"


@pytest.fixture
async def bench(
    tmp_path: Path, anyio_backend: Any, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Bench]:
    async with AsyncExitStack() as stack:
        bench = Bench(tmp_path, stack)
        quick = datetime_of(bench.wall)
        monkeypatch.setattr("apscheduler.schedulers.base.datetime", quick)
        yield bench


@pytest.fixture
def key() -> Callable[..., str]:
    """The settings of one key."""

    def build(name: str, *watch: str, organization: str = "org-acme", more: str = "") -> str:
        capabilities = ", ".join(f'"{one}"' for one in watch or ("gpt-image-2",))
        return (
            f'[[keys]]\nname = "{name}"\nsecret = "env:{name.upper().replace("-", "_")}"\nroute = "sim"\n'
            f'organization = "{organization}"\nwatch = [{capabilities}]\n{more}\n'
        )

    return build


@pytest.fixture
def simulated() -> Callable[..., str]:
    """The scenario of one key."""

    def build(name: str, gate: str = "", more: str = "") -> str:
        return (
            f'[[keys]]\nname = "{name}"\nsecret = "sk-sim-FAKE-{name}-0001"\norganization = "org-acme"\n'
            f"{more}\n{gate}\n"
        )

    return build
