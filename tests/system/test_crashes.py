"""The guarantee under SIGKILL: at random moments and at each step, what is owed is told."""

import asyncio
import random
import signal
import sys
from collections import Counter
from contextlib import suppress
from pathlib import Path

import pytest
from owed import account, all_told, rows, scenario, settings

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(1500)]

#: Only what is told comes to these. First, as the first probes are told; from then on a gate opens in each.
RARE = ("after the claim", "after the send", "before the mark")
STEPS = (
    *RARE,
    "at random",
    "after the answer",
    "before the commit",
    "after the commit",
)
STEPPED = Path(__file__).with_name("stepped.py")


async def killed(lab, step: str, dice: random.Random) -> bool:
    """Run the daemon until it is killed; False when the step was not reached in time."""
    arguments = ["run", "--config", str(lab.settings)]
    if step == "at random":
        process = await lab.start(*arguments)
        await asyncio.sleep(0.4 + dice.random() * 1.6)
        process.send_signal(signal.SIGKILL)
    else:
        count = dice.randint(1, 2 if step in RARE else 12)
        process = await lab.launch(sys.executable, str(STEPPED), step, str(count), *arguments)
        try:
            await asyncio.wait_for(process.wait(), 10)
        except TimeoutError:
            with suppress(ProcessLookupError):  # it may come at the last moment
                process.send_signal(signal.SIGKILL)
            await process.wait()
            return False
    await process.wait()
    assert process.returncode == -signal.SIGKILL
    return True


@pytest.mark.parametrize("database", ["SQLite", "PostgreSQL"])
async def test_what_is_owed_is_told_whatever_is_killed(lab, fast, torture, fault, database):
    dice = random.Random(20261120)
    rounds = 28 if torture else 1
    # the first round is of shut gates
    kills, keys = len(STEPS) * (1 + rounds), (len(RARE) + 1) * rounds
    await lab.open_ends()
    await lab.simulate(scenario(keys, {}))
    named = "sqlite:///monitor.db" if database == "SQLite" else lab.start_server()
    lab.settings.write_text(settings(named, lab.base_url, fast, keys))
    lab.environ |= {f"KEY_{n}": f"sk-sim-FAKE-key-{n:04}" for n in range(keys)}
    done: Counter[str] = Counter()
    unsettled: Counter[str] = Counter()
    opens: dict[int, float] = {}
    for n in range(kills):
        if n == len(STEPS):
            await all_gated(lab, keys)
        step = STEPS[n % len(STEPS)]
        if n >= len(STEPS) and step in (*RARE, "at random"):
            opens = dict.fromkeys(opens, 0.0) | {len(opens): 0.5 + dice.random() * 1.5}
            await lab.replay(scenario(keys, opens))
        if not await killed(lab, step, dice):
            step = "at random, as a step did not come"
        done[step] += 1
        unsettled[step] += claims(lab)

    daemon = await lab.daemon()

    await lab.until(lambda: up(lab, daemon), "the last daemon to be up")
    await all_told(lab, keys)
    daemon.send_signal(signal.SIGTERM)
    assert await daemon.wait() == 0

    found = account(lab, keys)
    for step, times in done.items():
        fault(f"SIGKILL {step}, {database}", times, "goes on where it was",
              f"{unsettled[step]} notifications found claimed and not marked, all told")  # fmt: skip
    fault(
        f"all these kills while {keys} gates open, {database}", sum(done.values()),
        "every transition told on both channels; twice only where a send was cut, with the same id",
        str(found),
    )  # fmt: skip
    assert not found.lost


async def all_gated(lab, keys: int) -> None:
    """Let a daemon see every gate shut before the first one opens, and kill it, too."""
    daemon = await lab.daemon()

    def seen() -> bool:
        query = "SELECT count(*) FROM targets WHERE state = 'unverified'"
        return up(lab, daemon) and rows(lab, query)[0][0] == keys

    await lab.until(seen, "every gate to be seen shut")
    daemon.send_signal(signal.SIGKILL)
    await daemon.wait()


def up(lab, daemon) -> bool:
    return rows(lab, "SELECT pid FROM daemon")[0][0] == daemon.pid


def claims(lab) -> int:
    """Notifications that were claimed, and of which nobody knows whether they were sent."""
    query = "SELECT count(*) FROM notifications WHERE lease_until IS NOT NULL AND state = 'pending'"
    # on a busy machine the first daemon is killed before there is a database
    found = lab.ask(query)
    return found[0][0] if found else 0
