"""Writing: one transaction, group commit, and what a restart finds."""

import asyncio
from dataclasses import replace
from datetime import date, datetime, timedelta

import pytest

from monitor.access.holds import Posting, Reservation, Spend
from monitor.access.memory import TargetState
from monitor.access.words import Contract, DeclarationKind, State
from monitor.daemon.payments import Payments
from monitor.store import status_queries
from monitor.store.errors import StoreError
from monitor.store.recorder import Recorder
from monitor.store.records import Change
from monitor.store.tally import Tally

pytestmark = pytest.mark.anyio

COUNTS = (
    "SELECT (SELECT count(*) FROM runs), (SELECT count(*) FROM events),"
    " (SELECT count(*) FROM notifications), (SELECT count(*) FROM spend),"
    " (SELECT state FROM targets)"
)


async def test_answer_state_transition_and_outbox_are_written_together(recorder, make, ask):
    change = replace(make.change(make.target(), "ops", "mail"), posting=make.spent(0.01).posting)
    assert await recorder.write([change]) == [1]
    assert ask(COUNTS) == [(1, 1, 2, 1, "unverified")]


@pytest.mark.parametrize(
    "broken",
    [
        lambda good: replace(good, events=(replace(good.events[0], channels=("ops", "")),)),
        lambda good: replace(good, events=(replace(good.events[0], channels=("ops", "ops")),)),
        lambda good: replace(good, memory=replace(good.memory, state="nonsense")),
        lambda good: replace(good, answer=replace(good.answer, diagnosis="nonsense")),
        lambda good: replace(good, answer=replace(good.answer, at=datetime(2026, 11, 20))),  # noqa: DTZ001
        lambda good: replace(
            good, posting=Posting(held=(Reservation(1, "a", "a", good.answer.at.date(), -1.0),))
        ),
        lambda good: replace(good, target="acme-prod/unheard-of:images"),
        lambda good: replace(good, target=None),
    ],
    ids=["no channel", "channel twice", "state", "code", "naive time", "spend", "target", "none"],
)
async def test_a_change_that_fails_anywhere_leaves_nothing(recorder, make, ask, broken):
    good = replace(make.change(make.target(), "ops"), posting=make.spent(0.01).posting)
    with pytest.raises(StoreError):
        await recorder.write([good, broken(good)])
    assert ask(COUNTS) == [(0, 0, 0, 0, "unknown")]

    assert len(await recorder.write([good])) == 1
    assert ask(COUNTS) == [(1, 1, 1, 1, "unverified")]


async def test_an_event_for_no_channel_is_recorded_only(recorder, make, ask):
    await recorder.write([make.change(make.target())])
    assert ask("SELECT count(*) FROM events") == [(1,)]
    assert ask("SELECT count(*) FROM notifications") == [(0,)]


async def test_what_arrives_together_gets_its_ids_in_order(recorder, make):
    told = replace(make.event(), channels=("ops",))
    ids = await asyncio.gather(*(recorder.write([Change(events=(told,) * 3)]) for _ in range(500)))
    assert [id_ for three in ids for id_ in three] == list(range(1, 1501))


async def test_a_bad_unit_fails_for_its_own_caller_only(recorder, make, ask):
    good = make.change(make.target(), "ops")
    bad = replace(good, events=(replace(make.event(), channels=("",)),))
    units = [bad if number % 5 == 0 else good for number in range(40)]
    results = await asyncio.gather(
        *(recorder.write([unit]) for unit in units), return_exceptions=True
    )
    failed = [isinstance(result, StoreError) for result in results]
    assert failed == [unit is bad for unit in units]
    assert ask("SELECT count(*) FROM notifications") == [(32,)]
    assert ask("SELECT answers FROM runs") == [(32,)]


async def test_what_was_accepted_is_written_even_if_its_caller_is_cancelled(recorder, make, ask):
    task = asyncio.ensure_future(recorder.write([make.change(make.target(), "ops")]))
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    await recorder.aclose()
    assert task.cancelled()
    assert ask("SELECT count(*) FROM events") == [(1,)]


async def test_closing_writes_what_waits_and_refuses_the_rest(recorder, make, ask):
    writes = [
        asyncio.ensure_future(recorder.write([make.change(make.target())])) for _ in range(300)
    ]
    await asyncio.sleep(0)
    await recorder.aclose()
    await recorder.aclose()
    assert [await write for write in writes] == [[number] for number in range(1, 301)]
    with pytest.raises(StoreError, match="closed"):
        await recorder.write([])


async def test_more_than_may_wait_are_all_written(recorder, make, ask):
    told = make.event()
    await asyncio.gather(*(recorder.write([Change(events=(told,))]) for _ in range(5000)))
    assert ask("SELECT count(*), max(id) FROM events") == [(5000, 5000)]


async def test_an_error_does_not_hold_what_was_to_be_written(recorder, make):
    event = make.event(facts={"message": "private words"})
    with pytest.raises(StoreError) as caught:
        await recorder.write([Change(events=(replace(event, channels=("",)),))])
    assert "private words" not in str(caught.value)
    assert "private words" not in str(caught.value.__cause__)


async def test_a_restart_finds_all(place, recorder, clock, make):
    await recorder.write([make.change(make.target(), "ops")])
    (pending,) = await recorder.outbox.pending("ops", 10)
    await recorder.outbox.claim([pending.id], clock.now + timedelta(hours=1))
    await recorder.declare(DeclarationKind.VERIFIED, "org-acme", clock.now, "settings")
    await recorder.write([make.spent(0.02)])
    await recorder.progress({"probes": 7})
    await recorder.aclose()

    clock.move(minutes=5)
    again = await Recorder.open(place, clock=clock)
    assert await again.load_memories() == {make.target().name: make.gated}
    (found,) = await again.outbox.pending("ops", 10)
    assert found == replace(pending, attempts=1)
    assert len(await again.untaken_declarations()) == 1
    assert [row.settled_usd for row in await again.spend_since(clock.now.date())] == [0.02]
    assert again.before.status["probes"] == 7
    assert again.before.stopped_at == clock.now - timedelta(minutes=5)
    assert status_queries.daemon(place).stopped_at is None
    await again.aclose()


async def test_targets_that_leave_keep_their_memory_for_their_return(recorder, make):
    one, two = make.target(), make.target("acme-dev")
    await recorder.register([one, two])
    await recorder.write([make.change(one)])
    await recorder.register([two])
    assert list(await recorder.load_memories()) == [two.name]
    await recorder.write([make.change(one)])  # a probe that was under way
    await recorder.register([one])
    assert await recorder.load_memories() == {one.name: make.gated}


async def test_a_new_target_is_unknown_since_now(recorder, clock, make):
    assert await recorder.load_memories() == {make.target().name: TargetState(since=clock.now)}


@pytest.mark.parametrize(
    "change",
    [
        {"route": "relay", "contract": Contract.PROVIDER},
        {"contract": Contract.PROVIDER},
        {"organization": "org-example"},
    ],
)
async def test_a_target_of_another_contract_starts_anew(recorder, clock, make, ask, change):
    await recorder.write([make.change(make.target())])
    clock.move(minutes=1)
    await recorder.register([make.target(**change)])
    assert await recorder.load_memories() == {make.target().name: TargetState(since=clock.now)}


@pytest.mark.parametrize("change", [{"organization": None}, {"project": "proj_example"}])
async def test_a_target_described_better_goes_on(recorder, make, change):
    await recorder.write([make.change(make.target())])
    await recorder.register([make.target(**change)])
    assert await recorder.load_memories() == {make.target().name: make.gated}


async def test_a_memory_that_cannot_be_read_keeps_nothing_from_starting(recorder, make, ask):
    await recorder.write([make.change(make.target())])
    ask('UPDATE targets SET memory = \'{"state": "of another age"}\'')
    (memory,) = (await recorder.load_memories()).values()
    assert memory == TargetState(State.UNVERIFIED, since=make.gated.since, gated_seen=True)


async def test_the_same_declaration_is_kept_once_and_taken_once(recorder, clock, make):
    telling = (DeclarationKind.VERIFIED, "org-acme", clock.now, "settings")
    declaration = await recorder.declare(*telling)
    assert await recorder.declare(*telling) is None
    assert [row.id for row in await recorder.untaken_declarations()] == [declaration]
    await recorder.write([Change(declaration=declaration)])
    assert await recorder.untaken_declarations() == []
    assert await recorder.declare(*telling) is None


async def test_what_yesterday_and_its_month_cost_is_known_after_a_start_too(recorder):
    yesterday = date(2026, 11, 30)
    spends = [
        Spend("acme-prod", day, 0.01, 1, estimated=False) for day in (date(2026, 11, 1), yesterday)
    ]
    await recorder.write([Change(posting=Posting(tuple(spends)))])
    payments = Payments(recorder, [], None, None)
    await payments.load(date(2026, 12, 1))
    await payments.tidy(date(2026, 12, 1))
    assert payments._ledger.committed("acme-prod", yesterday) == pytest.approx(0.01)
    assert payments._ledger.spent_in_month(yesterday) == pytest.approx(0.02)


async def test_spend_adds_up_and_what_is_held_stays_until_it_is_freed(recorder, clock, make):
    today = clock.now.date()
    holds = [Reservation(number, "target", "acme-prod", today, 0.05) for number in (1, 2)]
    await recorder.write([Change(posting=Posting(held=tuple(holds))), make.spent(0.01)])
    estimated = Spend("acme-prod", today, 0.01, 1, estimated=True)
    await recorder.write([Change(posting=Posting((estimated,), freed=(1,)))])
    (row,) = await recorder.spend_since(today)
    assert (row.settled_usd, row.probes, row.estimated) == (pytest.approx(0.02), 2, True)
    assert await recorder.holds() == holds[1:]
    assert await recorder.spend_since(today + timedelta(days=1)) == []


async def test_what_is_counted_goes_on_after_a_stop_and_after_a_kill(place, recorder, clock, kill):
    def seen() -> int:
        return Tally.of(status_queries.daemon(place).status).probes["openai"]["none"]

    recorder.tally.probed("openai", "none", 0.0, {})
    await recorder.progress({"probes": 1})
    recorder.tally.probed("openai", "none", 0.0, {})
    await recorder.aclose()  # its last note has both
    assert seen() == 2
    again = await Recorder.open(place, clock=clock)
    assert seen() == 2, "before its first note, too"
    again.tally.probed("openai", "none", 0.0, {})
    await again.progress({"probes": 1})
    again.tally.probed("openai", "none", 0.0, {})
    kill(again)  # what was counted since the note is lost
    last = await Recorder.open(place, clock=clock)
    assert last.tally.probes["openai"]["none"] == seen() == 3
    await last.aclose()
