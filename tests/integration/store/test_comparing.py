"""Routes compared, dossiers, latencies: what support and `status --routes` are told."""

import random
from datetime import timedelta

import pytest

from monitor.access.memory import TargetState
from monitor.access.target import Capability
from monitor.access.words import Code, Contract, DeclarationKind, ProbeKind, State, Surface
from monitor.store import comparing, queries
from monitor.store.errors import StoreError
from monitor.store.latencies import added, from_text, merged, percentile, to_text
from monitor.store.recorder import Recorder
from monitor.store.records import Change
from monitor.store.target_record import target_record

pytestmark = pytest.mark.anyio


def test_percentiles_are_within_5_percent_and_the_text_stays_small():
    random_ms = random.Random(17)
    values = sorted(random_ms.lognormvariate(5, 1.0) for _ in range(20_000))
    counts = {}
    for ms in values:
        counts = added(counts, ms)
    for share in (0.05, 0.5, 0.95, 0.99):
        assert percentile(counts, share) == pytest.approx(values[int(share * 20_000)], rel=0.055)
    assert from_text(to_text(counts)) == counts
    assert len(to_text(counts)) < 1500
    assert percentile(merged([counts, counts]), 0.5) == percentile(counts, 0.5)


@pytest.mark.parametrize("ms", [0.0, 0.4, 1.0, -3.0, 1e9, float("inf")])
def test_a_latency_out_of_range_is_counted_at_the_end(ms):
    assert sum(added({}, ms).values()) == 1


def test_no_latency_has_no_percentile():
    assert percentile({}, 0.5) is None


async def test_a_run_keeps_its_timings(path, recorder, make, clock):
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
    (run,) = queries.runs(path, name)
    assert run.latency_median_ms == pytest.approx(120, rel=0.05)
    assert run.latency_p95_ms == pytest.approx(137, rel=0.05)
    assert 100 <= run.latency_median_ms <= run.latency_p95_ms <= run.latency_max_ms
    assert (run.connect_ms, run.tls_ms, run.first_byte_ms) == (5.0, 9.0, 129.0)
    assert (run.fresh, run.reused) == (1, 38)
    assert run.request_times[-1] == answer.at
    assert len(run.request_times) == len(run.request_ids) == 5


async def test_timings_go_on_after_a_restart(path, recorder, make, clock):
    change = Change(make.target().name, answer=make.answer(reused=True))
    await recorder.write([change])
    await recorder.aclose()
    again = await Recorder.open(path, clock=clock)
    await again.write([change])
    await again.aclose()
    (run,) = queries.runs(path, make.target().name)
    assert (run.count, run.reused) == (2, 2)
    assert run.latency_median_ms == pytest.approx(120, rel=0.05)


async def test_the_first_answer_after_a_declaration_begins_a_run(path, recorder, make, clock):
    name = make.target().name
    await recorder.write([Change(name, make.gated, make.answer())])
    declared = clock.move(minutes=1)
    memory = TargetState(State.PROPAGATING, declared, declared_at=declared, gated_seen=True)
    for _ in range(3):
        clock.move(seconds=25)
        await recorder.write([Change(name, memory, make.answer())])
    assert [run.count for run in queries.runs(path, name)] == [1, 3]
    found = target_record(path, name)
    assert (found.start, found.declared) == (declared, True)
    assert [run.count for run in found.runs] == [3]


async def test_a_dossier_has_the_target_its_declarations_and_its_neighbours(
    path, recorder, make, clock
):
    here = make.target()
    text = make.target(capability=Capability("o3", Surface.RESPONSES))
    relay = make.target("relay", route="relay", contract=Contract.PROVIDER)
    stranger = make.target("else", organization="org-other")
    await recorder.register([here, text, relay, stranger])
    await recorder.declare(DeclarationKind.VERIFIED, "org-acme", clock.now, "settings")
    await recorder.declare(DeclarationKind.REJECTED, "org-other", clock.now, "settings")
    granted = make.answer(diagnosis=Code.ACCESS_GRANTED, status=200, request_id="req_text")
    free = make.answer(kind=ProbeKind.LISTING, diagnosis=None, status=200)
    await recorder.write(
        [
            Change(here.name, make.gated, make.answer()),
            Change(here.name, answer=free),
            Change(text.name, answer=granted),
            Change(relay.name, answer=granted),
        ]
    )
    found = target_record(path, here.name)
    assert found.status.target == here.name
    assert found.memory == make.gated
    assert [(one.kind, one.subject) for one in found.declarations] == [("verified", "org-acme")]
    assert [run.diagnosis for run in found.runs] == [Code.VERIFICATION_REQUIRED]
    assert found.identity is not None
    assert [(one.status.target, one.request_id) for one in found.beside] == [
        (text.name, "req_text")
    ]
    assert target_record(path, relay.name).beside == ()


async def test_a_dossier_is_bounded_and_says_what_it_left_out(path, recorder, make):
    name = make.target().name
    await recorder.write(
        [Change(name, make.gated, make.answer(message=f"{number}")) for number in range(50)]
    )
    found = target_record(path, name)
    assert (len(found.runs), found.runs_left_out) == (40, 10)
    assert found.runs[-1].message == "49"


async def test_a_target_that_was_never_watched_has_no_dossier(path, recorder, make):
    with pytest.raises(StoreError, match="nothing is known of acme/x:chat yet"):
        target_record(path, "acme/x:chat")


async def test_routes_are_compared_and_never_merged(path, recorder, make, clock):
    here, second = make.target(), make.target("second")
    relay = make.target("relay", route="relay", contract=Contract.PROVIDER)
    await recorder.register([here, second, relay])
    gated = make.answer(latency_ms=100.0, reused=True)
    lost = make.answer(diagnosis=Code.NETWORK_ERROR, status=None, latency_ms=60_000.0)
    granted = make.answer(diagnosis=Code.ACCESS_GRANTED, status=200, latency_ms=9_000.0)
    await recorder.write(
        [Change(here.name, make.gated, gated)] * 20
        + [Change(second.name, make.gated, gated), Change(second.name, answer=lost)]
        + [Change(relay.name, answer=granted)] * 3
        + [
            Change(
                relay.name, answer=make.answer(kind=ProbeKind.LISTING, diagnosis=None, status=200)
            )
        ]
    )
    direct, provider = comparing.routes(path, since=clock.now)
    assert (direct.route, direct.contract, dict(direct.states)) == (
        "openai",
        Contract.DIRECT,
        {"unverified": 2},
    )
    assert (direct.answers, direct.reused) == (22, 21)
    assert direct.latency_median_ms == pytest.approx(100, rel=0.05)
    # what was never answered took no time to answer, but is counted
    assert direct.latency_p95_ms == pytest.approx(100, rel=0.05)
    assert {code: of.count for code, of in direct.by_diagnosis.items()} == {
        "verification_required": 21,
        "network_error": 1,
    }
    assert (provider.route, provider.answers, dict(provider.states)) == (
        "relay",
        3,
        {"unknown": 1},
    )
    assert provider.by_diagnosis["access_granted"].latency_p95_ms == pytest.approx(9000, rel=0.05)


async def test_old_answers_and_those_over_another_route_do_not_count(path, recorder, make, clock):
    name = make.target().name
    await recorder.write([Change(name, answer=make.answer())])
    (one,) = comparing.routes(path, since=clock.now + timedelta(seconds=1))
    assert (one.answers, one.latency_median_ms, one.by_diagnosis) == (0, None, {})
    await recorder.register([make.target(route="relay", contract=Contract.PROVIDER)])
    (one,) = comparing.routes(path, since=clock.now)
    assert (one.route, one.answers) == ("relay", 0)
