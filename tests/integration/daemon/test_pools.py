"""A pool under watch: many keys of one file, told of together, in step with the file."""

import hashlib

import pytest
from stored import runs_of

from monitor.access.words import ProbeKind

pytestmark = pytest.mark.anyio

CADENCE = '{ eager = "150ms", unverified = "150ms" }'


def secret(number: int) -> str:
    return f"sk-sim-FAKE-pool-{number:04d}"


def name(number: int) -> str:
    return f"pool-a-{hashlib.sha256(secret(number).encode()).hexdigest()[:8]}"


def keys(*scripts: str) -> str:
    """The scenario of so many keys, each of an organization of its own."""
    return "".join(
        f'[[keys]]\nname = "k{n}"\nsecret = "{secret(n)}"\norganization = "org-{n}"\n{script}\n'
        for n, script in enumerate(scripts)
    )


def pool(more: str = "") -> str:
    return (
        '[[pools]]\nname = "pool-a"\nsecrets = "file:a.keys"\nroute = "sim"\n'
        f'watch = ["gpt-image-2"]\n{more}\n'
    )


def put(folder, *lines: str) -> None:
    path = folder / "a.keys"
    path.write_text("".join(line + "\n" for line in lines))
    path.chmod(0o600)


async def test_keys_of_a_pool_have_states_of_their_own_and_share_messages(bench):
    await bench.simulate(keys(*["[keys.gate]\nopen = 12"] * 4, ""))
    put(bench.folder, *(secret(n) for n in range(5)), "sk-sim-FAKE-nobody")
    figures = '[delivery]\ngroup_within = "700ms"\n'
    await bench.run(bench.settings(pool(f"cadence = {CADENCE}"), figures))
    await bench.until(lambda: bench.events().count("available") == 4)
    opened = {h.target for h in bench.history() if h.kind == "available"}
    assert opened == {f"{name(n)}/gpt-image-2:images" for n in range(4)}
    assert not [h for h in bench.history() if h.reason == "sibling_opened"]
    assert {h.scope for h in bench.history() if h.target} == {"pool pool-a"}
    last = "pool-a: 4 available, 1 unverified, 1 invalid credentials"
    await bench.until(lambda: any(text.startswith(last) for text in bench.taker.texts))
    assert all(text.startswith("pool-a: ") for text in bench.taker.texts)
    assert any("changes, pool pool-a: " in title for title in bench.taker.titles)
    assert len(bench.taker.titles) < len(bench.events())


async def test_the_alerts_of_a_pool_go_to_its_channels_alone(bench, key, simulated):
    other = '[[channels]]\nname = "other"\nurl = "env:OPS"\n'
    only = '[[channels]]\nname = "only"\nurl = "env:OPS"\ntargets = ["acme/*"]\n'
    await bench.simulate(keys("") + simulated("acme"))
    put(bench.folder, secret(0))
    await bench.run(
        bench.settings(key("acme") + pool('channels = ["only"]'), channels=other + only)
    )
    await bench.until(lambda: bench.events().count("unverified") == 2)
    told = bench.told()
    assert told[f"{name(0)}/gpt-image-2:images"] == {"only"}
    assert told["acme/gpt-image-2:images"] == {"ops", "other", "only"}


async def test_added_and_removed_lines_are_noticed_when_the_settings_are_read_anew(bench):
    await bench.simulate(keys("", "", ""))
    put(bench.folder, secret(0), secret(1))
    monitor = await bench.run(bench.settings(pool()))
    await bench.until(lambda: bench.events().count("unverified") == 2)
    (kept,) = [one for one in monitor.watches if one.target.key == name(1)]
    put(bench.folder, secret(2), secret(1))
    await monitor.reload(bench.settings(pool(f"cadence = {CADENCE}")), [bench.taker])
    await bench.until(lambda: bench.events().count("unverified") == 3)
    assert {watch.target.key for watch in monitor.watches} == {name(1), name(2)}
    assert kept in monitor.watches
    assert kept.cadence.eager.total_seconds() == 0.15
    gone = bench.simulator.ledger.count(key="k0")
    rest = bench.simulator.ledger.count(key="k1")
    await bench.until(lambda: bench.simulator.ledger.count(key="k1") > rest + 3)
    assert bench.simulator.ledger.count(key="k0") <= gone + 1


async def test_one_keys_list_serves_the_pool_and_is_evidence_for_that_key_alone(bench):
    await bench.simulate(keys("", "", ""))
    put(bench.folder, *(secret(n) for n in range(3)))
    monitor = await bench.run(bench.settings(pool()))
    await bench.until(lambda: all(watch.dated for watch in monitor.watches))
    await bench.stop()
    path = bench.folder / "monitor.db"
    targets = [f"{name(n)}/gpt-image-2:images" for n in range(3)]
    listings = {one: runs_of(path, one, ProbeKind.LISTING) for one in targets}
    assert bench.simulator.ledger.count(surface="models") == 1
    assert sum(map(bool, listings.values())) == 1


async def test_a_pools_budget_is_each_keys_and_its_end_is_told_to_the_pools_channels(bench):
    flicker = ", ".join(f"[{t}, {t + 0.35}]" for t in range(60))
    await bench.simulate(keys(*[f"[keys.gate]\nopen = [{flicker}]"] * 2))
    put(bench.folder, secret(0), secret(1))
    only = '[[channels]]\nname = "only"\nurl = "env:OPS"\n'
    more = 'channels = ["only"]'
    figures = "[budget]\nper_key_per_day = 0.006\n"
    await bench.run(bench.never_settling(bench.settings(pool(more), figures, channels=only)))
    await bench.until(lambda: bench.events().count("budget") == 2)
    budgets = [h for h in bench.history() if h.kind == "budget"]
    assert {h.facts["key"] for h in budgets} == {name(0), name(1)}
    assert {h.scope for h in budgets} == {"pool pool-a"}
    assert bench.told()[None] == {"only"}


async def test_a_stale_route_of_a_pool_is_told_to_the_pools_channels_alone(bench, key, simulated):
    fault = '[[keys.faults]]\nwhat = "server_error"\n'
    await bench.simulate(keys(fault, fault) + simulated("acme"))
    put(bench.folder, secret(0), secret(1))
    only = '[[channels]]\nname = "only"\nurl = "env:OPS"\ntargets = ["acme/*"]\n'
    relay = f'[routes.relay]\nbase_url = "{bench.base_url}"\ncontract = "direct"\n'
    settings = key("acme").replace('"sim"', '"relay"') + pool('channels = ["only"]') + relay
    await bench.run(bench.settings(settings, '[deadlines]\nstale = "4s"\n', channels=only))
    await bench.until(lambda: "stale" in bench.events())
    assert bench.told()[None] == {"only"}
