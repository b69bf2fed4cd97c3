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

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(300)]

SCOPES = 40


def scenario(more: str = "") -> str:
    return (
        'name = "load"\n[[keys]]\nname = "acme"\nsecret = "sk-sim-FAKE-acme"\n'
        f'organization = "org-acme"\n[keys.gate]\n{more}'
    )


def settings(base_url: str, fast: str, channels: str) -> str:
    return (
        '[monitor]\ndatabase = "sqlite:///monitor.db"\nlog_format = "json"\n'
        f'[routes.sim]\nbase_url = "{base_url}"\ncontract = "direct"\nrate = 500.0\n'
        f'{channels}[[keys]]\nname = "acme"\nsecret = "env:ACME"\norganization = "org-acme"\n'
        f'route = "sim"\nwatch = ["gpt-5.1:summary"]\n{fast}'
    )


async def test_a_log_that_nobody_reads_does_not_stop_a_probe(lab, fast, fault, torture):
    await lab.simulate(scenario())
    lab.settings.write_text(
        settings(lab.base_url, fast.replace('eager = "300ms"', 'eager = "20ms"'), "")
    )
    out, into = os.pipe()
    fcntl.fcntl(into, fcntl.F_SETPIPE_SZ, 4096)
    command = Path(sys.executable).with_name("access-monitor")
    process = await asyncio.create_subprocess_exec(
        command, "run", "--config", lab.settings, cwd=lab.folder, stderr=into,
        stdout=asyncio.subprocess.DEVNULL, env={**lab.environ, "ACME": "sk-sim-FAKE-acme"},
    )  # fmt: skip
    os.close(into)
    wanted = 600 if torture else 150

    async def probed() -> bool:
        return len([e for e in (await lab.ledger())["log"] if e["what"] == "gated"]) > wanted

    try:
        # notes of the start are printed, not logged: they are read
        head = await asyncio.to_thread(read_until, out, b"remembers in:")
        await lab.until(probed, "looks while the log is blocked", patience=120)
        process.send_signal(signal.SIGTERM)
        await asyncio.wait_for(process.wait(), 15)
        tail = await asyncio.to_thread(read_all, out)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
        os.close(out)
    assert process.returncode == 0
    fault(
        "the log's pipe is full and nobody reads it", 1,
        "looks go on as if it were read; 10,000 lines are kept, then counted; the stop is in order",
        f"{wanted} looks with {len(head) + len(tail)} bytes read, status 0",
    )  # fmt: skip


def read_until(number: int, wanted: bytes) -> bytes:
    data = b""
    while wanted not in data:
        data += os.read(number, 1024)
    return data


def read_all(number: int) -> bytes:
    return b"".join(iter(lambda: os.read(number, 65536), b""))


async def test_ten_thousand_notifications_that_wait_are_delivered_in_order(
    lab, fast, fault, torture
):
    count = 10_000 if torture else 2_000
    await lab.open_ends()
    await lab.simulate(scenario())
    channels = "".join(
        f'[[channels]]\nname = "{name}"\nurl = "env:{name.upper()}_URL"\n'
        for name in ("slack", "mail")
    )
    lab.settings.write_text(settings(lab.base_url, fast, channels))
    lab.environ["ACME"] = "sk-sim-FAKE-acme"
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
    """Let the database hold what a long outage of the channels leaves; each happening's scope."""
    scopes = {}
    with closing(sqlite3.connect(path)) as database, database:
        (first,) = database.execute("SELECT max(id) + 1 FROM happenings").fetchone()
        (row,) = database.execute(
            "SELECT at, target_id, target, route FROM happenings WHERE event = 'unverified'"
        ).fetchall()
        at, target_id, target, route = row
        for n in range(count):
            scopes[first + n] = n % SCOPES
            database.execute(
                "INSERT INTO happenings (id, kind, event, target_id, target, scope, route, before, after,"
                " at, reason, diagnosis, facts) VALUES (?, 'transition', 'propagating', ?, ?, ?, ?,"
                " 'unverified', 'propagating', ?, 'verified_declared', 'verification_required', ?)",
                (first + n, target_id, target, f"org-{n % SCOPES}", route, at, json.dumps({})),
            )
            for channel in ("slack", "mail"):
                database.execute(
                    "INSERT INTO notifications (happening_id, channel, state, attempts, created_at)"
                    " VALUES (?, ?, 'pending', 0, ?)",
                    (first + n, channel, at),
                )
    return scopes
