"""More than anybody reads: a log that is blocked, and 10,000 notifications that wait at the start."""

import asyncio
import fcntl
import itertools
import json
import os
import signal
import sqlite3
import sys
from contextlib import closing
from pathlib import Path

import pytest
from warm_command import COMMAND
from watched import scenario, secrets, settings

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(300)]

SCOPES = 40
FORGETFUL = Path(__file__).with_name("forgetful.py")


def hurry(lab, fast: str, *keys: str) -> None:
    """Settings by which each key is probed 50 times a second, and each probe is a line of the log."""
    text = settings(lab.base_url, keys, monitor='log_level = "debug"', route="rate = 1000.0")
    lab.settings.write_text(text + fast.replace('eager = "300ms"', 'eager = "20ms"'))


async def asked(lab) -> int:
    """How many requests the simulator has had."""
    return (await lab.totals())["requests"]


async def test_a_log_that_nobody_reads_stops_no_probe_and_counts_what_it_loses(
    lab, fast, fault, torture
):
    keys = [f"acme{n}" for n in range(40)]
    kept = 10_000 if torture else 400
    await lab.simulate(scenario(dict.fromkeys(keys, "")))
    hurry(lab, fast, *keys)
    out, into = os.pipe()
    fcntl.fcntl(into, fcntl.F_SETPIPE_SZ, 4096)
    command = [str(COMMAND)] if torture else [sys.executable, str(FORGETFUL), str(kept)]
    process = await asyncio.create_subprocess_exec(
        *command, "run", "--config", lab.settings, cwd=lab.folder, stderr=into,
        stdout=asyncio.subprocess.DEVNULL,
        env=lab.environ | secrets(keys),
    )  # fmt: skip
    os.close(into)

    async def enough() -> bool:
        # each probe is a line
        return await asked(lab) > kept * 1.1 + 200

    try:
        # notes of the start are printed, not logged: they are read
        await asyncio.to_thread(read_until, out, b"remembers in:")
        await lab.until(enough, "probes while the log is blocked", patience=150)
        blocked = await asked(lab)
        text = await asyncio.to_thread(read_until, out, b'"log_lines_lost"')
        process.send_signal(signal.SIGTERM)
        text += await asyncio.to_thread(read_all, out)
        await asyncio.wait_for(process.wait(), 15)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
        os.close(out)
    assert process.returncode == 0
    lines = [json.loads(line) for line in text.decode().splitlines() if line.startswith("{")]
    (said,) = [line for line in lines if line["event"] == "log_lines_lost"]
    probes = sum(line["event"] in ("probe", "model_list") for line in lines)
    # what was under way at the stop was answered, and is not logged; and among the lost may be the lines
    # of the first transitions and of the start
    assert -len(keys) - 5 <= await asked(lab) - probes - said["lines"] <= len(keys)
    fault(
        "the log's pipe is full and nobody reads it", f"{blocked} probes",
        f"probes go on as if it were read; {kept} lines are kept, the others counted and said",
        f"{probes} probes in the log, {said['lines']} lines lost and said to be, none unaccounted; status 0",
    )  # fmt: skip


async def test_a_stop_does_not_wait_for_who_never_reads_the_log(lab, fast, fault):
    await lab.simulate(scenario({"acme": ""}))
    hurry(lab, fast, "acme")
    out, into = os.pipe()
    fcntl.fcntl(into, fcntl.F_SETPIPE_SZ, 4096)
    process = await asyncio.create_subprocess_exec(
        COMMAND, "run", "--config", lab.settings, cwd=lab.folder, stderr=into,
        stdout=asyncio.subprocess.DEVNULL, env={**lab.environ, "ACME": "sk-sim-FAKE-acme"},
    )  # fmt: skip
    os.close(into)
    wanted = 40

    async def enough() -> bool:
        return await asked(lab) > wanted

    try:
        await asyncio.to_thread(read_until, out, b"remembers in:")
        await lab.until(enough, "probes while the log is blocked", patience=120)
        process.send_signal(signal.SIGTERM)
        await asyncio.wait_for(process.wait(), 15)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
        os.close(out)
    assert process.returncode == 0
    fault("a stop while the log's pipe is full", 1, "in order, within a bounded time",
          f"status 0 after {wanted} probes that nobody read of")  # fmt: skip


def read_until(number: int, wanted: bytes) -> bytes:
    data = b""
    while wanted not in data:
        read = os.read(number, 65536)
        assert read, f"it ended without {wanted!r}"
        data += read
    return data


def read_all(number: int) -> bytes:
    return b"".join(iter(lambda: os.read(number, 65536), b""))


async def test_ten_thousand_notifications_that_wait_are_delivered_in_order(
    lab, fast, fault, torture
):
    count = 10_000 if torture else 2_000
    await lab.open_ends()
    await lab.simulate(scenario({"acme": ""}))
    lab.settings.write_text(settings(lab.base_url, ["acme"], channels=["slack", "mail"]) + fast)
    lab.environ |= secrets(["acme"])
    first = await lab.daemon()
    await lab.told("unverified")
    await lab.until(lambda: bool(lab.slack.ids and lab.mail.ids), "the first alert")
    first.send_signal(signal.SIGTERM)
    assert await first.wait() == 0
    for end in (lab.slack, lab.mail):
        end.arrivals.clear()
    scopes = owe(lab.folder / "monitor.db", count)
    daemon = await lab.daemon()

    def told() -> bool:
        return all(set(scopes) <= set(end.ids) for end in (lab.slack, lab.mail))

    most = 0

    def told_watching() -> bool:
        nonlocal most
        most = max(most, memory(daemon.pid))
        return told()

    await lab.until(told_watching, "both ends to have them all", patience=240)
    daemon.send_signal(signal.SIGTERM)
    assert await daemon.wait() == 0
    for end in (lab.slack, lab.mail):
        ids = [id_ for id_ in end.ids if id_ in scopes]
        assert len(ids) == len(set(ids)) == count
        for scope in range(SCOPES):
            own = [id_ for id_ in ids if scopes[id_] == scope]
            assert all(a < b for a, b in itertools.pairwise(own))
    assert most < 300
    fault(
        f"{count} notifications on each of two channels wait at the start", 1,
        "delivered in order, memory bounded",
        f"all, each once, in {len(lab.slack.arrivals)} and {len(lab.mail.arrivals)} messages;"
        f" at most {most} MB of memory",
    )  # fmt: skip


def memory(pid: int) -> int:
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) // 1024


def owe(path: Path, count: int) -> dict[int, int]:
    """Let the database hold what a long outage of the channels leaves; each event's scope."""
    scopes = {}
    with closing(sqlite3.connect(path)) as database, database:
        (first,) = database.execute("SELECT max(id) + 1 FROM events").fetchone()
        (row,) = database.execute(
            "SELECT at, target_id, target, route FROM events WHERE kind = 'unverified'"
        ).fetchall()
        at, target_id, target, route = row
        for n in range(count):
            scopes[first + n] = n % SCOPES
            database.execute(
                "INSERT INTO events (id, kind, target_id, target, scope, route, before, after,"
                " at, reason, diagnosis, facts) VALUES (?, 'propagating', ?, ?, ?, ?,"
                " 'unverified', 'propagating', ?, 'verified_declared', 'verification_required', ?)",
                (
                    first + n,
                    target_id,
                    f"{target}-{n % SCOPES}",
                    f"org-{n % SCOPES}",
                    route,
                    at,
                    "{}",
                ),
            )
            for channel in ("slack", "mail"):
                database.execute(
                    "INSERT INTO notifications (event_id, channel, state, attempts, created_at)"
                    " VALUES (?, ?, 'pending', 0, ?)",
                    (first + n, channel, at),
                )
    return scopes
