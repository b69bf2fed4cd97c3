"""Commands over a database of 10,000 targets and 1,000,000 transitions: seconds, the best of three."""

import asyncio
import json
import sqlite3
import sys
import time
from collections.abc import Sequence
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from bench_lab import CAPABILITY, Key, Lab, Machine, lab, many
from bench_lab import settings as settings_of

from monitor.access.target import Capability, Target
from monitor.access.words import Contract, Surface
from monitor.store.recorder import Recorder

ROUNDS = 1
#: Seconds each may take.
LIMITS = {
    "--help": 0.25, "healthcheck": 0.25, "explain": 0.25,
    "status": 0.6, "status json": 0.6, "history": 0.6, "history of a target": 0.6,
    "history of a pattern": 0.6, "history since": 0.6,
}  # fmt: skip
_REFUSAL = (
    '{"error": {"message": "Your organization must be verified to use the model `gpt-image-2`."}}'
)


async def commands(folder: Path, targets: int, transitions: int) -> dict[str, Any]:
    """Make the database, then run each command."""
    keys = many(targets)
    async with lab(folder) as one:
        one.config.write_text(settings_of("http://127.0.0.1:9/v1", keys, one.folder))
        began = time.perf_counter()
        await _fill(one.database, keys, transitions)
        filled = time.perf_counter() - began
        machine = Machine()
        took = {name: await _best(one, arguments) for name, arguments in _calls(one, keys).items()}
        return {
            "targets": targets,
            "transitions": transitions,
            "database_mb": one.database.stat().st_size / 1e6,
            "filled_s": filled,
            "others_cores": machine.others(),
            "seconds": took,
            "python_s": await _bare(one),
        }


def _calls(one: Lab, keys: Sequence[Key]) -> dict[str, list[str]]:
    config = ["--config", str(one.config)]
    target = keys[len(keys) // 2].target
    return {
        "--help": ["--help"],
        "healthcheck": ["healthcheck", *config],
        "explain": ["explain", "--status", "403"],
        "status": ["status", *config],
        "status json": ["status", "--format", "json", *config],
        "history": ["history", *config],
        "history of a target": ["history", target, *config],
        "history of a pattern": ["history", "key-0*", *config],
        "history since": ["history", "--since", "1h", *config],
    }


async def _best(one: Lab, arguments: list[str]) -> float:
    results = [await one.call(*arguments, stdin=_REFUSAL) for _ in range(ROUNDS)]
    for _, status, out in results:
        if status not in (0, 1) or "Traceback" in out:
            raise RuntimeError(f"{arguments}: {status}\n{out[-2000:]}")
    return min(seconds for seconds, _, _ in results)


async def _bare(one: Lab) -> float:
    """What the interpreter alone takes on this machine now."""
    best = float("inf")
    for _ in range(ROUNDS):
        began = time.perf_counter()
        process = await asyncio.create_subprocess_exec(sys.executable, "-c", "pass")
        await process.wait()
        best = min(best, time.perf_counter() - began)
    return best


async def _fill(path: Path, keys: Sequence[Key], transitions: int) -> None:
    model, _, surface = CAPABILITY.rpartition(":")
    recorder = await Recorder.open(path, clock=lambda: datetime.now(UTC))
    await recorder.register(
        [
            Target(key.name, Capability(model, Surface(surface)), "sim-0", Contract.DIRECT)
            for key in keys
        ]
    )
    await recorder.progress({})
    await recorder.aclose()
    begin = datetime.now(UTC) - timedelta(days=30)
    step = timedelta(days=30) / transitions
    facts = json.dumps({"organization": "org-acme", "probes": 12, "message": "refused " * 10})
    rows = (
        (
            number + 1, "transition", "unverified", number % len(keys) + 1,
            keys[number % len(keys)].target, f"key {keys[number % len(keys)].name}", "sim-0",
            "unknown", "unverified", f"{begin + number * step:%Y-%m-%d %H:%M:%S.%f}", "gated",
            "verification_required", "req_FAKE", facts,
        )
        for number in range(transitions)
    )  # fmt: skip
    told = (
        (number + 1, "ops", "delivered", 1, f"{begin + number * step:%Y-%m-%d %H:%M:%S.%f}")
        for number in range(transitions)
    )
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("PRAGMA synchronous = OFF")
        connection.executemany(
            "INSERT INTO happenings (id, kind, event, target_id, target, scope, route, before, after,"
            " at, reason, diagnosis, request_id, facts) VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?)", rows,
        )  # fmt: skip
        connection.executemany(
            "INSERT INTO notifications (happening_id, channel, state, attempts, created_at)"
            " VALUES (?,?,?,?,?)", told,
        )  # fmt: skip
