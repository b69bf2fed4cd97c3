"""The guarantee of a fleet: whoever of its workers is killed, cut off or suspended, what is owed is told."""

import asyncio
import os
import random
import signal
import sys
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from cutting_proxy import CuttingProxy
from owed import account, all_told, rows, scenario, settings

from monitor.store.fences import LEASE

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(3600)]

KEYS = 8
STEPPED = Path(__file__).with_name("stepped.py")
NAMES = ("a", "b", "c")
#: One of three is started anew and kills itself at such a step. To the first three only what is told comes.
RARE = ("after the claim", "after the send", "before the mark")
STEPS = (
    *RARE,
    "after the answer",
    "before the commit",
    "after the commit",
)
#: What is done to one of three.
BLOWS = ("killed at random", "killed as another joins", "suspended past its lease", "told to stop")
EVENTS = (*BLOWS, *STEPS)


@dataclass
class Workers:
    """The workers as processes."""

    lab: Any
    dice: random.Random
    keys: int
    running: dict[str, asyncio.subprocess.Process] = field(default_factory=dict)
    opened: int = 0

    async def open_one(self) -> None:
        """Let one more gate open soon; those before are open."""
        if self.opened < self.keys:
            opens = dict.fromkeys(range(self.opened), 0.0)
            opens[self.opened] = 0.5 + self.dice.random() * 2
            self.opened += 1
            await self.lab.replay(scenario(self.keys, opens))

    async def start(self, name: str, step: str = "") -> None:
        words = ["run", "--worker", name, "--config", str(self.lab.settings)]
        if step:
            count = "1" if step in RARE else str(self.dice.randint(1, 4))
            process = await self.lab.launch(sys.executable, str(STEPPED), step, count, *words)
        else:
            process = await self.lab.start(*words)
        self.running[name] = process

    async def end(self, name: str, number: signal.Signals, status: int) -> None:
        process = self.running.pop(name)
        process.send_signal(number)
        assert await asyncio.wait_for(process.wait(), 30) == status, name

    def shares(self) -> dict[str, int]:
        """The number of shards of each worker that runs; with no name that of all others."""
        found: Counter[str] = Counter()
        rows = self.lab.ask(
            "SELECT f.name, f.holder, count(*) FROM shards s"
            " LEFT JOIN fences f ON f.id = s.worker_id AND f.holder IS NOT NULL GROUP BY 1, 2"
        )
        for name, holder, shards in rows:
            process = self.running.get(name)
            own = process and f", process {process.pid}/" in holder
            found[name if own else ""] += shards
        return dict(found)

    async def shared(self) -> None:
        """Wait until those that live have equal shares."""
        names = set(self.running)

        def equal() -> bool:
            shares = self.shares()
            return set(shares) == names and max(shares.values()) <= -(-64 // len(names)) + 1

        await self.lab.until(equal, f"{names} to have equal shares")

    async def happens(self, event: str) -> str:
        """Let this happen to one of them. Returns what did happen, for a step may not come."""
        victim = self.dice.choice(NAMES)
        if event == "killed at random":
            await asyncio.sleep(self.dice.random() * 2)
            await self.end(victim, signal.SIGKILL, -signal.SIGKILL)
        elif event == "killed as another joins":
            await self.start("d")
            await asyncio.sleep(0.8 + self.dice.random() * 2)
            await self.end(victim, signal.SIGKILL, -signal.SIGKILL)
            await self.lab.until(lambda: "d" in self.shares(), "the new one to have a share")
            await self.end("d", signal.SIGTERM, 0)
        elif event == "suspended past its lease":
            process = self.running[victim]
            process.send_signal(signal.SIGSTOP)
            await self.lab.until(lambda: victim not in self.shares(), "its lease to be over")
            process.send_signal(signal.SIGCONT)
            del self.running[victim]
            assert await asyncio.wait_for(process.wait(), 30) == 1, "it says so, and ends"
        elif event == "told to stop":
            await self.end(victim, signal.SIGTERM, 0)
        else:
            await self.end(victim, signal.SIGTERM, 0)
            await self.start(victim, event)
            process = self.running.pop(victim)
            for _ in range(5):
                with suppress(TimeoutError):
                    await asyncio.wait_for(process.wait(), 4)
                if process.returncode is not None:
                    break
                await self.open_one()
            else:
                # It may come at the last moment; send_signal would then take the status from asyncio.
                with suppress(ProcessLookupError):
                    os.kill(process.pid, signal.SIGKILL)
                event = "killed, as a step did not come"
            assert await process.wait() == -signal.SIGKILL
        for name in NAMES:
            if name not in self.running:
                await self.start(name)
        await self.shared()
        return event


@pytest.mark.parametrize("seed", [20261130, 20261201])
async def test_what_is_owed_is_told_whichever_worker_is_killed(lab, fast, torture, fault, seed):
    if seed != 20261130 and not torture:
        pytest.skip("only with --torture")
    dice = random.Random(seed)
    keys = 112 if torture else 12
    events = [EVENTS[n % len(EVENTS)] for n in range(100)] if torture else [*BLOWS, *STEPS[1:5:3]]
    await lab.open_ends()
    await lab.simulate(scenario(keys, {}))
    lab.settings.write_text("[fleet]\n" + settings(lab.start_server(), lab.base_url, fast, keys))
    lab.environ |= {f"KEY_{n}": f"sk-sim-FAKE-key-{n:04}" for n in range(keys)}
    workers = Workers(lab, dice, keys)
    for name in NAMES:
        await workers.start(name)
    await lab.until(
        lambda: len(lab.ask("SELECT 1 FROM targets WHERE state = 'unverified'")) == keys,
        "every gate to be seen shut",
    )
    await workers.shared()
    done: Counter[str] = Counter()
    for event in events:
        if event not in STEPS or not torture:
            await workers.open_one()
        done[await workers.happens(event)] += 1
    while workers.opened < keys:
        await workers.open_one()
    await all_told(lab, keys)
    for name in NAMES:
        await workers.end(name, signal.SIGTERM, 0)
    found = account(lab, keys)
    ((spent, held, committed),) = rows(
        lab,
        "SELECT (SELECT coalesce(sum(settled_usd), 0) FROM spend),"
        " (SELECT coalesce(sum(usd), 0) FROM holds), (SELECT sum(committed_usd) FROM months)",
    )
    assert committed == pytest.approx(spent + held), "the month that all go by"
    ledger = await lab.totals()
    assert ledger["billed_usd"] <= spent + held + 1e-9
    for event, times in done.items():
        fault(f"a worker of three, {event}", times, "others go on where it was", "all told")
    fault(
        f"all this to a fleet of three while {keys} gates open", sum(done.values()),
        "every transition recorded once, by one worker, and told on both channels",
        f"{found}; ${ledger['billed_usd']:.4f} billed, ${spent + held:.4f} booked or held",
    )  # fmt: skip
    assert not found.lost


async def eight_keys(lab, fast) -> None:
    """Eight shut gates, and the settings of workers that watch them."""
    await lab.open_ends()
    await lab.simulate(scenario(KEYS, {}))
    lab.settings.write_text("[fleet]\n" + settings(lab.start_server(), lab.base_url, fast, KEYS))
    lab.environ |= {f"KEY_{n}": f"sk-sim-FAKE-key-{n:04}" for n in range(KEYS)}


async def test_a_server_that_was_away_longer_than_a_lease_ends_no_worker(lab, fast, fault):
    await eight_keys(lab, fast)
    workers = Workers(lab, random.Random(1), KEYS)
    for name in ("a", "b"):
        await workers.start(name)
    await lab.told("unverified", count=KEYS)
    await workers.shared()
    lab.server.stop(signal.SIGQUIT)  # as if it had been killed
    await lab.until(lambda: len(lab.logged("database_refuses")) == 2, "both to notice it")
    await lab.replay(scenario(KEYS, dict.fromkeys(range(KEYS), 0.0)))
    await asyncio.sleep(LEASE + 3)  # a lease must be over
    lab.server.start()
    await all_told(lab, KEYS)
    assert {process.returncode for process in workers.running.values()} == {None}
    assert not lab.logged("worker_gone")
    await workers.shared()
    for name in ("a", "b"):
        await workers.end(name, signal.SIGTERM, 0)
    found = account(lab, KEYS)
    fault(
        "the server of two workers is killed, and away for 8 s while 8 gates open", 1,
        "no worker is taken for dead; what was seen meanwhile is recorded and told once", str(found),
    )  # fmt: skip
    assert not found.lost
    assert not found.again


async def test_a_worker_that_is_cut_off_from_the_server_is_followed_and_records_nothing_more(
    lab, fast, fault
):
    await eight_keys(lab, fast)
    workers = Workers(lab, random.Random(1), KEYS)
    proxy = CuttingProxy(lab.server.folder / ".s.PGSQL.5432")
    await workers.start("a")
    whole, lab.environ["DATABASE_URL"] = (
        lab.environ["DATABASE_URL"],
        lab.server.url(port=proxy.port),
    )
    await workers.start("b")
    lab.environ["DATABASE_URL"] = whole
    await lab.told("unverified", count=KEYS)
    await workers.shared()
    proxy.close()
    begun = asyncio.get_running_loop().time()
    await lab.until(lambda: workers.shares() == {"a": 64}, "the other to have its shards")
    took = asyncio.get_running_loop().time() - begun
    await lab.replay(scenario(KEYS, dict.fromkeys(range(KEYS), 0.0)))
    await all_told(lab, KEYS)
    await workers.end("b", signal.SIGTERM, 1)
    await workers.end("a", signal.SIGTERM, 0)
    found = account(lab, KEYS)
    fault("one of two workers is cut off from the server", 1,
          "the other has its targets; what it kept is recorded by nobody else",
          f"after {took:.1f} s; {found}")  # fmt: skip
    assert not found.lost
