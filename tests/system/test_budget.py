"""Whatever the server answers, whatever is killed in between: what was billed never exceeds the budget.

But for what the design names: what flickers open, is cut, and shuts again before any light was seen may
be billed unseen. It is told apart by the simulator's ledger and the monitor's own memory.
"""

import asyncio
import os
import random
import signal
import sqlite3
import tempfile
from contextlib import AsyncExitStack, closing
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import pytest

pytestmark = pytest.mark.timeout(1500)

PER_KEY, PER_MONTH = 0.010, 0.014
FAULTS = (
    "timeout",
    "cut",
    "server_error",
    "bad_gateway",
    "broken_json",
    "reset",
    "empty_data",
    "slow",
)

#: Runs; the long form plays this many, four at a time.
RUNS, LONG, TOGETHER = 4, 200, 4


def chosen(seed: int):
    """Gates, faults and the milliseconds after which the daemon is killed."""
    dice = random.Random(seed)
    gates = [(dice.randint(0, 8), dice.randint(1, 6)) for _ in range(dice.randint(1, 3))]
    troubles = [
        {
            "what": dice.choice(FAULTS),
            "probability": dice.choice([0.2, 0.5, 1.0]),
            "from": dice.randint(0, 6),
            "for": dice.randint(1, 5),
        }
        for _ in range(dice.randint(0, 3))
    ]
    return gates, troubles, [dice.randint(600, 2200) for _ in range(dice.randint(0, 3))]


def lit(path: Path) -> dict[str, datetime]:
    """When the monitor first saw each target granted, as far as it remembers."""
    query = (
        "SELECT t.name, min(r.first_at) FROM runs r JOIN targets t ON t.id = r.target_id"
        " WHERE r.diagnosis = 'access_granted' GROUP BY t.name"
    )
    with closing(sqlite3.connect(path)) as database:
        rows = database.execute(query).fetchall()
    return {
        f"{name.split('/')[0]}/{name.rsplit(':')[-1]}": datetime.fromisoformat(at).replace(
            tzinfo=UTC
        )
        for name, at in rows
    }


def owns(path: Path, pid: int) -> bool:
    """Whether this process has the database."""
    try:
        with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as database:
            return database.execute("SELECT pid FROM daemon").fetchone() == (pid,)
    except sqlite3.Error:
        return False  # not made yet


def unseen(log, seen: dict[str, datetime]) -> dict[str, float]:
    """By key, what was billed before any light was seen, and followed by a refusal before it."""
    usd = dict.fromkeys(("one", "two"), 0.0)
    pending: dict[str, float] = {}
    for entry in log:
        # a key watches each surface once; the tool's request names another model
        target = f"{entry['key']}/{entry['surface']}"
        at = datetime.fromisoformat(entry["at"])
        if target in seen and at >= seen[target]:
            continue
        if entry["what"] == "gated":
            usd[entry["key"]] += pending.pop(target, 0.0)
        elif entry["billed_usd"]:
            pending[target] = pending.get(target, 0.0) + entry["billed_usd"]
    return usd


def scenario(gates, troubles) -> str:
    at = sorted(dict(gates).items())
    spans, end = [], -1
    for begin, length in at:
        if begin > end:
            spans.append([begin, begin + length])
            end = begin + length
    parts = ['name = "budget"']
    for name in ("one", "two"):
        parts.append(
            f'[[keys]]\nname = "{name}"\nsecret = "sk-sim-FAKE-{name}-0001"\n[keys.gate]\nopen = {spans}'
        )
        for fault in troubles:
            seconds = "seconds = 0.4\n" if fault["what"] in ("timeout", "slow") else ""
            parts.append(
                f'[[keys.faults]]\nwhat = "{fault["what"]}"\nprobability = {fault["probability"]}\n'
                f"between = [[{fault['from']}, {fault['from'] + fault['for']}]]\n{seconds}"
            )
    return "\n".join(parts)


def monitor(base_url: str, fast: str) -> str:
    parts = [
        '[monitor]\ndatabase = "sqlite:///monitor.db"\nlog_format = "json"',
        f'[routes.sim]\nbase_url = "{base_url}"\ncontract = "direct"\nrate = 500.0',
        f"[budget]\nper_key_per_day = {PER_KEY}\nper_month = {PER_MONTH}",
    ]
    for name in ("one", "two"):
        parts.append(
            f'[[keys]]\nname = "{name}"\nsecret = "env:KEY_{name.upper()}"\nroute = "sim"\n'
            'watch = ["gpt-image-2", "gpt-image-2:image_tool", "gpt-5.1:summary"]'
        )
    return "\n".join(parts) + fast


@pytest.mark.anyio
async def test_what_was_billed_never_exceeds_the_budget(new_lab, fast, torture, fault):
    seen = {"billed": 0.0, "unseen": 0.0, "runs": 0, "paid": 0, "kills": 0}

    async def play(seed: int) -> None:
        gates, troubles, delays = chosen(seed)
        with tempfile.TemporaryDirectory() as folder:
            async with AsyncExitStack() as stack:
                lab = new_lab(Path(folder), stack)
                await lab.simulate(scenario([], []))
                lab.environ |= {
                    "KEY_ONE": "sk-sim-FAKE-one-0001",
                    "KEY_TWO": "sk-sim-FAKE-two-0001",
                }
                lab.settings.write_text(monitor(lab.base_url, fast))
                for number, delay in enumerate([*delays, None]):
                    daemon = await lab.daemon()
                    await lab.until(
                        partial(owns, lab.folder / "monitor.db", daemon.pid), "a start", 120
                    )
                    if number == 0:
                        await lab.replay(scenario(gates, troubles))
                    await asyncio.sleep(6 if delay is None else delay / 1000)
                    daemon.send_signal(signal.SIGTERM if delay is None else signal.SIGKILL)
                    assert await daemon.wait() in (0, -signal.SIGKILL)
                ledger = await lab.ledger()
                hidden = unseen(ledger["log"], lit(lab.folder / "monitor.db"))
                billed = {key: -usd for key, usd in hidden.items()}
                for row in ledger["billed"]:
                    billed[row["key"]] += row["usd"]
                assert max(billed.values()) <= PER_KEY + 1e-9, seed
                assert sum(billed.values()) <= PER_MONTH + 1e-9, seed
                seen["billed"] = max(seen["billed"], sum(billed.values()))
                seen["unseen"] = max(seen["unseen"], sum(hidden.values()))
                seen["runs"] += 1
                seen["paid"] += ledger["billed_usd"] > 0
                seen["kills"] += len(delays)

    first = int(os.environ.get("BUDGET_FROM", "0"))  # so that the long form can be made in portions
    count = int(os.environ.get("BUDGET_RUNS", LONG if torture else RUNS))
    places = asyncio.Semaphore(TOGETHER)

    async def in_turn(seed: int) -> None:
        async with places:
            await play(seed)

    await asyncio.gather(*(in_turn(seed) for seed in range(first, first + count)))
    fault(
        "random gates, faults and SIGKILLs against a small budget",
        f"{seen['runs']} runs ({seen['paid']} were billed), {seen['kills']} kills",
        f"the bill stays within ${PER_KEY} a key and day and ${PER_MONTH} a month",
        f"at most ${seen['billed']:.5f} billed in a run, and ${seen['unseen']:.5f} unseen before any light",
    )
