"""What commands spent is booked by the daemon, and a provider that is open meanwhile is told of."""

from datetime import UTC, datetime

import pytest

from monitor.daemon.booking import book
from monitor.daemon.once import check_all

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


async def test_what_a_command_spent_is_booked_by_the_daemon_and_counts_toward_the_budget(
    bench, key, simulated
):
    await bench.simulate(simulated("acme", 'gate.open = "always"'))
    settings = bench.settings(key("acme"))
    checked = await check_all(settings, settings.targets())
    assert "not booked: there is no database yet" in book(settings, checked, datetime.now(UTC))
    await bench.run(settings)
    await bench.until(lambda: "baseline" in bench.events())
    before = bench.spent()
    assert book(settings, checked, datetime.now(UTC)) is None
    await bench.until(lambda: bench.spent() > before)
    assert bench.spent() == pytest.approx(before + checked[0].cost_usd)


async def test_what_was_asked_while_the_daemon_was_down_is_booked_once_at_its_start(
    bench, key, simulated
):
    await bench.simulate(simulated("acme", 'gate.open = "always"'))
    settings = bench.settings(key("acme"), "[budget]\nper_key_per_day = 0.0\n")
    checked = await check_all(settings, settings.targets())
    await bench.run(settings)
    await bench.stop()
    assert book(settings, checked, datetime.now(UTC)) is None
    for _ in range(2):
        await bench.run(settings)
        await bench.stop()
        assert bench.spent() == pytest.approx(checked[0].cost_usd)


async def test_nothing_is_asked_for_what_cost_nothing(bench, key, simulated):
    await bench.simulate(simulated("acme"))
    settings = bench.settings(key("acme"))
    checked = await check_all(settings, settings.targets())
    assert book(settings, checked, datetime.now(UTC)) is None


async def test_a_shut_direct_target_tells_of_the_provider_that_is_open(bench, key, simulated):
    await bench.simulate(simulated("acme") + RELAY)
    figures = '[deadlines]\noverdue = ["1s"]\n'
    at = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    settings = bench.settings(key("acme", more=f"verified_at = {at}") + provided(bench), figures)
    await bench.run(settings)
    await bench.until(lambda: "overdue" in bench.events("acme/gpt-image-2:images"))
    (overdue,) = [one for one in bench.history() if one.event == "overdue"]
    assert overdue.facts["provider_open"] == ["relay/gpt-image-2:images"]
    relay = [one for one in bench.history() if one.target == "relay/gpt-image-2:images"]
    assert all("provider_open" not in one.facts for one in relay)
    (opened,) = [one for one in relay if one.event in ("baseline", "available")]
    assert opened.facts["direct_shut"] == ["acme/gpt-image-2:images"]
