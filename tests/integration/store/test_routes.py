"""Routes to a model, compared: what `status --routes` prints."""

from datetime import timedelta

import pytest

from monitor.access.words import Code, Contract, ProbeKind
from monitor.store import queries
from monitor.store.records import Change

pytestmark = pytest.mark.anyio


async def test_routes_are_compared_and_never_merged(place, recorder, make, clock):
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
    direct, provider = queries.routes(place, since=clock.now)
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


async def test_old_answers_and_those_over_another_route_do_not_count(place, recorder, make, clock):
    name = make.target().name
    await recorder.write([Change(name, answer=make.answer())])
    (one,) = queries.routes(place, since=clock.now + timedelta(seconds=1))
    assert (one.answers, one.latency_median_ms, one.by_diagnosis) == (0, None, {})
    await recorder.register([make.target(route="relay", contract=Contract.PROVIDER)])
    (one,) = queries.routes(place, since=clock.now)
    assert (one.route, one.answers) == ("relay", 0)
