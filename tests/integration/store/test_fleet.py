"""Several workers on one PostgreSQL: each shard has one of them, and who lost its shards records nothing."""

import asyncio
import sys
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import closing
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pytest

from monitor.access.databases import Server
from monitor.access.holds import Posting, Reservation, Spend
from monitor.access.target import SHARDS, shard_of
from monitor.access.words import DeclarationKind, Reason
from monitor.store import fences, postgres, status_queries
from monitor.store.errors import (
    GoneError,
    LockedError,
    OverMonthError,
    StoreError,
    TakenError,
    UnavailableError,
)
from monitor.store.fleet import Standing
from monitor.store.inbox import SILENCE, reply_to, submit
from monitor.store.ownership import writing_alone
from monitor.store.recorder import Recorder
from monitor.store.records import Change
from monitor.store.status_queries import figures

pytestmark = pytest.mark.anyio

MONTH = date(2026, 11, 1)
NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
ALL = range(SHARDS)
Join = Callable[..., Awaitable[Recorder]]


@pytest.fixture
def place(on_server: Server) -> Server:
    return on_server


@pytest.fixture
async def join(place: Server, clock, proxy) -> AsyncIterator[Join]:
    """Open a recorder as a worker of this name."""
    opened: list[Recorder] = []

    async def join(name: str, at: Server = place) -> Recorder:
        opened.append(await Recorder.open(at, clock=clock, worker=name))
        return opened[-1]

    yield join
    for recorder in opened:
        await recorder.aclose()


@pytest.fixture
def unseen(ask) -> Callable[..., None]:
    """Let time pass in which these workers had no transaction, and others watched."""

    def unseen(*names: str, seconds: float = fences.LEASE + 1) -> None:
        step = timedelta(seconds=seconds)
        ask("UPDATE fences SET watching_since = watching_since - ?::interval", step)
        for name in names:
            ask("UPDATE fences SET seen_at = seen_at - ?::interval WHERE name = ?", step, name)

    return unseen


async def beat(worker: Recorder, *, offline: bool = False) -> Standing:
    assert worker.fleet
    return await worker.fleet.beat(MONTH, offline=offline)


async def both(join: Join) -> tuple[Recorder, Recorder]:
    """Two workers with half of the shards each."""
    one = await join("one")
    await beat(one)
    other = await join("other")
    await one.fleet.hand_over((await beat(one)).hand_over)
    await beat(other)
    return one, other


def of_shard(make, shards):
    """A target of one of these shards."""
    names = (f"org-{n}" for n in range(10_000))
    return next(
        make.target(key=f"key-{name}", organization=name)
        for name in names
        if shard_of("openai", name) in shards
    )


async def test_the_first_worker_has_all_and_one_that_joins_gets_half(join):
    one = await join("one")
    assert set((await beat(one)).shards) == set(ALL)
    other = await join("other")
    standing = await beat(other)
    assert (standing.workers, standing.shards) == (2, {})
    standing = await beat(one)
    assert len(standing.hand_over) == SHARDS // 2
    await one.fleet.hand_over(standing.hand_over)
    mine, its = (await beat(one)).shards, (await beat(other)).shards
    assert len(mine) == len(its) == SHARDS // 2
    assert set(mine) | set(its) == set(ALL)


async def test_who_stops_leaves_its_shards_to_others_at_once(join):
    one, other = await both(join)
    await one.aclose()
    assert set((await beat(other)).shards) == set(ALL)


async def test_a_lease_that_is_over_ends_the_worker_and_its_late_answer_is_refused(
    join, unseen, make, ask
):
    one, other = await both(join)
    target = of_shard(make, (await beat(one)).shards)
    await one.register([target])
    unseen("one")
    standing = await beat(other)
    assert standing.ended == ("one",)
    assert set(standing.shards) == set(ALL)
    with pytest.raises(GoneError, match="others have taken over what the worker one had"):
        await one.write([make.change(target, "ops")])
    with pytest.raises(GoneError):
        one.require_own()
    assert ask("SELECT count(*) FROM events") == [(0,)]
    await other.register([target])
    assert len(await other.write([make.change(target, "ops")])) == 1


async def test_who_stands_still_in_the_midst_of_a_transaction_is_followed(join, unseen, place):
    # The server waits for the rest of a pipeline without an end, and meanwhile the row is locked.
    one, other = await both(join)
    await beat(one)
    unseen("one")
    with closing(postgres.connect(place)) as frozen:
        frozen.execute("SELECT set_config('idle_in_transaction_session_timeout', '1s', true)")
        half = frozen.pgconn
        half.enter_pipeline_mode()
        half.send_query_params(b"UPDATE fences SET sequence = 0 WHERE name = 'one'", [])
        half.send_flush_request()
        half.flush()
        ended: list[str] = []
        async with asyncio.timeout(60):
            while not ended:
                await asyncio.sleep(0.5)
                ended += (await beat(other)).ended
    assert ended == ["one"]


async def test_a_shard_that_was_taken_away_alone_stops_its_worker_too(join, make, ask):
    one = await join("one")
    await beat(one)
    ask("UPDATE shards SET epoch = epoch + 1 WHERE id = 7")
    with pytest.raises(GoneError):
        await beat(one)


async def test_who_was_cut_off_itself_does_not_judge_the_others(join, unseen, make):
    one, other = await both(join)
    unseen("one", "other")  # as when the server was away
    assert (await beat(other)).ended == ()
    assert len((await beat(one)).shards) == SHARDS // 2


async def test_a_worker_of_this_machine_that_was_killed_is_followed_at_once(join, ask):
    one, other = await both(join)
    ended = await asyncio.create_subprocess_exec(sys.executable, "-c", "")
    await ended.wait()
    name, started, machine = fences.own_name().split("/", 2)
    host, _, _ = name.rpartition(", process ")
    ask(
        "UPDATE fences SET holder = ? WHERE name = 'one'",
        f"{host}, process {ended.pid}/{started}/{machine}",
    )
    standing = await beat(other)
    assert standing.ended == ("one",)
    assert set(standing.shards) == set(ALL)
    with pytest.raises(GoneError):
        await beat(one)


async def test_a_name_is_one_workers_alone_while_it_lives(join, unseen):
    one = await join("one")
    with pytest.raises(LockedError, match="another worker named one has this database"):
        await join("one")
    await beat(one)
    unseen("one")
    again = await join("one")
    assert set((await beat(again)).shards) == set(ALL)
    with pytest.raises(GoneError):
        await beat(one)


async def test_one_daemon_and_a_fleet_exclude_each_other(place, join, clock):
    one = await join("one")
    with pytest.raises(LockedError, match="a worker of a fleet has this database"):
        await Recorder.open(place, clock=clock)
    with pytest.raises(LockedError), writing_alone(place):
        pass
    await one.aclose()
    alone = await Recorder.open(place, clock=clock)
    with pytest.raises(LockedError, match="another instance has this database"):
        await join("one")
    await alone.aclose()
    assert set((await beat(await join("one"))).shards) == set(ALL)


async def test_an_offline_machine_has_no_share_while_others_are_online(join):
    one, other = await both(join)
    standing = await beat(one, offline=True)
    assert set(standing.hand_over) == set(standing.shards)
    assert (standing.workers, standing.others_online) == (1, 1)
    await one.fleet.hand_over(standing.hand_over)
    assert set((await beat(other)).shards) == set(ALL)
    standing = await beat(other, offline=True)
    assert (standing.hand_over, standing.others_offline) == ((), 1), "nobody could do better"


def hold(worker: Recorder, number: int, usd: float) -> Reservation:
    return Reservation(worker.fleet.first_hold + number, "a", "acme-prod", MONTH, usd)


async def test_once_no_worker_is_offline_one_of_those_that_stay_learns_it(join):
    one, other = await both(join)
    for worker in (one, other):
        await beat(worker, offline=True)
    standing = await beat(one)  # it is back, and leaves it to the other to say so
    assert (standing.others_offline, standing.left_offline) == (1, False)
    third = await join("third")
    await other.aclose()
    assert [(await beat(worker)).left_offline for worker in (third, one, third)] == [
        True,
        False,
        False,
    ]


async def test_two_that_come_back_at_once_do_not_leave_it_to_each_other_to_say_so(join):
    one, other = await both(join)
    for _ in range(10):
        for worker in (one, other):
            await beat(worker, offline=True)
        both_back = await asyncio.gather(beat(one), beat(other))
        assert sorted(standing.others_offline for standing in both_back) == [0, 1]


async def test_the_months_budget_is_never_exceeded_by_all_together(join, ask):
    one, other = await both(join)
    for worker in (one, other):
        worker.fleet.limit(1.0)
    first, second = hold(one, 1, 0.6), hold(other, 1, 0.6)
    assert first.id != second.id
    await one.write([Change(posting=Posting(held=(first,)))])
    with pytest.raises(OverMonthError):
        await other.write([Change(posting=Posting(held=(second,)))])
    await other.write([Change(posting=Posting(held=(replace(second, usd=0.4),)))])
    assert (await beat(one)).committed_usd == pytest.approx(1.0)
    spend = Spend("acme-prod", MONTH, 0.1, 1, estimated=False)
    await one.write([Change(posting=Posting((spend,), freed=(first.id,)))])
    assert (await beat(other)).committed_usd == pytest.approx(0.5)
    forced = Posting(held=(hold(one, 2, 2.0),), over=True)
    await one.write([Change(posting=forced)])
    assert (await beat(other)).committed_usd == pytest.approx(2.5)
    ((booked,),) = ask("SELECT (SELECT sum(settled_usd) FROM spend) + (SELECT sum(usd) FROM holds)")
    assert booked == pytest.approx(2.5)


async def test_both_at_once_take_no_more_than_there_is(join):
    one, other = await both(join)
    for worker in (one, other):
        worker.fleet.limit(1.0)
    asked = [
        worker.write([Change(posting=Posting(held=(hold(worker, number, 0.1),)))])
        for number in range(10)
        for worker in (one, other)
    ]
    ends = await asyncio.gather(*asked, return_exceptions=True)
    assert sum(isinstance(end, OverMonthError) for end in ends) == 10
    assert sum(isinstance(end, list) for end in ends) == 10


async def test_what_is_booked_before_there_was_a_fleet_counts(place, join, clock):
    alone = await Recorder.open(place, clock=clock)
    spend = Spend("acme-prod", MONTH, 0.25, 1, estimated=False)
    await alone.write([Change(posting=Posting((spend,)))])
    await alone.aclose()
    assert (await beat(await join("one"))).committed_usd == pytest.approx(0.25)


async def test_an_answer_of_a_target_that_was_handed_over_is_refused(join, make, ask):
    one = await join("one")
    await beat(one)
    target = of_shard(make, ALL)
    await one.register([target])
    await one.fleet.hand_over([shard_of(target.route, target.scope)])
    assert await one.write([make.change(target, "ops")]) == []
    assert ask("SELECT count(*) FROM runs") == [(0,)]


async def test_each_worker_registers_its_own_targets_and_leaves_those_of_others(join, make, ask):
    one, other = await both(join)
    mine, its = [of_shard(make, (await beat(worker)).shards) for worker in (one, other)]
    await one.register([mine])
    await other.register([its])
    await one.register([mine])
    assert list(await one.load_memories()) == [mine.name]
    assert list(await other.load_memories()) == [its.name]
    await other.register([])
    assert ask("SELECT name FROM targets WHERE active") == [(mine.name,)]


async def test_several_targets_leave_at_once(join, make, ask):
    one = await join("one")
    await beat(one)
    few = [make.target(key=f"key-{n}", organization=f"org-{n}") for n in range(3)]
    await one.register(few)
    await one.register([few[0]])
    assert ask("SELECT name FROM targets WHERE active") == [(few[0].name,)]


async def test_each_worker_delivers_what_its_shards_have(join, make):
    one, other = await both(join)
    mine, its = [of_shard(make, (await beat(worker)).shards) for worker in (one, other)]
    await one.register([mine])
    await other.register([its])
    await one.write([make.change(mine, "ops")])
    await other.write([make.change(its, "ops")])
    general = replace(make.event(), channels=("ops",))
    await other.write([Change(events=(general,))])
    told = [
        [row.event.target for row in await worker.outbox.pending("ops", 9)]
        for worker in (one, other)
    ]
    assert told == [[mine.name], [its.name, None]]
    (row,) = await one.outbox.pending("ops", 9)
    await one.outbox.claim([row.id], make.clock.now + timedelta(minutes=2))
    await one.aclose()
    await beat(other)
    rows = await other.outbox.pending("ops", 9)
    assert [one.event.target for one in rows] == [mine.name, its.name, None]
    claimed, _ = await other.outbox.claim([row.id], make.clock.now + timedelta(minutes=2))
    assert claimed == [row.id], "the lease went with the worker"


async def test_a_declaration_is_taken_once_in_each_shard(join):
    one, other = await both(join)
    id_ = await one.declare(DeclarationKind.VERIFIED, "org-acme", NOON, "test")
    assert (await beat(other)).declared == id_
    await one.write([Change(declaration=id_, declared_in=tuple(ALL))])
    assert set((await beat(one)).shards.values()) == {id_}
    assert set((await beat(other)).shards.values()) == {0}, "not yet in these"
    await other.write([Change(declaration=id_, declared_in=tuple(ALL))])
    await other.aclose()
    assert set((await beat(one)).shards.values()) == {id_}


async def test_events_have_numbers_in_the_order_of_their_commits(join, make):
    one, other = await both(join)
    change, begun = Change(events=(make.event(),)), threading.Event()

    def slowly(work):
        work.put(change)
        begun.set()
        time.sleep(0.3)

    slow = asyncio.create_task(one.queue.do(slowly))
    assert await asyncio.to_thread(begun.wait, 10)
    (later,) = await other.write([change])
    assert slow.done(), "the other waits until the first is committed"
    assert later == 2


async def test_a_silence_that_one_worker_made_is_heeded_by_all(place, join, make, clock):
    one, other = await both(join)
    target = of_shard(make, (await beat(other)).shards)
    await other.register([target])
    item = submit(place, SILENCE, {}, clock.now)
    made = await one.silences.make(
        ["*/*"], "test", "ops", clock.now + timedelta(hours=1), item=item
    )
    await other.write([make.change(target, "ops")])
    assert await other.outbox.pending("ops", 9) == []
    await other.silences.read()
    assert other.silences.get(made.id) == made
    await one.silences.end(made, Reason.SILENCE_ENDED_BY_HAND)
    await other.write([make.change(target, "ops")])
    assert len(await other.outbox.pending("ops", 9)) == 1


@pytest.mark.parametrize("heard", [True, False])
async def test_a_cut_while_shards_are_taken_leaves_no_doubt(join, proxy, server, ask, heard):
    (schema,) = ask("SELECT current_schema()")
    one = await join("one", Server(server.url(search_path=schema[0], port=proxy.port)))
    proxy.word, proxy.heard = b"COMMIT", heard
    with pytest.raises(StoreError):
        await beat(one)
    assert set((await beat(one)).shards) == set(ALL)
    assert set((await beat(one)).shards) == set(ALL)
    one.require_own()


async def test_the_workers_are_listed_and_what_a_forgotten_one_counted_goes_on(
    place, join, clock, ask
):
    one, other = await both(join)
    one.tally.notified("ops", "delivered", 3)
    await one.progress({})
    await one.aclose()
    await beat(other)
    seen = status_queries.status(place, now=clock.now).workers
    assert [(w.name, w.shards, w.targets, w.gone) for w in seen] == [
        ("other", SHARDS, 0, False),
        ("one", 0, 0, True),
    ]
    assert status_queries.worker(place, "one").stopped_at == clock.now
    assert status_queries.daemon(place).stopped_at is None
    ask("UPDATE fences SET seen_at = seen_at - interval '8 days' WHERE name = 'one'")
    third = await join("third")
    assert third.tally.notifications["ops"]["delivered"] == 3
    assert ask("SELECT count(*) FROM daemon") == [(2,)]


async def test_the_figures_have_every_living_worker_or_the_last_daemon(place, join, clock):
    def noted() -> list[object]:
        return [one.status.get("of") for one in figures(place, (), ()).daemons]

    one, other = await both(join)
    for name, worker in (("one", one), ("other", other)):
        clock.now += timedelta(seconds=1)
        await worker.progress({"of": name})
    assert noted() == ["other", "one"]
    await one.aclose()
    assert noted() == ["other"]
    clock.now += timedelta(seconds=1)
    await other.aclose()
    assert noted() == ["other"]


async def test_workers_that_start_at_once_do_not_wait_for_each_other_for_ever(join):
    async def started(name: str) -> None:
        worker = await join(name)
        for _ in range(3):
            if handed_over := (await beat(worker)).hand_over:
                await worker.fleet.hand_over(handed_over)
            await worker.register([])

    await asyncio.gather(*(started(name) for name in "abcdef"))


async def test_a_hand_over_does_not_overtake_results_that_are_kept(join, proxy, server, ask, make):
    (schema,) = ask("SELECT current_schema()")
    one = await join("one", Server(server.url(search_path=schema[0], port=proxy.port)))
    await beat(one)
    target = of_shard(make, ALL)
    await one.register([target])
    proxy.word = b"COMMIT"
    proxy.heard = False
    await one.queue.keep([make.change(target, "ops")])
    assert one.queue.refusing
    with pytest.raises(UnavailableError):
        await one.fleet.hand_over([shard_of(target.route, target.scope)])
    with pytest.raises(UnavailableError):
        await one.register([])
    await one.progress({})
    await one.queue.written()
    await one.fleet.hand_over([shard_of(target.route, target.scope)])
    assert ask("SELECT count(*) FROM events") == [(1,)]


async def test_a_command_ends_no_worker_that_had_no_chance_to_be_seen(place, join, unseen):
    one, other = await both(join)
    unseen("one", "other", seconds=60)  # as when the server was away

    def command() -> None:
        with writing_alone(place):
            raise AssertionError("both live")

    asked = asyncio.create_task(asyncio.to_thread(command))
    await asyncio.sleep(1)
    for worker in (one, other):
        await worker.progress({})
    with pytest.raises(LockedError, match="a worker of a fleet has this database"):
        await asked
    one.require_own()


async def test_a_target_that_another_worker_has_registered_is_written_by_that_one_only(
    join, make, ask
):
    one, other = await both(join)
    mine, its = [of_shard(make, (await beat(worker)).shards) for worker in (one, other)]
    await one.register([mine])
    moved = replace(mine, organization=its.organization)
    await other.register([moved])  # by settings that the first has not read yet
    assert await one.write([make.change(mine, "ops")]) == []
    await one.register([])
    assert len(await other.write([make.change(moved, "ops")])) == 1
    assert ask("SELECT name, active FROM targets") == [(moved.name, True)]


async def test_what_is_written_together_with_a_target_that_has_moved_is_recorded(join, make, ask):
    one, other = await both(join)
    shards = (await beat(one)).shards
    its = of_shard(make, (await beat(other)).shards)
    stays = of_shard(make, shards)
    moves = [make.target(key=f"key-{n}", organization=stays.organization) for n in range(2)]
    await one.register([stays, *moves])
    await other.register([replace(target, organization=its.organization) for target in moves])
    day = datetime(2026, 11, 20, tzinfo=UTC).date()
    cost = Posting((Spend("key-0", day, 0.25, 1, estimated=False),))
    written = await asyncio.gather(  # an opening with its siblings, and what shares the transaction
        one.write([make.change(stays, "ops"), *(make.change(target, "ops") for target in moves)]),
        one.write([replace(make.change(moves[0], "ops"), posting=cost)]),
        one.write([make.change(stays, "ops")]),
    )
    assert [len(events) for events in written] == [1, 0, 1]
    assert ask("SELECT DISTINCT target FROM events") == [(stays.name,)]
    assert ask("SELECT key, settled_usd FROM spend") == [("key-0", 0.25)]
    assert len(await one.write([make.change(target, "ops") for target in (moves[0], stays)])) == 1


async def test_a_request_is_settled_once(place, join, clock):
    one, other = await both(join)
    item = submit(place, SILENCE, {}, clock.now)
    await one.settle_inbox([item], "{}")
    with pytest.raises(TakenError):
        await other.settle_inbox([item], '{"late": true}')
    assert reply_to(place, item) == {}


async def test_declarations_that_a_shard_has_not_taken_are_those_of_the_daemon_that_follows(
    place, join, clock
):
    one, other = await both(join)
    first, second = [
        await one.declare(DeclarationKind.VERIFIED, f"org-{n}", NOON, "test") for n in range(2)
    ]
    await one.write([Change(declaration=first, declared_in=tuple((await beat(one)).shards))])
    for worker in (one, other):
        await worker.aclose()
    alone = await Recorder.open(place, clock=clock)
    assert [one.id for one in await alone.untaken_declarations()] == [first, second]
    await alone.write([Change(declaration=second)])
    await alone.aclose()
    again = await join("one")
    assert set((await beat(again)).shards.values()) == {0}, "the first is nobody's yet"
    found = await again.declarations_after(0)
    assert [one.id for one in found] == [first, second]


async def test_shares_follow_from_the_targets_in_the_database(join, make):
    one, other = await both(join)
    busy = [of_shard(make, [shard]) for shard in (await beat(one)).shards][:4]
    await one.register(busy)
    standing = await beat(one)
    assert len(standing.hand_over) == 2, "half of those with targets"
    await one.fleet.hand_over(standing.hand_over)
    await beat(other)
    assert (await beat(one)).hand_over == ()


async def test_what_many_keys_have_spent_is_read_at_once(join):
    one = await join("one")
    keys = [f"key-{n}" for n in range(70_000)]  # more than a statement may have parameters
    spend = Spend(keys[-1], MONTH, 0.25, 1, estimated=False)
    await one.write([Change(posting=Posting((spend,), held=(hold(one, 1, 0.1),)))])
    assert [row.key for row in await one.spend_since(MONTH, keys)] == [keys[-1]]
    assert await one.holds(keys) == []
    assert [held.key for held in await one.holds(["acme-prod"])] == ["acme-prod"]
