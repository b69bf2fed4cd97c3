"""Shutdown dates as the API sends them, and rules of one's own, in a whole monitor."""

from datetime import UTC, date, datetime, timedelta

import pytest
from stored import runs_of, spend_on

from monitor.access.holds import UNKNOWN_PRICE
from monitor.access.words import ProbeKind

pytestmark = pytest.mark.anyio

SOON = datetime.now(UTC).date() + timedelta(days=5)
LATER = datetime.now(UTC).date() + timedelta(days=500)
#: A catalog that does not know, or knows wrongly, when the model ends.
OWN = '[catalog.models."acme-1"]\nsurfaces = ["responses"]\n'


def model(shutdown: date | None) -> str:
    line = f"shutdown = {shutdown}\n" if shutdown else ""
    return f'[[models]]\nname = "acme-1"\nlike = "gpt-5.1"\n{line}'


async def test_a_date_that_only_the_api_knows_is_told(bench, key, simulated):
    await bench.simulate(model(SOON) + simulated("acme"))
    await bench.run(bench.settings(key("acme", "acme-1"), OWN))
    await bench.until(lambda: "retiring" in bench.events("acme/acme-1:responses"))
    (told,) = [h for h in bench.history() if h.kind == "retiring"]
    assert told.facts["shutdown"] == SOON.isoformat()


async def test_the_date_of_the_api_wins_over_the_catalogs_before_anybody_is_told(
    bench, key, simulated
):
    await bench.simulate(model(LATER) + simulated("acme"))
    monitor = await bench.run(bench.settings(key("acme", "acme-1"), OWN + f"shutdown = {SOON}\n"))
    (watch,) = monitor.watches
    await bench.until(lambda: watch.dated)
    assert watch.shutdown == LATER
    await monitor._deadline_check.run()
    assert "retiring" not in bench.events()


async def test_after_a_reload_too_the_date_of_the_api_wins_while_its_list_cannot_be_read(
    bench, key, simulated
):
    await bench.simulate(model(LATER) + simulated("acme"))
    settings = bench.settings(key("acme", "acme-1"), OWN + f"shutdown = {SOON}\n")
    monitor = await bench.run(settings)
    (watch,) = monitor.watches
    await bench.until(lambda: watch.dated)
    fault = '[[keys.faults]]\nwhat = "server_error"\n'
    bench.replay(model(LATER) + simulated("acme", more=fault))
    await monitor.reload(settings, [bench.taker])
    await monitor._deadline_check.run()
    lists = bench.simulator.ledger.count(surface="models")
    await bench.until(lambda: bench.simulator.ledger.count(surface="models") > lists)
    await monitor._deadline_check.run()
    assert watch.shutdown == LATER
    assert "retiring" not in bench.events()


async def test_without_a_date_in_the_list_the_catalogs_stands(bench, key, simulated):
    await bench.simulate(model(None) + simulated("acme"))
    await bench.run(bench.settings(key("acme", "acme-1"), OWN + f"shutdown = {SOON}\n"))
    await bench.until(lambda: "retiring" in bench.events())


async def test_one_list_a_key_serves_all_its_targets_and_is_kept_as_evidence(bench, key, simulated):
    await bench.simulate(simulated("acme"))
    await bench.run(bench.settings(key("acme", "gpt-image-2", "o3", "gpt-5.1:stream")))

    def kept() -> bool:
        names = ("acme/gpt-image-2:images", "acme/o3:responses", "acme/gpt-5.1:stream")
        path = bench.folder / "monitor.db"
        return path.exists() and all(runs_of(path, name, ProbeKind.LISTING) for name in names)

    await bench.until(kept)
    assert bench.simulator.ledger.count(surface="models") >= 1
    (run,) = runs_of(bench.folder / "monitor.db", "acme/o3:responses", ProbeKind.LISTING)
    assert (run.status, run.diagnosis, run.count) == (200, None, 1)


async def test_listings_keep_the_list_fresh(bench, key, simulated):
    await bench.simulate(model(SOON) + simulated("acme", '[keys.gate]\nopen = "always"'))
    monitor = await bench.run(bench.settings(key("acme", "acme-1"), OWN))
    (watch,) = monitor.watches
    await bench.until(lambda: watch.dated)
    # as if the hour had passed, and the model had got another day
    monitor._listings._read_at.clear()
    watch.shutdown = LATER
    await bench.until(lambda: watch.shutdown == SOON)
    assert not monitor._listings._due(watch, 1)


async def test_a_key_that_is_refused_its_list_keeps_the_catalogs_dates(bench, key, simulated):
    blocked = '[[keys.blocks]]\nwhat = "invalid_api_key"\n'
    await bench.simulate(model(LATER) + simulated("acme", more=blocked))
    await bench.run(bench.settings(key("acme", "acme-1"), OWN + f"shutdown = {SOON}\n"))
    await bench.until(lambda: "retiring" in bench.events())


async def test_a_rule_of_ones_own_is_what_the_answer_means(bench, key, simulated):
    await bench.simulate(simulated("acme"))
    rule = '[[rules]]\ndiagnosis = "project_denied"\nstatus = 403\nmessage_contains = "VERIFIED"\n'
    await bench.run(bench.settings(key("acme"), rule))
    await bench.until(lambda: "blocked" in bench.events())
    (told,) = [h for h in bench.history() if h.kind == "blocked"]
    assert told.diagnosis == "project_denied"


@pytest.mark.parametrize(
    ("price", "estimated"),
    [("", True), ("price = { text_in = 1.25, text_out = 10.0 }\n", False)],
)
async def test_a_model_without_a_price_is_costly_whatever_usage_its_answers_tell(
    bench, key, simulated, price, estimated
):
    await bench.simulate(model(None) + simulated("acme", '[keys.gate]\nopen = "always"'))
    await bench.run(bench.settings(key("acme", "acme-1"), OWN + price))
    await bench.until(lambda: "baseline" in bench.events())
    await bench.stop()
    (row,) = spend_on(bench.folder / "monitor.db", bench.now().date())
    assert row.settled_usd == pytest.approx(
        2 * UNKNOWN_PRICE if estimated else bench.simulator.ledger.billed(), abs=1e-6
    )
    assert row.estimated is estimated
