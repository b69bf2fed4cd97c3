"""A reload: while a probe is under way, and with a defect of our own."""

import asyncio

import pytest
import structlog

from monitor.daemon.serve import reload
from monitor.daemon.service_manager import ServiceManager

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
