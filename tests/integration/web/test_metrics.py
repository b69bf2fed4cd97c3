"""`/metrics` of a served page, on a database as a daemon leaves it."""

import subprocess
import sys

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from monitor.access.holds import Posting, Spend
from monitor.access.words import Code, State
from monitor.config.references import PoolFile
from monitor.config.settings import Pool
from monitor.store.records import Change

pytestmark = pytest.mark.anyio

OPEN_METRICS = {"Accept": "application/openmetrics-text; version=1.0.0"}


async def scraped(client, path: str = "/metrics") -> dict[str, list]:
    answer = await client.get(path, headers=OPEN_METRICS)
    assert answer.status_code == 200, answer.text
    return {family.name: family.samples for family in text_string_to_metric_families(answer.text)}


def value(samples, **labels: str) -> float:
    (found,) = (one.value for one in samples if labels.items() <= one.labels.items())
    return found


async def test_it_says_what_the_database_knows(world):
    target = world.target()
    await world.watch(target)
    world.recorder.tally.probed("openai", "access_granted", 0.0, {"total": 250.0})
    await world.happened(target, State.AVAILABLE, blocker=Code.QUOTA_EXHAUSTED)
    spent = Spend(target.key, world.now.date(), 0.02, 1)
    await world.recorder.write([Change(posting=Posting((spent,)))])
    await world.recorder.progress({"targets": 1})
    found = await scraped(await world.browse())
    assert value(found["access_monitor_target_state"], target=target.name, state="available") == 1
    assert value(found["access_monitor_target_blocked"], blocker="quota_exhausted") == 1
    assert value(found["access_monitor_outbox_pending"], channel="ops") == 1
    assert value(found["access_monitor_probes"], route="openai") == 1
    assert value(found["access_monitor_spent_usd"], key=target.key) == 0.02
    assert value(found["access_monitor_budget_remaining_usd"]) == pytest.approx(4.98)
    assert value(found["access_monitor_healthy"]) == 1
    assert value(found["access_monitor_database_refusing"]) == 0


async def test_without_openmetrics_it_is_the_classic_text(world):
    await world.watch(world.target())
    answer = await (await world.browse()).get("/metrics")
    assert answer.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert "# TYPE access_monitor_probes_total counter\n" in answer.text
    assert "# EOF" not in answer.text


async def test_it_needs_the_right_to_read_and_refuses_as_to_a_program(world, tokens):
    await world.watch(world.target())
    client = await world.browse("")
    answer = await client.get("/metrics")
    assert answer.status_code == 401
    assert answer.headers["Content-Type"].startswith("application/problem+json")
    bearer = {"Authorization": f"Bearer {tokens['read']}"}
    assert (await client.get("/metrics", headers=bearer)).status_code == 200


async def test_a_pool_that_is_not_there_is_an_error_that_names_it(world):
    await world.watch(world.target())
    answer = await (await world.browse()).get("/metrics?pool=hulk")
    assert answer.status_code == 400
    assert "no pool is named 'hulk'" in answer.json()["detail"]


async def test_targets_of_pools_are_counted_and_shown_when_they_are_asked_for(world):
    world.pools = (Pool(name="bulk", secrets=PoolFile("file:bulk.keys", None), watch=()),)
    pooled = [world.target(f"bulk-{n:08x}", organization=None) for n in range(3)]
    await world.watch(world.target(), *pooled)
    await world.happened(pooled[0], State.AVAILABLE)
    client = await world.browse()
    found = await scraped(client)
    counts = found["access_monitor_targets"]
    assert value(counts, pool="bulk", state="unknown") == 2
    assert value(counts, pool="bulk", state="available") == 1
    assert value(counts, pool="", state="unknown") == 1
    assert len(found["access_monitor_target"]) == 1
    assert value(found["access_monitor_targets_left_out"], reason="pool") == 3
    found = await scraped(client, "/metrics?pool=bulk")
    assert {one.labels["pool"] for one in found["access_monitor_target"]} == {"", "bulk"}
    states = [one for one in found["access_monitor_target_state"] if one.value == 1]
    assert len(states) == 4


async def test_without_a_database_there_are_no_metrics(world):
    answer = await (await world.browse()).get("/metrics")
    assert answer.status_code == 503
    assert "there is no database yet" in answer.json()["detail"]


def test_a_page_that_nobody_scrapes_does_not_load_the_library():
    loaded = "import sys, monitor.web.web_server; print('prometheus_client' in sys.modules)"
    ended = subprocess.run(
        [sys.executable, "-c", loaded], capture_output=True, text=True, check=True
    )
    assert ended.stdout == "False\n"
