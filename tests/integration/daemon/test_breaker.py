"""A route that refuses everybody, and one that refuses only some."""

from dataclasses import replace
from datetime import timedelta

import pytest

from monitor.access.words import Hold

pytestmark = pytest.mark.anyio

#: shorter holds are not shown
TRIAL = timedelta(seconds=15)


def refused(what: str, until: str = "inf") -> str:
    return f'[[keys.faults]]\nwhat = "{what}"\nretry_after = 5\nbetween = [[0, {until}]]\n'


def slow(settings):
    return replace(settings, cadence=replace(settings.cadence, trial=TRIAL))


def watched(key, names):
    return "".join(key(name, "gpt-5.1:stream") for name in names)


async def all_are_held(bench, monitor):
    watches = list(monitor.watches)
    await bench.until(lambda: all(one.memory.held_by is Hold.BREAKER for one in watches))
    return watches


async def test_rate_limits_of_other_keys_keep_no_key_from_being_probed(bench, key, simulated):
    limited = ["limited-1", "limited-2", "limited-3"]
    faults = (simulated(name, more=refused("rate_limited")) for name in limited)
    await bench.simulate("".join(faults) + simulated("solo"))
    monitor = await bench.run(slow(bench.settings(watched(key, limited))))
    await all_are_held(bench, monitor)
    begun = bench.now()
    await monitor.reload(slow(bench.settings(watched(key, [*limited, "solo"]))), [bench.taker])
    await bench.until(lambda: "unverified" in bench.events("solo/gpt-5.1:stream"))
    assert bench.now() - begun < timedelta(seconds=8)


async def test_what_was_held_is_probed_when_the_route_answers_again(bench, key, simulated):
    names = ["acme", "other", "third"]
    refusing = (simulated(name, more=refused("edge_forbidden", "8")) for name in names)
    await bench.simulate("".join(refusing))
    monitor = await bench.run(slow(bench.settings(watched(key, names))))
    watches = await all_are_held(bench, monitor)
    await bench.until(lambda: bench.events().count("unverified") == 3)
    told = [one.at for one in bench.history() if one.kind == "unverified"]
    assert max(told) - min(told) < timedelta(seconds=8)
    assert not any(one.memory.held_by for one in watches)
