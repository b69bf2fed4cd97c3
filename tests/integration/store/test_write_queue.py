"""What waits to be written, on a real database, which refuses it while a table is out of reach."""

import asyncio
import os
import sqlite3
from contextlib import asynccontextmanager, closing
from dataclasses import replace
from datetime import UTC, datetime

import pytest
import structlog
from quick_time import FACTOR, PATIENCE, in_quick_time

from monitor.access.events import Event
from monitor.access.holds import Posting, Reservation, Spend
from monitor.access.target import Capability, Target
from monitor.access.words import Contract, EventKind, Reason, Surface
from monitor.store.errors import StoreError, UnavailableError
from monitor.store.recorder import Recorder
from monitor.store.records import Change

pytestmark = pytest.mark.anyio

KNOWN = [
    Target(f"key-{n}", Capability("gpt-image-2", Surface.IMAGES), "openai", Contract.DIRECT)
    for n in range(512)
]
A, B = KNOWN[0].name, KNOWN[1].name


def change(name: str) -> Change:
    """Something told, recognisable by its scope."""
    now = datetime.now(UTC)
    return Change(events=(Event(EventKind.STARTED, Reason.DAEMON_STARTED, now, scope=name),))


class Store:
    def __init__(self, path):
        self.path = path

    def ask(self, sql: str) -> list[tuple]:
        with closing(sqlite3.connect(self.path)) as database, database:
            return database.execute(sql).fetchall()

    def refuse(self) -> None:
        self.ask("ALTER TABLE events RENAME TO elsewhere")

    def accept(self) -> None:
        self.ask("ALTER TABLE elsewhere RENAME TO events")

    def scopes(self) -> list[str]:
        return [row[0] for row in self.ask("SELECT scope FROM events ORDER BY id")]


@pytest.fixture
def store(tmp_path) -> Store:
    return Store(tmp_path / "monitor.db")


@asynccontextmanager
async def opened(store: Store, **more):
    recorder = await Recorder.open(store.path, clock=lambda: datetime.now(UTC), **more)
    await recorder.register(KNOWN)
    try:
        yield recorder.queue
    finally:
        await recorder.aclose()


@in_quick_time
async def test_what_is_refused_is_kept_and_written_in_its_order_and_said_once(store):
    with structlog.testing.capture_logs() as logs:
        async with opened(store) as queue:
            await queue.keep([change("before")])
            store.refuse()
            for n in range(5):
                await queue.keep([change(f"kept-{n}")])
            assert queue.kept == 5
            assert "no such table" in queue.refusing
            assert queue.words()[0].endswith("5 results are kept")
            store.accept()
            await queue.written()
            assert queue.refusing is None
            await queue.keep([change("after")])
    assert store.scopes() == ["before", *(f"kept-{n}" for n in range(5)), "after"]
    said = [entry["event"] for entry in logs if entry["event"].startswith("database_")]
    assert said == ["database_migrated", "database_refuses", "database_accepts_again"]


@in_quick_time
async def test_who_brings_more_than_is_kept_waits_and_loses_nothing(store):
    async with opened(store, most=2) as queue:
        store.refuse()
        await queue.keep([change("0")])
        more = [asyncio.create_task(queue.keep([change(str(n))])) for n in range(1, 5)]
        done, waiting = await asyncio.wait(more, timeout=0.3 * FACTOR)
        assert (len(done), len(waiting), queue.full) == (0, 4, True)
        store.accept()
        await asyncio.gather(*more)
    assert store.scopes() == list("01234")


@in_quick_time
async def test_who_insists_is_told_that_it_is_refused_and_nothing_of_it_is_kept(store):
    hold = Reservation(1, "acme", "acme", datetime.now(UTC).date(), 0.01)
    mark = Change(posting=Posting(held=(hold,)))
    async with opened(store) as queue:
        store.ask("ALTER TABLE holds RENAME TO elsewhere")
        with pytest.raises(UnavailableError):
            await queue.write([mark])
        with pytest.raises(UnavailableError):  # without asking the database again
            await queue.write([mark])
        assert queue.kept == 0
        store.ask("ALTER TABLE elsewhere RENAME TO holds")
        await queue.keep([change("after")])
        await queue.written()
        await queue.write([mark])
    assert store.ask("SELECT usd FROM holds") == [(0.01,)]


async def test_a_change_that_is_itself_at_fault_is_given_back_and_stops_no_other(store):
    async with opened(store) as queue:
        bad = replace(change("bad"), target="nobody/knows:images", memory=None, answer=None)
        bad = replace(bad, events=(*bad.events, replace(bad.events[0], channels=("",))))
        writes = [
            queue.keep([change("one")]),
            queue.keep([bad]),
            queue.keep([change("two")]),
        ]
        results = await asyncio.gather(*writes, return_exceptions=True)
        assert [type(result) for result in results] == [type(None), StoreError, type(None)]
    assert store.scopes() == ["one", "two"]


async def test_in_a_damaged_file_no_change_is_itself_at_fault(store):
    async with opened(store) as queue:
        await queue.keep([change("before")])
        store.ask("PRAGMA wal_checkpoint(TRUNCATE)")
        # a row without its page is missed by what refers to it: so a good change may look like a bad one
        bad = replace(change("kept").events[0], channels=("",))
        store.ask("CREATE TABLE more (a TEXT NOT NULL)")
        store.ask("INSERT INTO more VALUES ('much')")
        store.ask("PRAGMA wal_checkpoint(TRUNCATE)")
        with store.path.open("r+b") as file:
            file.seek(-4096, os.SEEK_END)
            file.write(b"damaged " * 16)
        await queue.keep([Change(events=(bad,))])
        assert queue.refusing.startswith("the database is damaged: ")
        assert queue.kept == 1


async def test_what_is_kept_at_the_end_is_named(store):
    with structlog.testing.capture_logs() as logs:
        async with opened(store) as queue:
            store.refuse()
            await queue.keep([change("lost")])
        store.accept()
    assert [e["event_kind"] for e in logs if e["event"] == "not_recorded"] == ["started"]
    assert [e["changes"] for e in logs if e["event"] == "results_lost"] == [1]


async def test_who_was_cancelled_is_written_all_the_same(store):
    async with opened(store) as queue:
        task = asyncio.create_task(queue.keep([change("cancelled")]))
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await queue.written()
    assert store.scopes() == ["cancelled"]


def spent(key: str, target: str | None = None) -> Change:
    """Something that nobody is told of."""
    return Change(target, posting=Posting((Spend(key, datetime.now(UTC).date(), 1.0),)))


def keys(store: Store) -> list[str]:
    """Of what was spent, in the order in which it was written."""
    return [row[0] for row in store.ask("SELECT key FROM spend ORDER BY rowid")]


@in_quick_time
async def test_what_brings_nothing_new_waits_for_company(store):
    async with opened(store) as queue:
        await queue.keep([spent("patient", A)], patient=True)
        assert keys(store) == []
        await queue.keep([spent("company")])
        assert sorted(keys(store)) == ["company", "patient"]
        await queue.keep([spent("alone", A)], patient=True)
        async with asyncio.timeout(PATIENCE * FACTOR):
            while "alone" not in keys(store):  # noqa: ASYNC110 - it is another thread that writes
                await asyncio.sleep(0.05)


async def test_what_people_are_told_of_goes_before_what_brings_nothing_new(store):
    async with opened(store) as queue:
        for target in KNOWN:
            await queue.keep([spent(target.key, target.name)], patient=True)
        await queue.keep([change("told")])
        assert store.scopes() == ["told"]
        assert keys(store) == []


async def test_who_waits_for_a_reservation_waits_for_few_others(store):
    async with opened(store) as queue:
        for target in KNOWN:
            await queue.keep([spent(target.key, target.name)], patient=True)
        await queue.write([spent("reserved")])
        assert len(keys(store)) <= 33
        assert keys(store)[0] == "reserved"


async def test_what_people_are_told_of_overtakes_nothing_of_its_own_target(store):
    async with opened(store) as queue:
        await queue.keep([spent("first", A)], patient=True)
        await queue.keep([spent("other", B)], patient=True)
        await queue.keep([spent("second", A)], patient=True)
        await queue.keep([replace(spent("third", A), events=change("told").events)])
        assert keys(store) == ["first", "second", "third"]


@in_quick_time
async def test_what_brings_nothing_new_does_not_wait_for_ever_behind_what_does(store):
    async with opened(store) as queue:
        await queue.keep([spent("patient", A)], patient=True)
        async with asyncio.timeout(PATIENCE * FACTOR):
            while not keys(store):
                await queue.keep([change("told")])


async def test_when_many_wait_who_brings_more_waits_too(store):
    async with opened(store) as queue:
        for target in KNOWN:
            await queue.keep([spent(target.key, target.name)], patient=True)
        assert queue.kept == 512
        assert not queue.calm
        await queue.keep([spent("one more", A)], patient=True)
        assert "one more" in keys(store)


async def test_whoever_waits_until_all_is_written_need_not_be_patient(store):
    async with opened(store) as queue:
        await queue.keep([spent("patient", A)], patient=True)
        await queue.written()
        assert keys(store) == ["patient"]


async def test_what_comes_after_all_sees_what_waited(store):
    async with opened(store) as queue:
        await queue.keep([spent("patient", A)], patient=True)
        find = "SELECT key FROM spend"
        found = await queue.do(
            lambda work: work.flush().exec_driver_sql(find).scalars().all(), after_all=True
        )
        assert found == ["patient"]


async def test_what_waits_at_the_end_is_written(store):
    async with opened(store) as queue:
        await queue.keep([spent("patient", A)], patient=True)
    assert keys(store) == ["patient"]
    with pytest.raises(StoreError, match="closed"):
        await queue.keep([spent("late")])


@in_quick_time
async def test_what_is_refused_is_overtaken_by_nothing_that_came_with_it(store):
    bad = replace(change("bad"), events=(replace(change("bad").events[0], channels=("",)),))
    with structlog.testing.capture_logs() as logs:
        async with opened(store) as queue:
            store.refuse()
            await asyncio.gather(*(queue.keep([c]) for c in (bad, change("told"), spent("after"))))
            assert (queue.kept, keys(store)) == (3, [])
            store.accept()
            await queue.written()
    assert (store.scopes(), keys(store)) == (["told"], ["after"])
    assert len([entry for entry in logs if entry["event"] == "not_recorded"]) == 1
