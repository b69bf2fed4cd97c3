"""Staleness: who is told of, together, and with which figures."""

from dataclasses import replace
from datetime import timedelta

import pytest
import structlog

from monitor.store import queries

pytestmark = pytest.mark.anyio

FAULT = '[[keys.faults]]\nwhat = "server_error"\n'
SIX = [
    "gpt-5.1:responses",
    "gpt-5.1:chat",
    "gpt-5.1:stream",
    "gpt-5.1:summary",
    "gpt-5.2:chat",
    "o3:chat",
]
FIGURES = """
[deadlines]
stale = "4s"
[budget]
per_key_per_day = 5.0
per_month = 50.0
[delivery]
group_within = "1s"
"""


def stales(bench):
    return [one for one in bench.history() if one.kind == "stale"]


async def test_a_key_that_fails_among_seven_is_one_message_of_its_targets(bench, key, simulated):
    others = [f"acme-{n}" for n in range(6)]
    scenario = simulated("failing", more=FAULT) + "".join(simulated(name) for name in others)
    await bench.simulate(scenario)
    keys = key("failing", *SIX) + "".join(key(name, "gpt-5.1:summary") for name in others)
    await bench.run(bench.settings(keys, FIGURES))
    await bench.until(lambda: stales(bench))
    probes = bench.simulator.ledger.count()
    await bench.until(lambda: bench.simulator.ledger.count() > probes + 150)
    (stale,) = stales(bench)
    assert (stale.target, stale.route, stale.diagnosis) == (None, "sim", "server_error")
    assert (stale.facts["targets"], stale.facts["route_targets"]) == (6, 12)
    assert set(stale.facts["stale"]) == {f"failing/{name}" for name in SIX}
    await bench.until(
        lambda: any("6 of the route's 12 targets" in text for text in bench.taker.texts)
    )
    assert stale.facts["status"] >= 500
    assert stale.facts["message"] in bench.taker.texts[-1]


async def test_one_target_that_fails_alone_is_told_of_under_its_own_name(bench, key, simulated):
    fault = FAULT + 'surfaces = ["summary"]\n'
    await bench.simulate(simulated("acme", more=fault))
    await bench.run(bench.settings(key("acme", "gpt-5.1:summary", "gpt-image-2"), FIGURES))
    await bench.until(lambda: stales(bench))
    assert [one.target for one in stales(bench)] == ["acme/gpt-5.1:summary"]
    await bench.until(lambda: any("Others are answered" in text for text in bench.taker.texts))
    assert any("Server said: 5" in text for text in bench.taker.texts)


async def test_a_route_of_which_no_target_is_answered_is_one_message(bench, key, simulated):
    await bench.simulate(simulated("acme", more=FAULT) + simulated("other", more=FAULT))
    await bench.run(bench.settings(key("acme", *SIX) + key("other", *SIX[:1]), FIGURES))
    await bench.until(lambda: stales(bench))
    probes = bench.simulator.ledger.count()
    await bench.until(lambda: bench.simulator.ledger.count() > probes + 60)
    (stale,) = stales(bench)
    assert (stale.target, stale.facts["targets"]) == (None, 7)
    names = {f"acme/{name}" for name in SIX} | {f"other/{SIX[0]}"}
    assert set(stale.facts["stale"]) == names
    await bench.until(lambda: bench.taker.titles[-1].startswith("No conclusive answer: route sim"))
    assert f"other/{SIX[0]}" in bench.taker.texts[-1]


async def test_who_wants_none_of_the_stale_targets_is_not_told_of_them(bench, key, simulated):
    await bench.simulate(simulated("failing", more=FAULT) + simulated("acme"))
    channels = 'targets = ["acme/*"]\nevents = ["stale"]\n'
    keys = key("failing", *SIX) + key("acme", "gpt-5.1:summary")
    await bench.run(bench.settings(keys, FIGURES, channels))
    await bench.until(lambda: stales(bench))
    assert bench.told() == {}


async def test_who_has_no_target_on_a_stale_route_is_not_told_of_it(bench, key, simulated):
    await bench.simulate(simulated("acme", more=FAULT) + simulated("other", more=FAULT))
    channels = 'targets = ["acme/*"]\n[[channels]]\nname = "all"\nurl = "env:OPS"\n'
    relay = f'[routes.relay]\nbase_url = "{bench.base_url}"\ncontract = "direct"\n'
    keys = key("acme", *SIX) + key("other", *SIX).replace('"sim"', '"relay"') + relay
    await bench.run(bench.settings(keys, FIGURES, channels))
    await bench.until(lambda: len(stales(bench)) == 2)
    told = {
        row.event.route: {one.channel for one in row.notifications}
        for row in queries.history(bench.folder / "monitor.db")
        if row.event.kind == "stale"
    }
    assert told == {"sim": {"ops", "all"}, "relay": {"all"}}


async def test_what_the_budget_holds_is_not_told_as_stale(bench, key, simulated):
    await bench.simulate(simulated("acme", '[keys.gate]\nopen = "always"'))
    settings = bench.settings(key("acme"), FIGURES.replace("per_key_per_day = 5.0", ""))
    # every second: the day's budget is soon used up, or early in the day spread over what is left of it
    often = replace(settings.cadence, full_probe=timedelta(seconds=1))
    await bench.run(replace(settings, cadence=often))
    await bench.until(lambda: "baseline" in bench.events())
    opened = bench.now()
    await bench.until(lambda: bench.now() - opened > timedelta(seconds=20))
    assert set(bench.events()) <= {"baseline", "budget"}


async def test_a_target_that_comes_back_is_not_stale_for_the_time_in_which_nobody_asked_it(
    bench, key, simulated
):
    await bench.simulate(simulated("acme") + simulated("other"))
    both = bench.settings(key("acme") + key("other"), FIGURES)
    alone = bench.settings(key("acme"), FIGURES)
    monitor = await bench.run(both)
    await bench.until(lambda: len(bench.events()) == 2)
    await monitor.reload(alone, [bench.taker])
    left = bench.now()
    await bench.until(lambda: bench.now() - left > timedelta(seconds=6))
    bench.replay(simulated("acme") + simulated("other", more=FAULT))
    await monitor.reload(both, [bench.taker])
    back = bench.now()
    await monitor._deadline_check.run()
    assert not stales(bench)
    await bench.until(lambda: stales(bench))
    (stale,) = stales(bench)
    assert stale.target == "other/gpt-image-2:images"
    assert stale.at - back >= timedelta(seconds=4)


async def test_a_second_outage_is_told_after_a_restart_too_although_a_blocked_target_remembers_the_first(
    bench, key, simulated
):
    down = simulated("acme", more=FAULT) + simulated("other", more=FAULT)
    await bench.simulate(down)
    settings = bench.settings(key("acme") + key("other"), FIGURES)
    monitor = await bench.run(settings)
    await bench.until(lambda: all(watch.memory.stale for watch in monitor.watches))
    quota = '[[keys.blocks]]\nwhat = "insufficient_quota"\n'
    bench.replay(simulated("acme") + simulated("other", more=quota))
    await bench.until(lambda: {"unverified", "blocked"} <= {*bench.events()})
    bench.replay(down)
    await bench.stop()
    monitor = await bench.run(settings)
    blocked = monitor.watches.get("other/gpt-image-2:images")
    assert blocked.memory.stale == "route"
    await bench.until(lambda: len(stales(bench)) == 2)
    await bench.stop()
    # it was told of this one, and is not after a further restart
    monitor = await bench.run(settings)
    again = bench.now()
    await bench.until(lambda: bench.now() - again > timedelta(seconds=10))
    assert len(stales(bench)) == 2


async def test_a_target_whose_probes_hang_is_stale_and_not_overdue_by_its_old_answer(
    bench, key, simulated, hanging_gate
):
    # probes hang, so nothing fails, and nothing is answered either
    slow = await hanging_gate.start(at_once=1)
    await bench.simulate(simulated("acme"))
    # verified_at has whole seconds: both deadlines pass between the checks at 3 s and 6 s
    both = '[deadlines]\nstale = "4s"\noverdue = ["5s"]\n'
    keys = key("acme", more=f"verified_at = {bench.now():%Y-%m-%dT%H:%M:%SZ}\n")
    with structlog.testing.capture_logs() as logs:
        await bench.run(bench.settings(keys.replace('"sim"', '"slow"'), slow + both))
        await bench.until(lambda: "stale" in bench.events())
        hanging_gate.may_answer.set()
        await bench.stop()
    assert (bench.events().count("stale"), "overdue" in bench.events()) == (1, False)
    assert not [entry for entry in logs if entry["log_level"] == "error"]
