"""A reload: while a probe is under way, and with a defect of our own."""

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest
import structlog

from monitor.access.words import Hold
from monitor.config import SettingsError
from monitor.daemon.serve import reload
from monitor.daemon.service_manager import ServiceManager
from monitor.store import status_queries

pytestmark = pytest.mark.anyio


async def test_a_probe_whose_route_leaves_the_settings_ends_and_frees_its_reservation(
    bench, key, simulated, hanging_gate
):
    slow = await hanging_gate.start(contract="provider")
    await bench.simulate(simulated("acme"))
    before = bench.settings(key("acme").replace('route = "sim"', 'route = "slow"'), slow)
    with structlog.testing.capture_logs() as logs:
        monitor = await bench.run(before)
        (old,) = monitor.watches
        async with asyncio.timeout(20):
            await hanging_gate.hangs.wait()
        assert bench.held() >= old.price
        await monitor.reload(bench.settings(key("acme")), [bench.taker])
        (new,) = monitor.watches
        assert new is not old
        hanging_gate.may_answer.set()
        await bench.until(lambda: not old.busy and "unverified" in bench.events())
        await bench.until_idle(monitor)
        assert set(monitor._recorder.tally.probes) == {"sim"}
        await bench.stop()
    assert bench.held() == 0
    assert not [entry for entry in logs if entry["log_level"] == "error"]


async def test_a_defect_in_reading_the_settings_does_not_end_the_daemon(bench, key, simulated):
    def read():
        raise TypeError("'int' object is not iterable")

    await bench.simulate(simulated("acme"))
    with structlog.testing.capture_logs() as logs:
        monitor = await bench.run(bench.settings(key("acme")))
        await bench.until(lambda: "unverified" in bench.events())
        await reload(monitor, ServiceManager({}), read)
        probes = bench.simulator.ledger.count()
        await bench.until(lambda: bench.simulator.ledger.count() > probes)
        await bench.stop()
    (refused,) = [entry for entry in logs if entry["event"] == "reload_refused"]
    assert refused["error"] == "internal: TypeError"


async def test_other_processes_see_whether_the_settings_were_taken(bench, key, simulated):
    def taken() -> bool | None:
        daemon = status_queries.daemon(bench.folder / "monitor.db")
        return daemon and daemon.status.get("settings_taken")

    def unusable():
        raise SettingsError([], "access-monitor.toml")

    await bench.simulate(simulated("acme"))
    monitor = await bench.run(settings := bench.settings(key("acme")))
    await bench.until(lambda: taken() is True)
    await reload(monitor, ServiceManager({}), unusable)
    await bench.until(lambda: taken() is False)
    await reload(monitor, ServiceManager({}), lambda: (settings, [bench.taker]))
    await bench.until(lambda: taken() is True)


async def test_what_is_counted_of_a_route_ends_when_the_settings_no_longer_have_it(
    bench, key, simulated, hanging_gate
):
    relay = await hanging_gate.start(contract="provider")
    await bench.simulate(simulated("acme"))
    before = bench.settings(key("acme").replace('route = "sim"', 'route = "slow"'), relay)
    monitor = await bench.run(before)
    tally = monitor._recorder.tally
    hanging_gate.may_answer.set()
    await bench.until(lambda: "delivered" in tally.notifications["ops"])
    assert sum(tally.probes["slow"].values()) == tally.lateness.cumulative()[-1] > 0
    await monitor.reload(bench.settings(key("acme")), [bench.taker])
    await bench.until(lambda: "sim" in tally.probes)
    assert "slow" not in tally.durations


async def test_another_cadence_holds_at_once_and_not_from_the_next_probe_on(bench, key, simulated):
    await bench.simulate(simulated("acme"))
    settings = bench.settings(key("acme", "o3:chat"))
    rare = replace(settings.cadence, eager=timedelta(hours=1))
    monitor = await bench.run(replace(settings, cadence=rare))
    await bench.until(lambda: "unverified" in bench.events())
    (watch,) = monitor.watches
    await bench.until(lambda: not watch.busy)
    assert watch.memory.next_probe_at - bench.now() > timedelta(minutes=20)
    probes = bench.simulator.ledger.count(what="gated")
    await monitor.reload(settings, [bench.taker])
    await bench.until(lambda: bench.simulator.ledger.count(what="gated") > probes + 2)


async def test_another_image_gap_holds_at_once(bench, key, simulated):
    await bench.simulate(simulated("acme"))
    settings = bench.settings(key("acme"))
    monitor = await bench.run(settings)
    (watch,) = monitor.watches
    await bench.until(lambda: bench.simulator.ledger.count(what="gated") > 2)
    wide = replace(settings.cadence, image_gap=timedelta(hours=1))
    await monitor.reload(replace(settings, cadence=wide), [bench.taker])
    await bench.until(lambda: watch.memory.held_by is Hold.IMAGE_GAP)
    assert watch.memory.next_probe_at - bench.now() > timedelta(minutes=50)
