"""A server that asks to wait is left alone until then, whatever happens meanwhile."""

from dataclasses import replace
from datetime import timedelta

import pytest

from monitor.access.words import Code, Hold, State
from monitor.config.references import Secret

pytestmark = pytest.mark.anyio

LONG = timedelta(minutes=5)


@pytest.fixture
def limited(simulated):
    """The scenario of a key that is refused, and from the fourth second on asked to wait for ten minutes."""
    fault = '[[keys.faults]]\nwhat = "rate_limited"\nretry_after = 600\nbetween = [[4, inf]]\n'
    return lambda name: simulated(name, more=fault)


async def asked_to_wait(bench, settings):
    monitor = await bench.run(settings)
    watch = monitor.watches.get("acme/o3:chat")
    await bench.until(lambda: watch.memory.held_by is Hold.RETRY_AFTER and not watch.busy)
    assert watch.memory.state is State.UNVERIFIED
    return monitor, watch


def due(monitor, watch):
    return monitor._schedule._dates[watch.name]


async def test_a_restart_keeps_the_wait_that_a_server_asked_for(bench, key, limited):
    await bench.simulate(limited("acme"))
    settings = bench.settings(key("acme", "o3:chat"))
    _, watch = await asked_to_wait(bench, settings)
    asked = watch.memory.next_probe_at
    assert asked - bench.now() > LONG
    await bench.stop()
    monitor = await bench.run(settings)
    assert due(monitor, monitor.watches.get(watch.name)) == asked


async def test_a_siblings_opening_does_not_end_it(bench, key, simulated, limited):
    await bench.simulate(limited("acme") + simulated("other", "[keys.gate]\nopen = 12"))
    settings = bench.settings(key("acme", "o3:chat") + key("other", "o3:chat"))
    monitor, watch = await asked_to_wait(bench, settings)
    await bench.until(lambda: watch.memory.state is State.PROPAGATING)
    assert due(monitor, watch) - bench.now() > LONG


async def test_a_reload_keeps_it_too(bench, key, limited):
    await bench.simulate(limited("acme"))
    settings = bench.settings(key("acme", "o3:chat"))
    monitor, watch = await asked_to_wait(bench, settings)
    asked = watch.memory.next_probe_at
    watch.memory = replace(watch.memory, blockers=(Code.MODEL_UNAVAILABLE,))
    eager = replace(settings.cadence, eager=timedelta(milliseconds=100))
    await monitor.reload(replace(settings, cadence=eager), [bench.taker])
    assert due(monitor, watch) == asked


async def test_a_new_secret_ends_it(bench, key, limited):
    await bench.simulate(limited("acme"))
    settings = bench.settings(key("acme", "o3:chat"))
    monitor, watch = await asked_to_wait(bench, settings)
    (old,) = settings.keys
    new = replace(old, secret=Secret("sk-test-FAKE-another-0002", "env:ACME"))
    await monitor.reload(replace(settings, keys=(new,)), [bench.taker])
    await bench.until(lambda: watch.memory.last_diagnosis is Code.INVALID_CREDENTIALS)
