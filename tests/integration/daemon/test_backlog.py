"""What waits to be written, on a real database that refuses it: a table is out of reach for a while."""

import asyncio
import os
import sqlite3
from contextlib import asynccontextmanager, closing
from dataclasses import replace
from datetime import UTC, datetime

import pytest
import structlog

from monitor.access.happening import Happening
from monitor.access.holds import Posting, Reservation, Spend
from monitor.access.words import EventKind, Reason
from monitor.daemon.backlog import Backlog
from monitor.store.errors import StoreError, UnavailableError
from monitor.store.recorder import Recorder
from monitor.store.records import Change, Told

pytestmark = pytest.mark.anyio


def change(name: str) -> Change:
    """Something told, recognisable by its scope."""
    now = datetime.now(UTC)
    return Change(
        told=(Told(Happening(EventKind.STARTED, Reason.DAEMON_STARTED, now, scope=name)),)
    )


class Store:
    def __init__(self, path):
        self.path = path

    def ask(self, sql: str) -> list[tuple]:
        with closing(sqlite3.connect(self.path)) as database, database:
            return database.execute(sql).fetchall()

    def refuse(self) -> None:
        self.ask("ALTER TABLE happenings RENAME TO elsewhere")

    def accept(self) -> None:
        self.ask("ALTER TABLE elsewhere RENAME TO happenings")

    def scopes(self) -> list[str]:
        return [row[0] for row in self.ask("SELECT scope FROM happenings ORDER BY id")]


@pytest.fixture
def store(tmp_path) -> Store:
    return Store(tmp_path / "monitor.db")


@asynccontextmanager
async def opened(store: Store, **more):
    recorder = await Recorder.open(store.path, clock=lambda: datetime.now(UTC))
    backlog = Backlog(recorder, **more)
    try:
        yield backlog
    finally:
        await backlog.aclose()
        await recorder.aclose()


async def test_what_is_refused_is_kept_and_written_in_its_order_and_said_once(store):
    with structlog.testing.capture_logs() as logs:
        async with opened(store) as backlog:
            await backlog.write([change("before")])
            store.refuse()
            for n in range(5):
                await backlog.write([change(f"kept-{n}")])
            assert backlog.kept == 5
            assert "no such table" in backlog.refusing
            assert backlog.words()[0].endswith("5 results are kept")
            store.accept()
            await backlog.emptied()
            assert backlog.refusing is None
            await backlog.write([change("after")])
    assert store.scopes() == ["before", *(f"kept-{n}" for n in range(5)), "after"]
    said = [entry["event"] for entry in logs if entry["event"].startswith("database_")]
    assert said == ["database_migrated", "database_refuses", "database_accepts_again"]


async def test_who_brings_more_than_is_kept_waits_and_loses_nothing(store):
    async with opened(store, most=2) as backlog:
        store.refuse()
        await backlog.write([change("0")])
        more = [asyncio.create_task(backlog.write([change(str(n))])) for n in range(1, 5)]
        done, waiting = await asyncio.wait(more, timeout=0.3)
        assert (len(done), len(waiting), backlog.full) == (0, 4, True)
        store.accept()
        await asyncio.gather(*more)
    assert store.scopes() == list("01234")


async def test_who_insists_is_told_that_it_is_refused_and_nothing_of_it_is_kept(store):
    hold = Reservation(1, "acme", "acme", datetime.now(UTC).date(), 0.01)
    mark = Change(posting=Posting(held=(hold,)))
    async with opened(store) as backlog:
        store.ask("ALTER TABLE holds RENAME TO elsewhere")
        with pytest.raises(UnavailableError):
            await backlog.insist([mark])
        with pytest.raises(UnavailableError):  # without asking the database again
            await backlog.insist([mark])
        assert backlog.kept == 0
        store.ask("ALTER TABLE elsewhere RENAME TO holds")
        await backlog.write([change("after")])
        await backlog.emptied()
        await backlog.insist([mark])
    assert store.ask("SELECT usd FROM holds") == [(0.01,)]


async def test_a_change_that_is_itself_at_fault_is_given_back_and_stops_no_other(store):
    async with opened(store) as backlog:
        bad = replace(change("bad"), target="nobody/knows:images", memory=None, answer=None)
        bad = replace(bad, told=(*bad.told, Told(bad.told[0].happening, ("",))))
        writes = [
            backlog.write([change("one")]),
            backlog.write([bad]),
            backlog.write([change("two")]),
        ]
        results = await asyncio.gather(*writes, return_exceptions=True)
        assert [type(result) for result in results] == [type(None), StoreError, type(None)]
    assert store.scopes() == ["one", "two"]


async def test_in_a_damaged_file_no_change_is_itself_at_fault(store):
    async with opened(store) as backlog:
        await backlog.write([change("before")])
        store.ask("PRAGMA wal_checkpoint(TRUNCATE)")
        # a row without its page is missed by what refers to it: so a good change may look like a bad one
        bad = Told(change("kept").told[0].happening, ("",))
        store.ask("CREATE TABLE more (a TEXT NOT NULL)")
        store.ask("INSERT INTO more VALUES ('much')")
        store.ask("PRAGMA wal_checkpoint(TRUNCATE)")
        with store.path.open("r+b") as file:
            file.seek(-4096, os.SEEK_END)
            file.write(b"damaged " * 16)
        await backlog.write([Change(told=(bad,))])
        assert backlog.refusing.startswith("the database is damaged: ")
        assert backlog.kept == 1


async def test_what_is_kept_at_the_end_is_named(store):
    with structlog.testing.capture_logs() as logs:
        async with opened(store) as backlog:
            store.refuse()
            await backlog.write([change("lost")])
        store.accept()
    assert [e["event_kind"] for e in logs if e["event"] == "not_recorded"] == ["started"]
    assert [e["changes"] for e in logs if e["event"] == "results_lost"] == [1]


async def test_who_was_cancelled_is_written_all_the_same(store):
    async with opened(store) as backlog:
        task = asyncio.create_task(backlog.write([change("cancelled")]))
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await backlog.emptied()
    assert store.scopes() == ["cancelled"]


def spent(key: str) -> Change:
    """Something that nobody is told of."""
    return Change(posting=Posting((Spend(key, datetime.now(UTC).date(), 1.0),)))


async def test_what_brings_nothing_new_waits_for_company(store):
    async with opened(store) as backlog:
        await backlog.write([spent("patient")], patient=True)
        assert store.ask("SELECT key FROM spend") == []
        await backlog.write([spent("company")])
        assert store.ask("SELECT key FROM spend ORDER BY rowid") == [("patient",), ("company",)]
        await backlog.write([spent("alone")], patient=True)
        async with asyncio.timeout(20):
            await backlog.emptied()
        assert ("alone",) in store.ask("SELECT key FROM spend")


async def test_when_many_wait_who_brings_more_waits_too(store):
    async with opened(store) as backlog:
        for n in range(512):
            await backlog.write([spent(f"{n}")], patient=True)
        assert backlog.kept == 512
        await backlog.write([spent("one more")], patient=True)
        assert store.ask("SELECT count(*) FROM spend") == [(513,)]


async def test_an_empty_change_waits_for_all_before_it_or_is_refused(store):
    async with opened(store) as backlog:
        await backlog.write([spent("patient")], patient=True)
        await backlog.insist([])
        assert store.ask("SELECT key FROM spend") == [("patient",)]
        store.refuse()
        await backlog.write([change("kept")])
        with pytest.raises(UnavailableError):
            await backlog.insist([])
        store.accept()
        await backlog.emptied()
