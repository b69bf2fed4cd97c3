"""What only a file has: its pages and plans, its lock, its damage. For how it is made: test_database.py."""

import asyncio
import os
import sqlite3
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import event
from sqlalchemy.engine import Engine
from stored import runs_of

from monitor.store import database, queries, status_queries
from monitor.store.database import FileLock
from monitor.store.errors import LockedError, StoreError, UnavailableError
from monitor.store.inbox import submit
from monitor.store.recorder import Recorder
from monitor.store.records import Change, NotificationState
from monitor.store.status_queries import is_refusing
from monitor.store.target_queries import target_record

pytestmark = pytest.mark.anyio


@pytest.fixture
def place(path: Path) -> Path:
    return path


@contextmanager
def kept_statements():
    """The statements that are executed meanwhile, with their parameters."""
    statements = {}

    def keep(connection, cursor, statement, parameters, context, executemany) -> None:
        if statement.startswith(("SELECT", "UPDATE")) and not executemany:
            statements[statement] = parameters

    def traced(*args, **kwargs) -> sqlite3.Connection:
        made = connect(*args, **kwargs)
        made.set_trace_callback(lambda text: keep(None, None, text.strip(), (), None, False))
        return made

    connect = sqlite3.connect
    event.listen(Engine, "before_cursor_execute", keep)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sqlite3, "connect", traced)
        yield statements
    event.remove(Engine, "before_cursor_execute", keep)


def commits(path: Path) -> int:
    """Commits in the write-ahead log: its frames that have the field "size after commit"."""
    log = path.with_name(path.name + "-wal").read_bytes()
    frame = 24 + int.from_bytes(log[8:12])
    return sum(any(log[at + 4 : at + 8]) for at in range(32, len(log), frame))


async def test_without_a_database_it_says_what_to_start(path, clock):
    with pytest.raises(StoreError, match="start `access-monitor run` first"):
        status_queries.status(path, now=clock.now)
    path.parent.mkdir()
    path.touch()
    with pytest.raises(StoreError, match="start `access-monitor run` first"):
        queries.history(path)


async def test_a_value_that_this_program_never_wrote_is_said_to_be_damage(
    path, recorder, clock, make, ask
):
    await recorder.write([make.change(make.target())])
    ask("UPDATE targets SET since = '2026-damaged'")
    ask("UPDATE events SET facts = '{dam'")
    ask("UPDATE daemon SET status = '{dam'")
    for read in (
        lambda: status_queries.status(path, now=clock.now),
        lambda: queries.history(path),
        lambda: status_queries.daemon(path),
    ):
        with pytest.raises(StoreError, match=f"^{path}: the database is damaged"):
            read()
    with pytest.raises(StoreError, match="the database is damaged"):
        await recorder.register([make.target()])


async def test_every_query_of_a_damaged_file_says_to_restore_a_copy(path, recorder, clock, make):
    await recorder.write([make.change(make.target())])
    await recorder.aclose()
    with path.open("r+b") as file:  # the head says where the tables are, and stays
        file.seek(4096)
        file.write(b"damaged " * ((path.stat().st_size - 4096) // 8))
    for read in (
        lambda: status_queries.status(path, now=clock.now),
        lambda: status_queries.daemon(path),
        lambda: queries.history(path),
    ):
        with pytest.raises(StoreError, match=f"^{path}: the database is damaged .* Restore a copy"):
            read()


async def test_no_query_reads_a_large_table_whole(path, recorder, clock, make, ask):
    with kept_statements() as statements:
        queries.history(path, make.target().name, since=clock.now)
        queries.history(path, since=clock.now)
        queries.history(path)
        queries.alerts(path)
        queries.alerts(path, NotificationState.DEAD)
        target_record(path, make.target().name)
        await recorder.write([make.change(make.target())])
        await recorder.outbox.pending("ops", 10)
        await recorder.outbox.claim([1], clock.now)
        await recorder.inbox()
        await recorder.spend_since(clock.now.date())
        await recorder.outbox.release([1])
    large = ("runs", "events", "notifications", "inbox", "spend")
    seen = set()
    for statement, parameters in statements.items():
        for row in ask(f"EXPLAIN QUERY PLAN {statement}", *parameters):
            step = str(row[3])
            seen.add(step)
            scanned = step.startswith("SCAN") and step.split()[1] in large
            assert not scanned or "INDEX" in step or "LIMIT" in statement, (step, statement)
    text = "\n".join(sorted(seen))
    assert "ix_events_target_at (target=? AND at>?)" in text
    assert "ix_events_at (at>?)" in text
    assert "ix_inbox_waiting" in text
    assert "ix_runs_target_id_kind (target_id=? AND kind=?)" in text
    assert "ix_notifications_state_channel_event_id (state=? AND channel=?" in text


async def test_a_far_page_passes_over_nothing_that_is_newer(path, recorder, make, ask):
    """Nearly all notifications are delivered: to sort a million of them for each page takes seconds."""
    with kept_statements() as statements:
        queries.alerts(path, NotificationState.DELIVERED, before=100)
        queries.history(path, before=100)
    steps = {
        str(row[3])
        for statement, parameters in statements.items()
        for row in ask(f"EXPLAIN QUERY PLAN {statement}", *parameters)
    }
    assert "SEARCH events USING COVERING INDEX ix_events_at (at<?)" in steps
    assert "SEARCH notifications USING INTEGER PRIMARY KEY (rowid<?)" in steps
    assert not any("(state=?" in step for step in steps)


async def test_an_empty_inbox_is_not_read_again_before_the_next_commit(path, recorder, clock):
    assert await recorder.inbox() == []
    other = sqlite3.connect(path, isolation_level=None)
    other.execute(
        "BEGIN IMMEDIATE"
    )  # a read would wait for its turn: the writer begins with the lock
    async with asyncio.timeout(1):
        assert await recorder.inbox() == []
    other.execute("ROLLBACK")
    other.close()
    submit(path, "retry", {"ids": None}, now=clock.now)
    (item,) = await recorder.inbox()
    assert await recorder.inbox() == [item]
    await recorder.settle_inbox([item.id])
    assert await recorder.inbox() == []


async def test_without_a_database_nothing_is_submitted(path, clock):
    with pytest.raises(StoreError, match="start `access-monitor run` first"):
        submit(path, "declare", {}, now=clock.now)
    assert not path.exists()


async def test_ten_thousand_equal_answers_do_not_make_the_file_grow(path, recorder, make, ask):
    change = Change(make.target().name, memory=make.gated, answer=make.answer())
    await recorder.write([change])
    pages = ask("PRAGMA page_count")
    for _ in range(10):
        await asyncio.gather(*(recorder.write([change]) for _ in range(1000)))
    assert ask("PRAGMA page_count") == pages
    assert [run.count for run in runs_of(path, make.target().name)] == [10_001]


async def test_the_file_does_not_grow_with_time(recorder, make, clock, ask, path):
    """Five years of a target that changes its answer every day, and costs something every day."""
    target, sizes = make.target(), []
    for year in range(5):
        for day in range(365):
            clock.move(days=1)
            answer = make.answer(message=f"{year} {day}")
            answered = replace(make.change(target), answer=answer, events=())
            await recorder.write([answered, make.spent(0.001)])
            if day % 7 == 0:
                await recorder.prune(clock.now)
        (size,) = ask("SELECT page_count FROM pragma_page_count")
        sizes.append(size[0])
    assert sizes[-1] <= sizes[1] + 1, sizes
    (days,) = ask("SELECT count(*) FROM spend")
    assert days[0] <= 402


async def test_what_arrives_together_shares_a_commit(path, recorder, make):
    before = commits(path)
    told = make.event()
    await asyncio.gather(*(recorder.write([Change(events=(told,))]) for _ in range(200)))
    assert 1 <= commits(path) - before < 100  # a few; how many is up to the scheduler


async def test_a_lock_held_by_another_process_fails_the_write_and_not_the_recorder(
    path, clock, make, monkeypatch
):
    monkeypatch.setattr(database, "BUSY_TIMEOUT", 0.05)
    recorder = await Recorder.open(path, clock=clock)
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        writes = [recorder.write([Change(events=(make.event(),))]) for _ in range(3)]
        for result in await asyncio.gather(*writes, return_exceptions=True):
            assert isinstance(result, StoreError)
            assert "locked" in str(result)
        other.execute("ROLLBACK")
    await recorder.progress({})  # what shows that it is well again
    assert await recorder.write([Change(events=(make.event(),))]) == [1]
    await recorder.aclose()


async def test_other_processes_see_that_the_database_refuses_while_it_does(path, recorder):
    assert not is_refusing(path)
    recorder.queue.refused(UnavailableError("disk full"))
    recorder.say_refusing()
    assert is_refusing(path)
    with pytest.raises(LockedError, match=rf"process {os.getpid()}\)"):
        FileLock(path)
    await recorder.progress({})  # it is written: the database works again
    recorder.say_refusing()
    assert not is_refusing(path)
    await recorder.aclose()
    assert not is_refusing(path.with_name("another.db"))
