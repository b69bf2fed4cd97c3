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

from bench_lab import CAPABILITY, Lab, Machine, lab

from monitor.access.target import Target
from monitor.config import load
from monitor.store.recorder import Recorder

ROUNDS = 3
#: Seconds each may take.
LIMITS = {
    "--help": 0.25, "healthcheck": 0.25, "explain": 0.25,
    "status": 0.6, "status json": 0.6, "history": 0.6, "history of a target": 0.6,
    "history of a pattern": 0.6, "history since": 0.6,
}  # fmt: skip
#: The keys are a pool: ten thousand tables of TOML alone take a second to parse.
_SETTINGS = """
[monitor]
database = "sqlite:///monitor.db"
[routes.sim]
base_url = "http://127.0.0.1:9/v1"
contract = "direct"
[[pools]]
name = "many"
secrets = "file:many.keys"
route = "sim"
watch = ["{capability}"]
"""
_REFUSAL = (
    '{"error": {"message": "Your organization must be verified to use the model `gpt-image-2`."}}'
)


async def commands(folder: Path, targets: int, transitions: int) -> dict[str, Any]:
    """Make the database, then run each command."""
    async with lab(folder) as one:
        one.config.write_text(_SETTINGS.format(capability=CAPABILITY))
        pool = one.folder / "many.keys"
        pool.touch(mode=0o600)
        pool.write_text("\n".join(f"sk-sim-FAKE-{n:05d}-0001" for n in range(targets)))
        watched = load(one.config, {}).targets()
        began = time.perf_counter()
        await _fill(one.database, watched, transitions)
        filled = time.perf_counter() - began
        machine = Machine()
        took = {
            name: await _best(one, arguments) for name, arguments in _calls(one, watched).items()
        }
        return {
            "targets": targets,
            "transitions": transitions,
            "database_mb": one.database.stat().st_size / 1e6,
            "filled_s": filled,
            "others_cores": machine.others(),
            "seconds": took,
            "python_s": await _bare(one),
        }


def _calls(one: Lab, watched: Sequence[Target]) -> dict[str, list[str]]:
    config = ["--config", str(one.config)]
    target = watched[len(watched) // 2].name
    return {
        "--help": ["--help"],
        "healthcheck": ["healthcheck", *config],
        "explain": ["explain", "--status", "403"],
        "status": ["status", *config],
        "status json": ["status", "--format", "json", *config],
        "history": ["history", *config],
        "history of a target": ["history", target, *config],
        "history of a pattern": ["history", "many-0*", *config],
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


async def _fill(path: Path, watched: Sequence[Target], transitions: int) -> None:
    recorder = await Recorder.open(path, clock=lambda: datetime.now(UTC))
    await recorder.register(watched)
    await recorder.progress({})
    await recorder.aclose()
    begin = datetime.now(UTC) - timedelta(days=30)
    step = timedelta(days=30) / transitions
    facts = json.dumps({"organization": "org-acme", "probes": 12, "message": "refused " * 10})
    rows = (
        (
            number + 1, "unverified", number % len(watched) + 1,
            watched[number % len(watched)].name, watched[number % len(watched)].scope, "sim",
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
            "INSERT INTO events (id, kind, target_id, target, scope, route, before, after,"
            " at, reason, diagnosis, request_id, facts) VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?)", rows,
        )  # fmt: skip
        connection.executemany(
            "INSERT INTO notifications (event_id, channel, state, attempts, created_at)"
            " VALUES (?,?,?,?,?)", told,
        )  # fmt: skip
