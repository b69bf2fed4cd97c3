"""A run of equal answers is one row, and keeps their latencies."""

import json
import random
from dataclasses import replace

import pytest
from stored import runs_of

from monitor.access.words import Code, Contract, ProbeKind
from monitor.store.errors import StoreError
from monitor.store.record_forms import latencies_of, percentile, with_latency
from monitor.store.recorder import Recorder
from monitor.store.records import Change

pytestmark = pytest.mark.anyio


async def test_equal_answers_stay_one_row(place, recorder, clock, make):
    first = clock.now
    for number, latency in enumerate([120.0, 80.0, 250.0, 110.0, 100.0, 90.0]):
        answer = make.answer(
            request_id=f"req_{number}",
            headers={"x-request-id": f"req_{number}"},
            latency_ms=latency,
            cost_usd=0.5,
            connect_ms=5.0 if number == 2 else None,
        )
        await recorder.write([Change(make.target().name, answer=answer)])
        clock.move(seconds=25)
    (run,) = runs_of(place, make.target().name)
    assert (run.count, run.first_at, run.last_at) == (6, first, answer.at)
    assert (run.latency_min_ms, run.latency_mean_ms, run.latency_max_ms) == (80.0, 125.0, 250.0)
    assert run.request_ids == ("req_1", "req_2", "req_3", "req_4", "req_5")
    assert run.headers == {"x-request-id": "req_5"}
    assert (run.cost_usd, run.connect_ms) == (3.0, 5.0)


@pytest.mark.parametrize(
    "other",
    [
        {"diagnosis": Code.RATE_LIMITED},
        {"diagnosis": None},
        {"status": 404},
        {"status": None},
        {"gate": None},
        {"message": "Other words."},
    ],
)
async def test_an_answer_that_differs_begins_another_row(place, recorder, make, other):
    name = make.target().name
    for answer in (make.answer(), make.answer(**other), make.answer(**other), make.answer()):
        await recorder.write([Change(name, answer=answer)])
    assert [run.count for run in runs_of(place, name)] == [1, 2, 1]


async def test_listings_and_full_probes_do_not_end_each_others_runs(place, recorder, make):
    name = make.target().name
    for _ in range(3):
        await recorder.write([Change(name, answer=make.answer())])
        await recorder.write([Change(name, answer=make.answer(kind=ProbeKind.LISTING))])
    assert [run.count for run in runs_of(place, name)] == [3]
    assert [run.count for run in runs_of(place, name, ProbeKind.LISTING)] == [3]


async def test_a_run_goes_on_after_a_restart(place, recorder, clock, make):
    change = Change(make.target().name, answer=make.answer())
    await recorder.write([change])
    await recorder.aclose()
    again = await Recorder.open(place, clock=clock)
    await again.write([change])
    await again.aclose()
    (run,) = runs_of(place, make.target().name)
    assert (run.count, run.request_ids) == (2, ("req_1", "req_1"))


async def test_a_run_never_goes_on_over_another_route(place, recorder, make):
    change = Change(make.target().name, answer=make.answer())
    await recorder.write([change])
    await recorder.register([make.target(route="relay", contract=Contract.PROVIDER)])
    await recorder.write([change])
    runs = runs_of(place, make.target().name)
    assert [(run.route, run.count) for run in runs] == [("openai", 1), ("relay", 1)]


async def test_a_run_begun_in_a_transaction_that_failed_was_never_begun(place, recorder, make):
    change = Change(make.target().name, answer=make.answer())
    bad = replace(change, events=(replace(make.event(), channels=("",)),))
    with pytest.raises(StoreError):
        await recorder.write([bad])
    await recorder.write([change])
    assert [run.count for run in runs_of(place, make.target().name)] == [1]


def test_percentiles_are_within_5_percent_and_the_text_stays_small():
    random_ms = random.Random(17)
    values = sorted(random_ms.lognormvariate(5, 1.0) for _ in range(20_000))
    counts = {}
    for ms in values:
        counts = with_latency(counts, ms)
    for share in (0.05, 0.5, 0.95, 0.99):
        assert percentile(counts, share) == pytest.approx(values[int(share * 20_000)], rel=0.055)
    assert latencies_of(json.dumps(counts)) == counts
    assert len(json.dumps(counts)) < 1500


@pytest.mark.parametrize("ms", [0.0, 0.4, 1.0, -3.0, 1e9, float("inf")])
def test_a_latency_out_of_range_is_counted_at_the_end(ms):
    assert sum(with_latency({}, ms).values()) == 1


def test_no_latency_has_no_percentile():
    assert percentile({}, 0.5) is None


async def test_a_run_keeps_its_timings(place, recorder, make, clock):
    name = make.target().name
    for number in range(40):
        answer = make.answer(
            latency_ms=100.0 + number,
            request_id=f"req_{number}",
            connect_ms=None if number else 5.0,
            tls_ms=None if number else 9.0,
            first_byte_ms=90.0 + number,
            reused=bool(number) if number < 39 else None,
        )
        await recorder.write([Change(name, answer=answer)])
        clock.move(seconds=25)
    (run,) = runs_of(place, name)
    assert run.latency_median_ms == pytest.approx(120, rel=0.05)
    assert run.latency_p95_ms == pytest.approx(137, rel=0.05)
    assert 100 <= run.latency_median_ms <= run.latency_p95_ms <= run.latency_max_ms
    assert (run.connect_ms, run.tls_ms, run.first_byte_ms) == (5.0, 9.0, 129.0)
    assert (run.fresh, run.reused) == (1, 38)
    assert run.request_times[-1] == answer.at
    assert len(run.request_times) == len(run.request_ids) == 5


async def test_timings_go_on_after_a_restart(place, recorder, make, clock):
    change = Change(make.target().name, answer=make.answer(reused=True))
    await recorder.write([change])
    await recorder.aclose()
    again = await Recorder.open(place, clock=clock)
    await again.write([change])
    await again.aclose()
    (run,) = runs_of(place, make.target().name)
    assert (run.count, run.reused) == (2, 2)
    assert run.latency_median_ms == pytest.approx(120, rel=0.05)
