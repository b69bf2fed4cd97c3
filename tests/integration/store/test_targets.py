"""What is known of one target, as support may ask for it."""

import pytest
from stored import runs_of

from monitor.access.memory import TargetState
from monitor.access.target import Capability
from monitor.access.words import Code, Contract, DeclarationKind, ProbeKind, State, Surface
from monitor.store.errors import StoreError
from monitor.store.records import Change
from monitor.store.target_queries import target_record

pytestmark = pytest.mark.anyio


async def test_the_first_answer_after_a_declaration_begins_a_run(place, recorder, make, clock):
    name = make.target().name
    await recorder.write([Change(name, make.gated, make.answer())])
    declared = clock.move(minutes=1)
    memory = TargetState(State.PROPAGATING, declared, declared_at=declared, gated_seen=True)
    for _ in range(3):
        clock.move(seconds=25)
        await recorder.write([Change(name, memory, make.answer())])
    assert [run.count for run in runs_of(place, name)] == [1, 3]
    found = target_record(place, name)
    assert found.start == found.memory.declared_at == declared
    assert [run.count for run in found.runs] == [3]


async def test_a_record_has_the_target_its_declarations_and_its_neighbours(
    place, recorder, make, clock
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
    found = target_record(place, here.name)
    assert found.status.target == here.name
    assert found.memory == make.gated
    assert [(one.kind, one.subject) for one in found.declarations] == [("verified", "org-acme")]
    assert [run.diagnosis for run in found.runs] == [Code.VERIFICATION_REQUIRED]
    assert found.identity is not None
    assert [(one.status.target, one.request_id) for one in found.beside] == [
        (text.name, "req_text")
    ]
    assert target_record(place, relay.name).beside == ()


async def test_a_record_is_bounded_and_says_what_it_left_out(place, recorder, make):
    name = make.target().name
    await recorder.write(
        [Change(name, make.gated, make.answer(message=f"{number}")) for number in range(50)]
    )
    found = target_record(place, name)
    assert (len(found.runs), found.runs_left_out) == (40, 10)
    assert found.runs[-1].message == "49"


async def test_a_target_that_was_never_watched_has_no_record(place, recorder, make):
    with pytest.raises(StoreError, match="nothing is known of acme/x:chat yet"):
        target_record(place, "acme/x:chat")
