"""Workers of one fleet in this process, against a simulator, on a real PostgreSQL: they share the work."""

import asyncio
import math
import socket
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from postgres_server import PostgresServer
from structlog.testing import capture_logs

from monitor.access.databases import Server
from monitor.access.target import SHARDS
from monitor.access.words import DeclarationKind, EventKind
from monitor.alerts.interfaces import DeliveryError, Sender
from monitor.config import Settings, load
from monitor.daemon.fleet_worker import Worker
from monitor.daemon.service import ReloadError
from monitor.oneshot.booking import OverBudgetError, Wanted, reserve
from monitor.simulator import Simulator, parse_scenario
from monitor.store import inbox, postgres, queries
from monitor.store.errors import GoneError

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(120)]

PATIENCE = 40.0
KEYS = 8
FAST = """
[cadence]
eager = "300ms"
unverified = "300ms"
settling = "600ms"
deciding = "300ms"
listing = "600ms"
image_gap = "1ms"
[confirmation]
confirmation_span = "500ms"
[delivery]
group_within = "50ms"
"""


class Taker(Sender):
    """A channel that keeps what it is sent."""

    name, parallel = "ops", 1

    def __init__(self) -> None:
        self.messages: list[str] = []
        self.fails: DeliveryError | None = None

    async def send(self, message: Any) -> None:
        if self.fails:
            raise self.fails
        self.messages.append(f"{message.title}\n{message.text}")


def scenario(*, opened: bool = False, keys: int = KEYS) -> str:
    gate = '[keys.gate]\nopen = "always"\n' if opened else ""
    return 'name = "fleet"\n' + "".join(
        f'[[keys]]\nname = "key-{n}"\nsecret = "sk-sim-FAKE-{n}-0001"\norganization = "org-{n}"\n{gate}'
        for n in range(keys)
    )


class Lab:
    """A simulator, a database and workers."""

    def __init__(self, folder: Path, url: str, stack: AsyncExitStack) -> None:
        self.folder, self.url, self.stack = folder, url, stack
        self.place = Server(url)
        self.taker = Taker()
        self.workers: dict[str, Worker] = {}
        self.ends: dict[str, asyncio.Task[None]] = {}

    async def simulate(self) -> None:
        self.simulator = Simulator(parse_scenario(scenario()))
        self.base_url = await self.simulator.start()
        self.stack.push_async_callback(self.simulator.stop)

    def replay(self, *, opened: bool) -> None:
        self.simulator.replace(parse_scenario(scenario(opened=opened)))

    def settings(self, more: str = "", *, keys: int = KEYS) -> Settings:
        text = (
            '[monitor]\ndatabase = "env:DATABASE_URL"\n[fleet]\n'
            f'[routes.sim]\nbase_url = "{self.base_url}"\ncontract = "direct"\nrate = 500.0\n'
            '[[channels]]\nname = "ops"\nurl = "env:OPS"\n'
            'events = ["unverified", "propagating", "available", "offline", "online", "started"]\n'
            + "".join(
                f'[[keys]]\nname = "key-{n}"\nsecret = "env:KEY_{n}"\norganization = "org-{n}"\n'
                'route = "sim"\nwatch = ["gpt-image-2"]\n'
                for n in range(keys)
            )
            + FAST
            + more
        )
        path = self.folder / "access-monitor.toml"
        path.write_text(text)
        secrets = {f"KEY_{n}": f"sk-sim-FAKE-{n}-0001" for n in range(keys)}
        urls = {"DATABASE_URL": self.url, "OPS": "json://127.0.0.1:9/"}
        return load(path, urls | secrets, now=datetime.now(UTC))

    async def run(self, name: str, settings: Settings | None = None) -> Worker:
        worker = Worker(settings or self.settings(), [self.taker], name=name)
        await worker.start()
        self.workers[name] = worker
        self.ends[name] = asyncio.create_task(worker.run())
        self.stack.push_async_callback(self.end, name)
        return worker

    async def end(self, name: str) -> None:
        if worker := self.workers.pop(name, None):
            self.ends[name].cancel()
            await asyncio.gather(self.ends[name], return_exceptions=True)
            await worker.stop()

    def ask(self, sql: str, *values: object) -> list[tuple[Any, ...]]:
        with postgres.connect(self.place, autocommit=True) as connection:
            found = connection.execute(sql, values)
            return found.fetchall() if found.description else []

    def watched(self) -> Counter[str]:
        """How many workers watch each target."""
        return Counter(watch.name for one in self.workers.values() for watch in one.watches)

    def kinds(self) -> Counter[str]:
        return Counter(str(row.event.kind) for row in queries.history(self.place))

    async def until(self, condition: Callable[[], bool]) -> None:
        end = time.monotonic() + PATIENCE
        while not condition():
            assert time.monotonic() < end, self.taker.messages
            await asyncio.sleep(0.05)

    async def shared(self) -> None:
        """Wait until each target is watched by one worker, and each worker has some."""

        def done() -> bool:
            counts = [len(one.watches) for one in self.workers.values()]
            most = -(-KEYS // len(counts))
            once = self.watched().values()
            return len(once) == KEYS and set(once) == {1} and max(counts) <= most

        await self.until(done)


def free_port() -> int:
    with socket.socket() as place:
        place.bind(("127.0.0.1", 0))
        return int(place.getsockname()[1])


@pytest.fixture
async def lab(tmp_path: Path, server: PostgresServer) -> AsyncIterator[Lab]:
    # on a terminal a traceback takes seconds
    with server.empty() as url, capture_logs():
        async with AsyncExitStack() as stack:
            lab = Lab(tmp_path, url, stack)
            await lab.simulate()
            yield lab


async def test_each_target_is_one_workers_and_each_opening_is_told_once(lab):
    await lab.run("one")
    await lab.until(lambda: lab.kinds()["unverified"] == KEYS)
    await lab.run("other")
    await lab.shared()
    lab.replay(opened=True)
    await lab.until(lambda: lab.kinds()["available"] == KEYS)
    await lab.until(
        lambda: sum("Access is live" in one or "vailable" in one for one in lab.taker.messages) > 0
    )
    await lab.end("one")
    await lab.until(lambda: len(lab.workers["other"].watches) == KEYS)
    await lab.until(lambda: not lab.ask("SELECT 1 FROM notifications WHERE state = 'pending'"))
    assert lab.kinds()["unverified"] == lab.kinds()["available"] == KEYS
    assert lab.ask("SELECT count(*) FROM notifications WHERE state <> 'delivered'") == [(0,)]
    told = "\n".join(lab.taker.messages)
    for row in queries.history(lab.place):
        if row.event.kind in (EventKind.AVAILABLE, EventKind.STARTED):
            assert told.count(f"#{row.event.id}]") >= 1
    assert "The worker one has started and watches 8 targets" in told
    assert "The worker other has started" in told


async def test_a_worker_that_lost_its_lease_ends_and_says_why(lab):
    await lab.run("one")
    lab.ask("UPDATE fences SET epoch = epoch + 1 WHERE name = 'one'")
    with pytest.raises(GoneError, match="others have taken over"):
        await asyncio.wait_for(lab.ends["one"], PATIENCE)


async def test_a_declaration_reaches_each_target_once_whoever_has_it(lab):
    await lab.run("one")
    await lab.until(lambda: lab.kinds()["unverified"] == KEYS)
    await lab.run("other")
    await lab.shared()
    now = datetime.now(UTC)
    for n in range(KEYS):
        inbox.submit_declaration(lab.place, DeclarationKind.VERIFIED, f"org-{n}", now, now)
    await lab.until(lambda: lab.kinds()["propagating"] == KEYS)
    (last,) = lab.ask("SELECT max(id) FROM declarations")
    await lab.until(lambda: lab.ask("SELECT DISTINCT declared FROM shards") == [last])
    assert lab.kinds()["propagating"] == KEYS
    assert lab.ask("SELECT count(*) FROM inbox WHERE taken_at IS NULL") == [(0,)]


async def test_a_probe_that_is_asked_for_is_made_by_whoever_has_the_target(lab):
    await lab.run("one")
    await lab.run("other")
    await lab.shared()
    names = [*lab.watched(), "key-99/gpt-image-2:images"]
    items = [
        inbox.submit(lab.place, inbox.PROBE, {"target": name}, datetime.now(UTC)) for name in names
    ]
    await lab.until(lambda: all(inbox.reply_to(lab.place, item) is not None for item in items))
    replies = [inbox.reply_to(lab.place, item) for item in items]
    assert [one.get("target") for one in replies[:-1]] == names[:-1]
    assert "no target is named" in replies[-1]["error"]


async def test_a_command_reserves_for_keys_of_several_workers_all_or_nothing(lab):
    settings = lab.settings("[budget]\nper_month = 1.0\n")
    await lab.run("one", settings)
    await lab.run("other", settings)
    await lab.shared()
    keys = [f"key-{n}" for n in range(KEYS)]

    def held() -> float:
        return float(
            lab.ask("SELECT coalesce(sum(usd), 0) FROM holds WHERE account = 'test'")[0][0]
        )

    wanted = [Wanted("test", key, 0.01) for key in keys]
    got = await asyncio.to_thread(reserve, settings, wanted, over=False)
    assert [hold.key for hold in got.holds] == keys
    assert held() == pytest.approx(0.01 * KEYS)
    with pytest.raises(OverBudgetError):
        await asyncio.to_thread(
            reserve, settings, [*wanted, Wanted("test", "key-0", 5.0)], over=False
        )
    await lab.until(lambda: held() == pytest.approx(0.01 * KEYS))


async def test_a_retry_reaches_the_channels_of_every_worker(lab):
    lab.taker.fails = DeliveryError("HTTP 410", wait=math.inf)
    await lab.run("one")
    await lab.run("other")
    await lab.shared()
    await lab.until(lambda: lab.kinds()["unverified"] == KEYS)
    lab.replay(opened=True)
    await lab.until(lambda: lab.kinds()["available"] == KEYS)
    await lab.until(lambda: not lab.ask("SELECT 1 FROM notifications WHERE state = 'pending'"))
    lab.taker.fails = None
    inbox.submit(lab.place, inbox.RETRY, {}, datetime.now(UTC))
    states = "SELECT DISTINCT state FROM notifications"
    await lab.until(lambda: lab.ask(states) == [("delivered",)])


async def test_what_waits_for_a_channel_that_is_gone_is_dead_once_a_worker_has_its_shard(lab):
    lab.taker.fails = DeliveryError("HTTP 500")
    await lab.run("one")
    await lab.until(lambda: lab.kinds()["unverified"] == KEYS)
    await lab.end("one")
    lab.taker.fails, lab.taker.name = None, "pager"
    settings = lab.settings()
    (ops,) = settings.channels
    await lab.run("one", replace(settings, channels=(replace(ops, name="pager"),)))
    waits = "SELECT DISTINCT state, last_error FROM notifications WHERE channel = 'ops'"
    gone = [("dead", "the channel is no longer in the settings")]
    await lab.until(lambda: lab.ask(waits) == gone)


async def test_a_machine_without_network_hands_its_targets_over_and_has_them_back(lab):
    await lab.run("other")
    await lab.until(lambda: len(lab.workers["other"].watches) == KEYS)
    reached, lab.base_url = lab.base_url, f"http://127.0.0.1:{free_port()}/v1"
    await lab.run("one")  # from whose machine nobody answers
    await lab.until(lambda: lab.kinds()["offline"] == 1)
    await lab.until(lambda: len(lab.workers["other"].watches) == KEYS)
    here = Simulator(parse_scenario(scenario()))
    lab.stack.push_async_callback(here.stop)
    await here.start(port=int(lab.base_url.split(":")[2].removesuffix("/v1")))
    await lab.shared()  # it finds the route, and takes part again
    await lab.until(lambda: lab.kinds()["online"] == 1)
    assert lab.kinds()["offline"] == 1
    assert reached != lab.base_url
    await lab.until(
        lambda: any("no route answers on the worker one" in m for m in lab.taker.messages)
    )
    assert any("Other workers take its targets over" in m for m in lab.taker.messages)


async def test_that_the_network_is_back_is_told_once_although_the_worker_that_told_was_restarted(
    lab,
):
    reached, lab.base_url = lab.base_url, f"http://127.0.0.1:{free_port()}/v1"
    await lab.run("one")
    await lab.until(lambda: lab.kinds()["offline"] == 1)
    await lab.end("one")
    lab.base_url = reached
    await lab.run("one")
    await lab.run("other")
    await lab.shared()
    await lab.until(lambda: lab.kinds()["online"] == 1 and lab.kinds()["unverified"] == KEYS)
    assert (lab.kinds()["offline"], lab.kinds()["online"]) == (1, 1)


async def test_online_is_told_when_the_machine_without_network_is_gone(lab):
    await lab.run("other")
    await lab.until(lambda: len(lab.workers["other"].watches) == KEYS)
    lab.base_url = f"http://127.0.0.1:{free_port()}/v1"
    await lab.run("one")  # from whose machine nobody answers
    await lab.until(lambda: lab.kinds()["offline"] == 1)
    await lab.end("one")
    await lab.until(lambda: lab.kinds()["online"] == 1)


async def test_a_reload_brings_new_keys_to_whoever_has_their_shards(lab):
    few = lab.settings(keys=3)
    one, other = await lab.run("one", few), await lab.run("other", few)
    await lab.until(lambda: len(lab.watched()) == 3)
    settings = lab.settings()
    await one.reload(settings, [lab.taker])
    await other.reload(settings, [lab.taker])
    await lab.shared()
    with pytest.raises(ReloadError, match=r"\[fleet\] cannot come or go"):
        await one.reload(replace(settings, fleet=None), [lab.taker])
    await lab.shared()


async def test_a_reload_that_the_database_refuses_midway_leaves_the_targets_as_they_were(lab):
    one = await lab.run("one", lab.settings(keys=3))
    await lab.until(lambda: lab.kinds()["unverified"] == 3)
    before = lab.watched()
    lab.ask("ALTER TABLE spend RENAME TO elsewhere")  # read when the targets are registered already
    with pytest.raises(ReloadError, match="spend"):
        await one.reload(lab.settings(), [lab.taker])
    lab.ask("ALTER TABLE elsewhere RENAME TO spend")
    active = "SELECT name FROM targets WHERE active ORDER BY name"
    await lab.until(lambda: [name for (name,) in lab.ask(active)] == sorted(before))
    assert lab.watched() == before


async def test_rates_and_what_the_month_has_left_are_shared(lab):
    one = await lab.run("one")
    await lab.run("other")
    await lab.shared()
    (watch, *_) = one.watches
    assert one._slots.of(watch).bucket.every == pytest.approx(1 / 250)
    assert one._settings.workers == 2
    await lab.end("other")
    await lab.until(lambda: len(one.watches) == KEYS)
    assert one._slots.of(watch).bucket.every == pytest.approx(1 / 500)
    assert lab.ask("SELECT count(*) FROM shards WHERE worker_id IS NOT NULL") == [(SHARDS,)]
