"""The inbox: what other processes ask of the daemon."""

import asyncio
import multiprocessing
import sqlite3
from datetime import UTC, datetime

import pytest

from monitor.store.errors import StoreError
from monitor.store.inbox import submit
from monitor.store.records import Change

pytestmark = pytest.mark.anyio


async def test_what_was_submitted_is_read_until_it_is_settled(path, recorder, clock):
    first = submit(path, "declare", {"kind": "verified", "subject": "org-acme"}, now=clock.now)
    second = submit(path, "retry", {"ids": None}, now=clock.move(seconds=1))
    items = await recorder.inbox()
    assert [(item.id, item.kind) for item in items] == [(first, "declare"), (second, "retry")]
    assert items[0].payload == {"kind": "verified", "subject": "org-acme"}
    assert items[1].created_at == clock.now
    await recorder.settle_inbox([first])
    assert await recorder.inbox() == items[1:]


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


def submit_many(path, start) -> None:
    start.wait()
    for number in range(50):
        submit(path, "declare", {"number": number}, now=datetime(2026, 11, 20, tzinfo=UTC))


async def test_other_processes_submit_while_the_recorder_writes(path, recorder, make):
    context = multiprocessing.get_context("spawn")
    start = context.Event()
    others = [context.Process(target=submit_many, args=(path, start)) for _ in range(2)]
    for other in others:
        other.start()
    start.set()
    written = 0
    while any(other.is_alive() for other in others) or not written:
        await asyncio.gather(*(recorder.write([Change(events=(make.event(),))]) for _ in range(10)))
        written += 10
    assert [other.exitcode for other in others] == [0, 0]
    assert len(await recorder.inbox()) == 100
    assert await recorder.write([Change(events=(make.event(),))]) == [written + 1]


async def test_without_a_database_it_says_what_to_start(path, clock):
    with pytest.raises(StoreError, match="start `access-monitor run` first"):
        submit(path, "declare", {}, now=clock.now)
    assert not path.exists()


async def test_a_database_of_another_revision_is_not_written_to(path, recorder, clock, ask):
    ask("UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(StoreError, match="9999"):
        submit(path, "declare", {}, now=clock.now)
    assert ask("SELECT count(*) FROM inbox") == [(0,)]
