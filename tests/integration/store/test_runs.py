"""A run of equal answers is one row."""

import asyncio
from dataclasses import replace

import pytest

from monitor.access.words import Code, Contract, ProbeKind
from monitor.store import queries
from monitor.store.errors import StoreError
from monitor.store.recorder import Recorder
from monitor.store.records import Change, Told

pytestmark = pytest.mark.anyio


async def test_equal_answers_stay_one_row(path, recorder, clock, make):
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
    (run,) = queries.runs(path, make.target().name)
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
async def test_an_answer_that_differs_begins_another_row(path, recorder, make, other):
    name = make.target().name
    for answer in (make.answer(), make.answer(**other), make.answer(**other), make.answer()):
        await recorder.write([Change(name, answer=answer)])
    assert [run.count for run in queries.runs(path, name)] == [1, 2, 1]


async def test_listings_and_full_probes_do_not_end_each_others_runs(path, recorder, make):
    name = make.target().name
    for _ in range(3):
        await recorder.write([Change(name, answer=make.answer())])
        await recorder.write([Change(name, answer=make.answer(kind=ProbeKind.LISTING))])
    assert [run.count for run in queries.runs(path, name)] == [3]
    assert [run.count for run in queries.runs(path, name, ProbeKind.LISTING)] == [3]


async def test_a_run_goes_on_after_a_restart(path, recorder, clock, make):
    change = Change(make.target().name, answer=make.answer())
    await recorder.write([change])
    await recorder.aclose()
    again = await Recorder.open(path, clock=clock)
    await again.write([change])
    await again.aclose()
    (run,) = queries.runs(path, make.target().name)
    assert (run.count, run.request_ids) == (2, ("req_1", "req_1"))


async def test_a_run_never_goes_on_over_another_route(path, recorder, make):
    change = Change(make.target().name, answer=make.answer())
    await recorder.write([change])
    await recorder.register([make.target(route="relay", contract=Contract.PROVIDER)])
    await recorder.write([change])
    runs = queries.runs(path, make.target().name)
    assert [(run.route, run.count) for run in runs] == [("openai", 1), ("relay", 1)]


async def test_a_run_begun_in_a_transaction_that_failed_was_never_begun(path, recorder, make):
    change = Change(make.target().name, answer=make.answer())
    bad = replace(change, told=(Told(make.happening(), ("",)),))
    with pytest.raises(StoreError):
        await recorder.write([bad])
    await recorder.write([change])
    assert [run.count for run in queries.runs(path, make.target().name)] == [1]


async def test_ten_thousand_equal_answers_do_not_make_the_file_grow(path, recorder, make, ask):
    change = Change(make.target().name, memory=make.gated, answer=make.answer())
    await recorder.write([change])
    pages = ask("PRAGMA page_count")
    for _ in range(10):
        await asyncio.gather(*(recorder.write([change]) for _ in range(1000)))
    assert ask("PRAGMA page_count") == pages
    assert [run.count for run in queries.runs(path, make.target().name)] == [10_001]
