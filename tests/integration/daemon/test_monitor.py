"""The monitor as a whole: what it does of itself, besides the state table."""

import asyncio
import sqlite3
from contextlib import closing
from dataclasses import replace
from datetime import timedelta

import pytest
from quick_time import quick_clock, quick_wall

from monitor.access.words import Code, DeclarationKind, Hold
from monitor.daemon import staleness
from monitor.daemon.schedule import reschedule_lost
from monitor.store import status_queries
from monitor.store.errors import StoreError
from monitor.store.record_forms import as_json

pytestmark = pytest.mark.anyio

ALL = ("images", "edits", "image_tool")


async def test_every_surface_is_probed_and_settles_when_open(bench, key, simulated):
    watch = [
        "gpt-image-2:images", "gpt-image-2:edits", "gpt-image-2:image_tool", "gpt-5.1:responses",
        "gpt-5.1:chat", "gpt-5.1:stream", "gpt-5.1:summary", "gpt-5.1:models",
    ]  # fmt: skip
    await bench.simulate(simulated("acme", '[keys.gate]\nopen = "always"'))
    await bench.run(bench.settings(key("acme", *watch)))
    await bench.until(lambda: bench.events().count("baseline") == len(watch))
    await bench.stop()
    assert bench.spent() == pytest.approx(bench.simulator.ledger.billed(), abs=1e-4)


async def test_the_first_light_of_one_makes_its_siblings_propagating_in_the_same_message(
    bench, key, simulated
):
    await bench.simulate(
        simulated("acme", '[keys.capabilities."gpt-5.1:summary"]\nopen = 12') + simulated("other")
    )
    figures = '[delivery]\ngroup_within = "50ms"\n'
    keys = key("acme", "gpt-5.1:summary", "gpt-image-2") + key("other")
    await bench.run(bench.settings(keys, figures))
    await bench.until(lambda: "available" in bench.events())
    siblings = [h for h in bench.history() if h.reason == "sibling_opened"]
    assert {h.target for h in siblings} == {"acme/gpt-image-2:images", "other/gpt-image-2:images"}
    await bench.until(lambda: any("first light" in t.lower() for t in bench.taker.titles))
    titles = [t for t in bench.taker.titles if "first light" in t.lower()]
    assert titles[0].endswith("1 first light, 2 propagating")


async def test_over_budget_only_listings_are_made_and_it_is_told_once(bench, key, simulated):
    flicker = ", ".join(f"[{t}, {t + 0.35}]" for t in range(60))
    await bench.simulate(simulated("acme", f"[keys.gate]\nopen = [{flicker}]") + simulated("other"))
    channels = (
        '[[channels]]\nname = "own"\nurl = "env:OPS"\ntargets = ["acme/*"]\n'
        '[[channels]]\nname = "other"\nurl = "env:OPS"\ntargets = ["other/*"]\n'
    )
    figures = "[budget]\nper_key_per_day = 0.006\n"
    settings = bench.settings(key("acme") + key("other"), figures, channels)
    await bench.run(bench.never_settling(settings))
    await bench.until(lambda: "budget" in bench.events())
    free = bench.simulator.ledger.count(surface="models")
    await bench.until(lambda: bench.simulator.ledger.count(surface="models") > free + 3)
    await bench.stop()
    assert bench.events().count("budget") == 1
    assert bench.told()[None] == {"ops", "own"}
    assert bench.simulator.ledger.billed() <= 0.006
    assert bench.spent() == pytest.approx(bench.simulator.ledger.billed(), abs=1e-6)


async def test_what_cannot_be_released_at_a_stop_is_decided_after_the_next_start(
    bench, key, simulated
):
    await bench.simulate(simulated("acme"))
    settings = bench.settings(key("acme"))
    await bench.run(settings)
    await bench.until(lambda: "unverified" in bench.events())
    with closing(sqlite3.connect(bench.folder / "monitor.db")) as database:
        database.execute("ALTER TABLE holds RENAME TO elsewhere")
        with pytest.raises(StoreError, match="results are lost: the database refused it"):
            await bench.stop()
        database.execute("ALTER TABLE elsewhere RENAME TO holds")
    assert bench.held() > 0
    gated = bench.simulator.ledger.count(what="gated")
    monitor = await bench.run(settings)
    await bench.until(lambda: bench.simulator.ledger.count(what="gated") > gated + 2)
    await bench.until_idle(monitor)
    await bench.stop()
    assert (bench.spent(), bench.held()) == (0, 0)


async def test_what_is_held_for_later_probes_is_released_by_a_stop_that_the_database_delays(
    bench, key, simulated
):
    await bench.simulate(simulated("acme"))
    monitor = await bench.run(bench.settings(key("acme")))
    await bench.until(lambda: "unverified" in bench.events())
    await bench.until_idle(monitor)
    with closing(sqlite3.connect(bench.folder / "monitor.db", isolation_level=None)) as database:
        database.execute("BEGIN IMMEDIATE")
        stopping = asyncio.create_task(bench.stop())
        await bench.until(lambda: monitor._recorder._closed)  # it waits no more for its notes
        database.execute("ROLLBACK")
        await stopping
    assert bench.held() == 0


async def test_after_crashes_what_was_held_is_decided_by_the_next_conclusive_answer(
    bench, key, simulated
):
    await bench.simulate(simulated("acme"))
    settings = bench.settings(key("acme"))
    monitor = await bench.run(settings)
    (watch,) = monitor.watches
    await bench.until(lambda: "unverified" in bench.events())
    await bench.until_idle(monitor)
    await bench.stop()
    assert (bench.spent(), bench.held()) == (0, 0)
    today = bench.now().date()
    with sqlite3.connect(bench.folder / "monitor.db") as database:
        rows = [(watch.account, "acme", f"{today}", 0.0017)] * 55
        database.executemany("INSERT INTO holds (account, key, day, usd) VALUES (?, ?, ?, ?)", rows)
    gated = bench.simulator.ledger.count(what="gated")
    await bench.run(settings)
    await bench.until(lambda: bench.simulator.ledger.count(what="gated") > gated + 2)
    assert bench.spent() == 0
    assert bench.held() <= 0.002  # for the next probe
    assert "budget" not in bench.events()


async def test_a_verification_declared_in_the_settings_is_taken_once(bench, key, simulated):
    await bench.simulate(simulated("acme"))
    at = bench.now() - timedelta(minutes=5)
    settings = bench.settings(key("acme", more=f"verified_at = {at:%Y-%m-%dT%H:%M:%SZ}"))
    await bench.run(settings)
    await bench.until(lambda: "propagating" in bench.events())
    (event,) = [h for h in bench.history() if h.kind == "propagating"]
    assert event.reason in ("gated_after_declaration", "verified_declared")
    await bench.stop()
    await bench.run(settings)
    gated = bench.simulator.ledger.count(what="gated")
    await bench.until(lambda: bench.simulator.ledger.count(what="gated") > gated + 2)
    assert bench.events().count("propagating") == 1


async def test_rejected_declared_for_an_organization_with_one_open_and_one_gated_target(
    bench, key, simulated
):
    await bench.simulate(
        simulated("acme", '[keys.capabilities."gpt-5.1:summary"]\nopen = 12') + simulated("other")
    )
    monitor = await bench.run(bench.settings(key("acme", "gpt-5.1:summary", "gpt-image-2")))
    await bench.until(lambda: "available" in bench.events("acme/gpt-5.1:summary"))
    await monitor._recorder.declare(DeclarationKind.REJECTED, "org-acme", bench.now(), "test")
    await monitor._inbox_reader.take_declarations()
    await bench.until(lambda: "locked" in bench.events("acme/gpt-image-2:images"))
    assert bench.events("acme/gpt-5.1:summary")[-1] == "available"


async def test_the_own_network_down_is_one_event_and_not_one_per_target(bench, key, simulated):
    await bench.simulate(simulated("acme") + simulated("other"))
    await bench.run(bench.settings(key("acme", "gpt-image-2", "o3") + key("other")))
    await bench.until(lambda: bench.events().count("unverified") == 3)
    host, port = "127.0.0.1", int(bench.base_url.split(":")[2].split("/")[0])
    await bench.simulator.stop()
    await bench.until(lambda: "offline" in bench.events())
    await bench.simulator.start(host, port)
    await bench.until(lambda: "online" in bench.events())
    assert bench.events() == ["unverified"] * 3 + ["offline", "online"]
    (offline,) = [h for h in bench.history() if h.kind == "offline"]
    assert f"\nCause: {offline.facts['message']}\n" in "".join(bench.taker.texts)
    (online,) = [h for h in bench.history() if h.kind == "online"]
    assert online.facts["lasted_s"] == (online.at - offline.at).total_seconds()


async def test_a_route_with_a_dead_key_does_not_keep_the_own_network_down_from_being_told(
    bench, key, simulated, monkeypatch
):
    monkeypatch.setattr(staleness, "_UNHEARD", timedelta(seconds=5))
    dead = simulated("dead", more='[[keys.blocks]]\nwhat = "invalid_api_key"\n')
    await bench.simulate(simulated("acme") + dead)
    relay = f'[routes.relay]\nbase_url = "{bench.base_url}"\ncontract = "direct"\n'
    settings = bench.settings(key("acme") + key("dead").replace('"sim"', '"relay"') + relay)
    rare = replace(settings.cadence, blocked=timedelta(hours=1))
    await bench.run(replace(settings, cadence=rare))
    await bench.until(lambda: {"unverified", "blocked"} <= set(bench.events()))
    await bench.simulator.stop()
    await bench.until(lambda: "offline" in bench.events())


async def test_the_network_that_is_back_after_a_restart_is_told_as_well(bench, key, simulated):
    await bench.simulate(simulated("acme"))
    await bench.run(settings := bench.settings(key("acme")))
    await bench.until(lambda: "unverified" in bench.events())
    host, port = "127.0.0.1", int(bench.base_url.split(":")[2].split("/")[0])
    await bench.simulator.stop()
    await bench.until(lambda: "offline" in bench.events())
    await bench.stop()
    monitor = await bench.run(settings)
    made = monitor._pipeline.made
    await bench.until(lambda: monitor._pipeline.made > made + 5)
    assert bench.events() == ["unverified", "offline"]
    await bench.simulator.start(host, port)
    await bench.until(lambda: "online" in bench.events())
    await bench.stop()
    monitor = await bench.run(settings)
    await bench.until(lambda: monitor._pipeline.made > 5)
    assert bench.events() == ["unverified", "offline", "online"]


@pytest.mark.parametrize("hours", [1, -1, 24, -24])
async def test_a_step_of_the_wall_clock_forgets_no_target_and_hammers_none(
    bench, key, simulated, hours
):
    step = timedelta()
    wall = quick_wall()
    clock = quick_clock(lambda: wall() + step)
    await bench.simulate(simulated("acme", "[keys.gate]\nopen = 600"))
    settings = bench.settings(key("acme"))
    monitor = await bench.run(settings, clock)
    await bench.until(lambda: bench.simulator.ledger.count(what="gated") > 2)
    (watch,) = monitor.watches
    since = watch.memory.since
    step = timedelta(hours=hours)
    await bench.until(lambda: abs((watch.memory.since - since) - step) < timedelta(seconds=1))
    assert bench.events() == ["unverified"]


@pytest.mark.parametrize("behind", [0, 3, 20000])
async def test_a_machine_that_boots_with_an_old_clock_keeps_the_times_of_the_run_before(
    bench, key, simulated, behind
):
    step = timedelta()
    wall = quick_wall()
    await bench.simulate(simulated("acme"))
    settings = bench.settings(key("acme"))
    await bench.run(settings)
    await bench.until(lambda: bench.simulator.ledger.count(what="gated") > 2)
    await bench.stop()
    # the clock is three days behind, or as the run before left it
    step = -timedelta(days=behind)
    clock = quick_clock(lambda: wall() + step)
    monitor = await bench.run(settings, clock)
    (watch,) = monitor.watches
    since, first, last = watch.memory.since, watch.memory.streak.first, watch.memory.last_probe_at
    await bench.until(lambda: watch.memory.last_probe_at != last)
    last = watch.memory.last_probe_at
    step += timedelta(days=behind or 3)
    await bench.until(lambda: watch.memory.last_probe_at - last > timedelta(days=2))
    assert (watch.memory.since, watch.memory.streak.first) == (since, first)
    assert watch.memory.last_probe_at <= bench.now()


async def test_a_target_that_lost_its_next_probe_gets_another(bench, key, simulated):
    await bench.simulate(simulated("acme"))
    monitor = await bench.run(bench.settings(key("acme")))
    await bench.until(lambda: bench.simulator.ledger.count(what="gated") > 2)
    monitor._schedule._scheduler.remove_all_jobs()
    (watch,) = monitor.watches
    await bench.until(lambda: not watch.busy)
    monitor._schedule._dates.clear()
    gated = bench.simulator.ledger.count(what="gated")
    reschedule_lost(monitor.watches, monitor._clock, monitor._schedule)
    await bench.until(lambda: bench.simulator.ledger.count(what="gated") > gated + 2)


async def test_a_slow_target_does_not_hold_up_another(bench, key, simulated):
    slow = '[[keys.faults]]\nwhat = "slow"\nseconds = 30\n'
    await bench.simulate(simulated("acme", more=slow) + simulated("other"))
    await bench.run(bench.settings(key("acme") + key("other", "o3")))
    began = bench.now()
    await bench.until(lambda: bench.simulator.ledger.count(key="other", what="gated") > 5)
    assert bench.simulator.ledger.count(key="acme") == 0
    assert bench.now() - began < timedelta(seconds=25)


async def test_a_probe_that_hangs_ends_at_the_timeout_of_its_route(bench, key, simulated):
    await bench.simulate(simulated("acme", more='[[keys.faults]]\nwhat = "slow"\nseconds = 30\n'))
    settings = bench.settings(key("acme"))
    routes = {
        name: replace(one, timeout=timedelta(seconds=1)) for name, one in settings.routes.items()
    }
    monitor = await bench.run(replace(settings, routes=routes))
    (watch,) = monitor.watches
    await bench.until(lambda: watch.memory.last_full is Code.NETWORK_ERROR)


async def test_what_holds_a_target_back_is_shown_in_its_place(bench, key, simulated):
    fault = '[[keys.faults]]\nwhat = "edge_forbidden"\n'
    await bench.simulate(simulated("acme", more=fault))
    await bench.run(bench.settings(key("acme")))

    def held():
        (found,) = status_queries.status(bench.folder / "monitor.db", now=bench.now()).targets
        return found

    await bench.until(lambda: bench.simulator.ledger.count() and held().held_by is Hold.BREAKER)
    assert held().next_probe_at > bench.now()
    shown = as_json(status_queries.status(bench.folder / "monitor.db", now=bench.now()))
    assert shown["targets"][0]["held_by"] == "breaker"


async def test_a_target_that_settles_does_not_wait_behind_the_others_of_its_organization(
    bench, key, simulated
):
    others = [f"other-{n}" for n in range(12)]
    # seen shut first also if the monitor starts late: its first turn takes 10.4 s
    scenario = simulated("acme", "[keys.gate]\nopen = 16") + "".join(map(simulated, others))
    await bench.simulate(scenario)
    settings = bench.settings(key("acme") + "".join(key(name) for name in others))
    slow = replace(settings.cadence, image_gap=timedelta(milliseconds=800))
    await bench.run(replace(settings, cadence=slow))
    await bench.until(lambda: "available" in bench.events("acme/gpt-image-2:images"))
    told = {one.kind: one.at for one in bench.history() if one.target == "acme/gpt-image-2:images"}
    assert told["available"] - told["first_light"] < timedelta(seconds=6)


async def test_targets_that_settle_and_are_answered_429_leave_others_of_their_organization_a_turn(
    bench, key, simulated
):
    names = ("one", "two")
    shut = simulated("shut")
    opened = "".join(simulated(name, '[keys.gate]\nopen = "always"') for name in names)
    await bench.simulate(opened + shut)
    settings = bench.never_settling(bench.settings("".join(map(key, (*names, "shut")))))
    # either of the two that settle could have every place
    cadence = replace(settings.cadence, image_gap_limited=2 * settings.cadence.settling)
    await bench.run(replace(settings, cadence=cadence))
    ledger = bench.simulator.ledger
    await bench.until(lambda: all(ledger.count(key=name, what="granted") for name in names))
    limited = '[[keys.faults]]\nwhat = "rate_limited"\n'
    bench.replay("".join(simulated(name, more=limited) for name in names) + shut)
    await bench.until(lambda: ledger.count(key="one", status=429) >= 3)
    seen = ledger.count(key="shut", surface="images")
    await bench.until(lambda: ledger.count(key="shut", surface="images") >= seen + 3)


FALSE_ANSWERS = (
    "refusal_as_text", "error_as_text", "page_as_text", "parrot", "replayed", "failed_call",
    "code_beside_data",
)  # fmt: skip
GATED = (
    "gpt-image-2:images", "gpt-image-2:edits", "gpt-image-2:image_tool", "o3:chat", "o3:responses",
    "gpt-5.1:stream", "gpt-5.1:summary",
)  # fmt: skip


async def test_no_relay_that_hands_out_a_refusal_as_a_success_makes_a_target_available(
    bench, key, simulated
):
    names = {what.replace("_", "-"): what for what in FALSE_ANSWERS}
    scenario = "".join(
        simulated(name, more=f'[[keys.faults]]\nwhat = "{what}"') for name, what in names.items()
    )
    await bench.simulate(scenario)
    settled = ("refusal-as-text", "error-as-text")
    watched = {name: GATED if name in settled else GATED[::2] for name in names}
    await bench.run(bench.settings("".join(key(name, *of) for name, of in watched.items())))
    ledger = bench.simulator.ledger

    def all_met() -> bool:
        # the words and the objects are read for what they say; the others prove nothing
        known = {h.target for h in bench.history() if h.kind == "unverified"}
        told = {f"{name}/{target}" for name in settled for target in GATED}
        counts = (ledger.count(key=name, what=what) for name, what in names.items())
        return (
            all(count >= 3 for count in counts) and known >= told and "unproven" in bench.events()
        )

    await bench.until(all_met)
    await bench.stop()
    assert not {"baseline", "first_light", "available"} & set(bench.events())


async def test_an_event_knows_the_page_of_its_target_where_the_settings_name_one(
    bench, key, simulated
):
    await bench.simulate(simulated("acme"))
    page = '[web]\nurl = "https://monitor.example/sub"\n'
    await bench.run(bench.settings(key("acme"), page))
    await bench.until(lambda: "unverified" in bench.events())
    (event,) = (one for one in bench.history() if one.kind == "unverified")
    address = "https://monitor.example/sub/target?name=acme%2Fgpt-image-2%3Aimages"
    assert event.facts["page"] == address
