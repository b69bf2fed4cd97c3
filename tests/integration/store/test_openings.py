"""Propagation records in the database."""

from dataclasses import replace
from datetime import timedelta

import pytest

from monitor.access.memory import TargetState
from monitor.access.wait_times import Began, Opening
from monitor.access.words import Contract, DeclarationKind, State, Surface
from monitor.store.errors import StoreError
from monitor.store.inbox import read_declaration, submit_declaration
from monitor.store.queries import propagation
from monitor.store.records import Change

pytestmark = pytest.mark.anyio


@pytest.fixture
def opening(clock, make):
    target = make.target()
    return Opening(
        target=target.name,
        contract=Contract.DIRECT,
        route="openai",
        organization="org-acme",
        scope="org-acme",
        model="gpt-image-2",
        surface=Surface.IMAGES,
        began=Began.DECLARED,
        declared_at=clock.now - timedelta(minutes=17),
        started_at=clock.now - timedelta(minutes=17),
        first_light_at=clock.now - timedelta(minutes=1),
        settled_at=clock.now,
        probes=44,
        cost_usd=0.0034,
        flickers=1,
    )


async def test_an_opening_is_read_back_as_it_was_written(place, recorder, clock, make, opening):
    unseen = replace(opening, began=Began.UNSEEN, declared_at=None, started_at=None)
    await recorder.write([Change(target=opening.target, opening=one) for one in (opening, unseen)])
    assert await recorder.openings() == [opening, unseen]
    assert list(propagation(place, now=clock.now)) == [opening, unseen]


async def test_an_opening_needs_its_target(recorder, opening):
    with pytest.raises(StoreError, match="needs its target"):
        await recorder.write([Change(opening=opening)])


async def test_the_waiting_are_the_active_targets_that_propagate(place, recorder, clock, make):
    since = clock.now - timedelta(minutes=20)
    memory = TargetState(
        State.PROPAGATING, since, gated_seen=True, declared_at=since, clock_at=since
    )
    await recorder.write([Change(target=make.target().name, memory=memory)])
    (waiting,) = propagation(place, now=clock.now)
    assert (waiting.target, waiting.began, waiting.wait_s) == (
        make.target().name,
        Began.DECLARED,
        1200,
    )
    await recorder.register([])
    assert list(propagation(place, now=clock.now)) == []


async def test_a_declaration_passes_through_the_inbox(place, recorder, clock):
    submit_declaration(place, DeclarationKind.VERIFIED, "org-acme", clock.now, clock.now)
    (item,) = await recorder.inbox()
    assert item.kind == "declare"
    assert read_declaration(item.payload) == (DeclarationKind.VERIFIED, "org-acme", clock.now)


@pytest.mark.parametrize(
    "change",
    [{"kind": "seen"}, {"kind": None}, {"at": "now"}, {"at": "2026-11-20T12:00:00"}, {"at": 5},
     {"at": "0001-01-01T00:00:00+14:00"},
     {"subject": 5}],
)  # fmt: skip
def test_a_malformed_declaration_is_none(change):
    payload = {"kind": "verified", "subject": "org-acme", "at": "2026-11-20T12:00:00Z"}
    assert read_declaration(payload) is not None
    assert read_declaration(payload | change) is None
    assert read_declaration({}) is None
