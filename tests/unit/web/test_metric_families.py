"""The metrics of one reading: what is shown of named keys and of pools, and where it ends."""

from collections import Counter, defaultdict
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as open_metrics
from prometheus_client.parser import text_string_to_metric_families as classic

from monitor.access.words import Code, Contract, State, Surface
from monitor.config import Settings
from monitor.config.references import PoolFile
from monitor.config.settings import Pool
from monitor.store.records import DaemonRow
from monitor.store.status_queries import Figures, Money, TargetRow
from monitor.store.tally import COUNTED, Tally
from monitor.web import metric_families
from monitor.web.metric_families import FAMILIES, Reading, exposition

NOW = datetime.now(UTC)
POOL = Pool(name="bulk", secrets=PoolFile("file:bulk.keys", None), watch=())
SETTINGS = Settings(source=None, database=Path("monitor.db"), pools=(POOL,))
OPEN_METRICS = "application/openmetrics-text; version=1.0.0"


def target(key: str, state: State = State.UNVERIFIED, **values) -> TargetRow:
    told = {
        "organization": "org-acme", "project": None, "route": "openai", "contract": Contract.DIRECT,
        "model": "gpt-image-2", "surface": Surface.IMAGES, "since": NOW - timedelta(hours=1),
        "blocker": None,
    }  # fmt: skip
    told |= values
    name = f"{key}/{told['model']}:{told['surface']}"
    return TargetRow(name=name, key=key, state=state, **told)


def pool(number: int, state: State = State.AVAILABLE) -> TargetRow:
    return target(f"bulk-{number:08x}", state, organization=None)


def figures(*targets: TargetRow, asked=(), tally=None, status=None, **values) -> Figures:
    noted = {COUNTED: (tally or Tally()).as_json(), **(status or {})}
    counts, shown = defaultdict(Counter), []
    for one in targets:
        of = "bulk" if one.key.startswith("bulk-") else ""
        counts[of, one.organization or "", one.route, one.model][one.state] += 1
        if not of or of in asked:
            shown.append((of, one))
    told = {
        "at": NOW, "counts": counts, "targets": shown, "daemons": [DaemonRow(1, NOW, NOW, None, noted)],
        "pending": {}, "dead": {}, "oldest": None, "spent": {}, "money": Money(0.0, {}, {}),
        "refusing": False, "statuses": [noted], "workers": [],
    }  # fmt: skip
    return Figures(**(told | values))


def samples(*targets: TargetRow, **values):
    """The samples of each name: by the values of their labels, in the order of the labels' names."""
    read = Reading(figures(*targets, **values), SETTINGS)
    found: dict[str, dict[tuple[str, ...], float]] = {}
    for family in read.collect():
        for one in family.samples:
            labels = tuple(value for _, value in sorted(one.labels.items()))
            name = one.name.removeprefix("access_monitor_")
            assert labels not in found.setdefault(name, {}), "a series is shown once"
            found[name][labels] = one.value
    return found


def test_of_each_named_target_exactly_one_state_is_one():
    shown = samples(target("acme-prod", State.AVAILABLE), target("acme-dev", State.LOCKED))
    states = shown["target_state"]
    assert len(states) == 10
    assert {one for one, value in states.items() if value} == {
        ("available", "acme-prod/gpt-image-2:images"),
        ("locked", "acme-dev/gpt-image-2:images"),
    }
    assert shown["target_state_changed_timestamp_seconds"].keys() == {(name,) for _, name in states}


def test_pools_are_counted_and_their_targets_shown_on_request():
    targets = [target("acme-prod"), *map(pool, range(7)), pool(7, State.UNVERIFIED)]
    shown = samples(*targets)
    # the labels' names in order: model, organization, pool, route, state
    counts = shown["targets"]
    assert counts["gpt-image-2", "", "bulk", "openai", "available"] == 7
    assert counts["gpt-image-2", "", "bulk", "openai", "unverified"] == 1
    assert counts["gpt-image-2", "", "bulk", "openai", "locked"] == 0
    assert counts["gpt-image-2", "org-acme", "", "openai", "unverified"] == 1
    assert sum(counts.values()) == len(targets)
    assert len(shown["target_info"]) == 1
    assert shown["targets_left_out"] == {("pool",): 8, ("limit",): 0}

    shown = samples(*targets, asked={"bulk"})
    assert len(shown["target_info"]) == 9
    assert shown["targets_left_out"] == {("pool",): 0, ("limit",): 0}


def test_what_is_above_the_bounds_is_left_out_and_counted(monkeypatch):
    monkeypatch.setattr(metric_families, "TARGETS_MOST", 3)
    monkeypatch.setattr(metric_families, "SERIES_MOST", 4)
    many = [target(f"key-{n}", organization=f"org-{n}") for n in range(10)]
    shown = samples(*many, pool(1), spent={f"key-{n}": 1.0 for n in range(10)})
    assert len(shown["target_state"]) == 15
    assert len(shown["target_info"]) == 3
    assert shown["targets_left_out"] == {("pool",): 1, ("limit",): 7}
    assert len(shown["spent_usd_total"]) == 4
    assert shown["series_left_out"] == {
        ("access_monitor_spent_usd_total",): 6,
        ("access_monitor_key_budget_remaining_usd",): 6,
        ("access_monitor_targets",): 51,
    }


def test_money_of_a_pool_is_summed_and_nothing_remains_below_zero():
    shown = samples(
        target("acme-prod"), pool(1), pool(2),
        spent={"acme-prod": 0.25, "bulk-00000001": 0.5, "bulk-00000002": 0.25, "gone": 1.0},
        money=Money(7.0, {"acme-prod": 0.04, "bulk-00000001": 0.5}, {}),
    )  # fmt: skip
    assert shown["spent_usd_total"] == {("acme-prod",): 0.25, ("bulk",): 0.75, ("gone",): 1.0}
    assert shown["budget_usd"] == {(): 5.0}
    assert shown["budget_remaining_usd"] == {(): 0.0}
    assert shown["key_budget_remaining_usd"] == {("acme-prod",): pytest.approx(0.06)}


def test_what_the_daemon_counted_is_shown():
    tally = Tally()
    tally.probed("openai", "verification_required", 0.2, {"total": 120.0, "connect": 12.0})
    tally.notified("ops", "delivered", 3)
    shown = samples(target("acme-prod"), tally=tally, pending={"ops": 2}, dead={"pager": 1})
    assert shown["probes_total"] == {("verification_required", "openai"): 1}
    assert shown["probe_duration_seconds_count"] == {
        ("openai", "connect"): 1,
        ("openai", "total"): 1,
    }
    assert shown["probe_duration_seconds_sum"]["openai", "total"] == pytest.approx(0.12)
    assert shown["probe_duration_seconds_bucket"]["0.1", "openai", "total"] == 0
    assert shown["probe_duration_seconds_bucket"]["0.25", "openai", "total"] == 1
    assert shown["probe_lateness_seconds_bucket"]["+Inf",] == 1
    assert shown["notifications_total"] == {("ops", "delivered"): 3}
    assert shown["outbox_pending"] == {("ops",): 2, ("pager",): 0}
    assert shown["outbox_dead"] == {("ops",): 0, ("pager",): 1}


def test_health_blockers_and_shutdown_dates_are_shown():
    retired = target("acme-old", model="gpt-image-1", blocker=Code.MODEL_UNAVAILABLE)
    shown = samples(retired, refusing=True, status={"settings_taken": False}, oldest=NOW)
    assert shown["target_blocked"] == {("model_unavailable", "acme-old/gpt-image-1:images"): 1}
    assert shown["database_refusing"] == {(): 1}
    assert shown["healthy"] == {(): 1}
    assert shown["config_last_reload_successful"] == {(): 0}
    assert shown["outbox_oldest_timestamp_seconds"] == {(): NOW.timestamp()}
    assert list(shown["model_shutdown_timestamp_seconds"]) == [("gpt-image-1",)]
    assert samples(retired, status={"stalled": ["the main loop"]})["healthy"] == {(): 0}


def test_the_health_of_a_fleet_is_that_of_its_worst_worker():
    def worker(**status) -> DaemonRow:
        return DaemonRow(1, NOW, NOW, None, status)

    def shown(*daemons: DaemonRow) -> tuple[float, float]:
        found = samples(target("acme-prod"), daemons=daemons)
        return found["healthy"][()], found["config_last_reload_successful"][()]

    well = worker(settings_taken=True)
    assert shown(well, worker()) == (1, 1)
    assert shown(well, worker(settings_taken=False)) == (1, 0)
    assert shown(well, worker(stalled=["the main loop"])) == (0, 1)
    assert shown() == (0, 1)


@pytest.mark.parametrize(
    ("accept", "form", "parse"),
    [
        ("", "text/plain", classic),
        ("text/plain;version=0.0.4;q=0.5,*/*;q=0.1", "text/plain", classic),
        (OPEN_METRICS, "application/openmetrics-text", open_metrics),
    ],
)
def test_both_forms_are_read_back_by_the_librarys_own_parsers(accept, form, parse):
    tally = Tally()
    tally.probed("openai", "none", 0.0, {"total": 1.0})
    odd = target('acme "prod"\\', State.AVAILABLE, organization="org\nacme")
    shown = figures(odd, pool(1), tally=tally, oldest=NOW)
    body, content_type = exposition(shown, SETTINGS, accept)
    assert content_type.startswith(form)
    families = {family.name: family for family in parse(body.decode())}
    for family in FAMILIES:
        # the classic text calls a counter and an info by their whole names
        assert {family.name, family.base} & families.keys(), family.name
    assert body.decode().endswith("# EOF\n") == (parse is open_metrics)


def test_names_follow_the_conventions():
    for family in FAMILIES:
        assert (family.kind == "counter") == family.name.endswith("_total")
        assert (family.kind == "info") == family.name.endswith("_info")
        assert family.meaning[0].isupper() or family.meaning[0].isdigit()
    assert len({family.name for family in FAMILIES}) == len(FAMILIES)
