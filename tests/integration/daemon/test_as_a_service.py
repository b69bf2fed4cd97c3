"""The monitor and what watches it: the service manager, the database's note, the dead man's switch."""

import asyncio
import contextlib
import socket
import sqlite3

import pytest
from listening import listening
from quick_time import FACTOR, PATIENCE

from monitor.daemon import health_reporter
from monitor.daemon.service import Monitor
from monitor.daemon.service_manager import ServiceManager
from monitor.store import status_queries, target_queries
from monitor.store.record_forms import as_json
from monitor.store.status_queries import trouble

pytestmark = pytest.mark.anyio


@pytest.fixture
def manager():
    """A service manager that keeps what it is told."""
    with contextlib.closing(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)) as end:
        end.bind("")
        end.setblocking(False)
        yield end, ServiceManager({"NOTIFY_SOCKET": "@" + end.getsockname()[1:].decode()})


async def heard(end, wanted):
    """What was told until something wanted came."""
    lines, loop = [], asyncio.get_running_loop()
    async with asyncio.timeout(PATIENCE * FACTOR):
        while not any(wanted in line for line in lines):
            lines += (await loop.sock_recv(end, 10_000)).decode().split("\n")
    return lines


def test_what_is_blocked_stands_beside_the_states():
    class Watched(list):
        def counts(self):
            return {"locked": 1, "blocked": 2, "unknown": 2}

    line = health_reporter.status_line(Watched([1, 2, 3]), {"pending": 1})
    assert line == "3 targets: 2 unknown, 1 locked (2 blocked); 1 alert pending"


async def test_the_service_manager_hears_ready_then_how_it_goes_then_the_end(
    bench, key, simulated, manager
):
    end, told = manager
    await bench.simulate(simulated("acme", '[keys.capabilities."gpt-image-2:images"]\nopen = 0.5'))
    settings = bench.settings(key("acme"), '[delivery]\ngroup_within = "50ms"\n')
    monitor = Monitor(settings, [bench.taker], manager=told, clock=bench.clock)
    await monitor.start()
    running = asyncio.create_task(monitor.run())
    try:
        lines = await heard(end, "1 target: 1 available; 0 alerts pending")
        assert lines[0] == "READY=1"
        assert lines[1].startswith("STATUS=1 target: 1 un")
        assert "WATCHDOG=1" in await heard(end, "WATCHDOG=1")
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        await monitor.stop()
    assert "STOPPING=1" in await heard(end, "STATUS=stopping")


async def test_who_makes_no_progress_says_so_and_leaves_the_watchdog_alone(
    bench, key, simulated, manager, monkeypatch
):
    monkeypatch.setattr(health_reporter, "_WRITTEN_MOST", 0.0)
    end, told = manager
    await bench.simulate(simulated("acme"))
    monitor = Monitor(bench.settings(key("acme")), [bench.taker], manager=told, clock=bench.clock)
    await monitor.start()
    running = asyncio.create_task(monitor.run())
    try:
        lines = await heard(end, "nothing could be written to the database")
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        await monitor.stop()
    assert lines[0] == "READY=1"
    assert "WATCHDOG=1" not in lines


async def test_progress_is_noted_with_the_first_beat_for_whoever_checks(bench, key, simulated):
    await bench.simulate(simulated("acme"))
    await bench.run(bench.settings(key("acme")))
    path = bench.folder / "monitor.db"
    await bench.until(lambda: status_queries.daemon(path).status)
    row = status_queries.daemon(path)
    assert trouble(row, bench.now()) is None
    assert row.status["stalled"] == []
    assert row.status["targets"] == 1
    await bench.stop()
    assert "is stopped since" in trouble(status_queries.daemon(path), bench.now())


async def test_a_note_that_can_be_written_is_no_progress_while_results_cannot(
    bench, key, simulated, monkeypatch
):
    monkeypatch.setattr(health_reporter, "_WRITTEN_MOST", 5.0)
    monkeypatch.setattr(health_reporter, "NOTE_EVERY", 1.0)
    await bench.simulate(simulated("acme"))
    monitor = await bench.run(bench.settings(key("acme", "gpt-5.1:summary")))
    await bench.until(lambda: bench.events().count("unverified") == 1)
    path = bench.folder / "monitor.db"
    with contextlib.closing(sqlite3.connect(path)) as database:
        database.execute("ALTER TABLE runs RENAME TO elsewhere")
    await bench.until(monitor._reporter.stalled)
    with contextlib.closing(sqlite3.connect(path)) as database:
        database.execute("ALTER TABLE elsewhere RENAME TO runs")
    await bench.until(lambda: not monitor._reporter.stalled())


async def test_a_start_tells_what_happened_since_the_last_one(bench, key, simulated):
    await bench.simulate(simulated("acme"))
    settings = bench.settings(key("acme", "gpt-image-2", "gpt-5.1:summary"))
    await bench.run(settings)
    await bench.until(lambda: bench.events().count("unverified") == 2)
    await bench.stop()
    await bench.run(settings)
    await bench.stop()
    first, second = (h for h in bench.history() if h.kind == "started")
    assert first.facts["since_last_start"] == {}
    assert second.facts["since_last_start"] == {"unverified": 2}
    assert second.facts["counts"] == {"unverified": 2}


async def test_a_start_says_since_when_no_daemon_had_lived(bench, key, simulated):
    await bench.simulate(simulated("acme"))
    settings = bench.settings(key("acme"))
    path = bench.folder / "monitor.db"
    await bench.run(settings)
    await bench.stop()
    stopped = status_queries.daemon(path).stopped_at
    await bench.run(settings)
    await bench.stop()
    killed = status_queries.daemon(path).progress_at
    with contextlib.closing(sqlite3.connect(path)) as database:
        database.execute("UPDATE daemon SET stopped_at = NULL")  # as a killed one leaves it
        database.commit()
    await bench.run(settings)
    await bench.stop()
    starts = [one for one in bench.history() if one.kind == "started"]
    assert [one.facts.get("down_since") for one in starts] == [
        None,
        as_json(stopped),
        as_json(killed),
    ]
    gaps = target_queries.timelines(path, ["acme/gpt-image-2:images"], starts[0].at).gaps
    assert [end for _, end in gaps] == [starts[1].at, starts[2].at]
    assert all(start <= end for start, end in gaps)


async def test_the_dead_mans_switch_is_called_and_its_url_is_hidden(bench, key, simulated):
    paths = []

    async def take(reader, writer):
        paths.append((await reader.readuntil(b"\r\n\r\n")).split()[1].decode())
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        await writer.drain()

    port = await bench._stack.enter_async_context(listening(take))
    (bench.folder / "switch").write_text(f"http://127.0.0.1:{port}/FAKE-switch-0001")
    await bench.simulate(simulated("acme"))
    figures = '[heartbeat]\nurl = "file:switch"\nevery = "1s"\n'
    await bench.run(bench.settings(key("acme"), figures))
    await bench.until(lambda: len(paths) >= 3)
    await bench.stop()
    assert paths[:3] == ["/FAKE-switch-0001/start", "/FAKE-switch-0001", "/FAKE-switch-0001"]
