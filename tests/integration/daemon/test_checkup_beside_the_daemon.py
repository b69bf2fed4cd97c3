"""What commands spent is booked by the daemon, and a provider that is open meanwhile is told of."""

import asyncio
import sqlite3
from contextlib import closing
from dataclasses import replace
from datetime import timedelta

import pytest

from monitor.daemon.watches import account_of
from monitor.oneshot.booking import Cost, OverBudgetError, Wanted, reserve, settle
from monitor.oneshot.probe_once import Attempts, check_all
from monitor.store import database
from monitor.store.database import FileLock
from monitor.store.errors import StoreError

pytestmark = pytest.mark.anyio

RELAY = """
[[keys]]
name = "relay"
secret = "sk-sim-FAKE-relay-0001"
contract = "provider"
gate.open = "always"
"""


def provided(bench):
    return (
        f'[routes.relay]\nbase_url = "{bench.simulator.origin}/relay/v1"\n'
        '[[keys]]\nname = "relay"\nsecret = "env:RELAY"\nroute = "relay"\n'
        'watch = ["gpt-image-2"]\n'
    )


def wanted(settings, usd=0.0017):
    (target,) = settings.targets()
    return [Wanted(account_of(target), target.key, usd)]


async def reserved(settings, *, over=False):
    return await asyncio.to_thread(reserve, settings, wanted(settings), over=over)


async def test_what_a_command_spends_is_reserved_and_booked_by_the_daemon(bench, key, simulated):
    await bench.simulate(simulated("acme"))
    settings = bench.settings(key("acme"))
    await bench.run(settings)
    await bench.until(lambda: "unverified" in bench.events())
    found = await reserved(settings)
    (hold,) = found.holds
    # the target that waits keeps two prices, and may have a probe under way
    assert 0.10 - 3 * 0.0018 < found.left["acme"] < 0.10 - 2 * 0.0016
    assert bench.held() >= hold.usd
    assert await asyncio.to_thread(settle, settings, [Cost(hold, 0.0015)]) is None
    await bench.until(lambda: bench.spent() > 0)
    assert bench.spent() == pytest.approx(0.0015)


async def test_what_a_command_left_in_doubt_is_decided_by_the_daemon(bench, key, simulated):
    await bench.simulate(simulated("acme"))
    settings = bench.settings(key("acme"))
    (hold,) = (await reserved(settings)).holds
    assert settle(settings, [Cost(hold, None)]) is None
    assert (bench.spent(), bench.held()) == (0, 0.0017)
    monitor = await bench.run(settings)
    await bench.until(lambda: bench.simulator.ledger.count(what="gated") > 1)
    await bench.until_idle(monitor)
    await bench.stop()
    assert (bench.spent(), bench.held()) == (0, 0)


async def test_what_a_command_could_not_settle_before_a_start_is_booked_once(bench, key, simulated):
    await bench.simulate(simulated("acme"))
    settings = bench.settings(key("acme"))
    (hold,) = (await reserved(settings)).holds
    lock = FileLock(settings.database)  # as a daemon would that starts just now
    assert settle(settings, [Cost(hold, 0.0015)]) is None
    lock.close()
    for _ in range(2):
        monitor = await bench.run(settings)
        await bench.until(lambda: bench.spent() > 0)
        await bench.until_idle(monitor)
        await bench.stop()
        assert (bench.spent(), bench.held()) == (pytest.approx(0.0015), 0)


@pytest.mark.parametrize("alive", [True, False], ids=["beside a daemon", "without one"])
async def test_a_command_stays_within_the_budget_unless_it_is_told_to_go_over(
    bench, key, simulated, alive
):
    await bench.simulate(simulated("acme"))
    settings = bench.settings(key("acme"), "[budget]\nper_key_per_day = 0.006\n")
    if alive:
        # the first probe is the only one: another under way would hold a price, too
        rarely = replace(settings.cadence, eager=timedelta(hours=1))
        await bench.run(replace(settings, cadence=rarely))
        await bench.until(lambda: "unverified" in bench.events())
    # beside a daemon the target that waits keeps its last two prices
    for _ in range(1 if alive else 3):
        await reserved(settings)
    with pytest.raises(OverBudgetError, match="is more than the budget has: left before it"):
        await reserved(settings)
    assert (await reserved(settings, over=True)).holds


@pytest.mark.parametrize("reply", ['{"held": [[1]]}', '{"held": 7}', '{"left": [1]}'])
async def test_a_reply_that_cannot_be_read_is_no_reservation(bench, key, simulated, reply):
    await bench.simulate(simulated("acme"))
    settings = bench.settings(key("acme"))
    database.create(settings.database)
    lock = FileLock(settings.database)  # as a daemon would that lives
    with closing(sqlite3.connect(settings.database)) as inbox:
        asked = asyncio.ensure_future(reserved(settings))
        await bench.until(lambda: inbox.execute("SELECT 1 FROM inbox").fetchone())
        with inbox:
            inbox.execute("UPDATE inbox SET taken_at = created_at, reply = ?", (reply,))
        with pytest.raises(StoreError, match="the daemon's reply cannot be read"):
            await asked
    lock.close()


async def test_two_commands_at_once_take_turns(bench, key, simulated):
    await bench.simulate(simulated("acme"))
    settings = bench.settings(key("acme"))
    found = await asyncio.gather(*(reserved(settings) for _ in range(6)))
    assert len({one.holds[0].id for one in found}) == 6
    assert bench.held() == pytest.approx(6 * 0.0017)


async def test_a_shut_direct_target_tells_of_the_provider_that_is_open(bench, key, simulated):
    await bench.simulate(simulated("acme") + RELAY)
    figures = '[deadlines]\noverdue = ["1s"]\n'
    at = bench.now().strftime("%Y-%m-%dT%H:%M:%SZ")
    settings = bench.settings(key("acme", more=f"verified_at = {at}") + provided(bench), figures)
    await bench.run(settings)
    await bench.until(lambda: "overdue" in bench.events("acme/gpt-image-2:images"))
    (overdue,) = [one for one in bench.history() if one.kind == "overdue"]
    assert overdue.facts["provider_open"] == ["relay/gpt-image-2:images"]
    relay = [one for one in bench.history() if one.target == "relay/gpt-image-2:images"]
    assert all("provider_open" not in one.facts for one in relay)
    (opened,) = [one for one in relay if one.kind in ("baseline", "available")]
    assert opened.facts["direct_shut"] == ["acme/gpt-image-2:images"]


async def test_a_check_of_many_keys_keeps_the_pace_of_their_route(bench, key, simulated):
    names = ("acme", "bell", "cole", "dorn")
    await bench.simulate("".join(simulated(name) for name in names))
    settings = bench.settings("".join(key(name, "gpt-5.1:chat") for name in names))
    slow = replace(settings.routes["sim"], rate=0.5)
    settings = replace(settings, routes={**settings.routes, "sim": slow})
    began = asyncio.get_running_loop().time()
    checked = await check_all(settings, settings.targets(), Attempts())
    assert [str(one.diagnosis.code) for one in checked] == ["access_granted"] * 4
    assert asyncio.get_running_loop().time() - began >= 5.9
