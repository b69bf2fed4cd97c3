"""The inbox: what other processes ask of the daemon."""

import asyncio
import multiprocessing
from datetime import UTC, datetime

import pytest
from stored import database_at, named

from monitor.store.errors import StoreError
from monitor.store.inbox import submit
from monitor.store.records import Change

pytestmark = pytest.mark.anyio


async def test_what_was_submitted_is_read_until_it_is_settled(place, recorder, clock):
    first = submit(place, "declare", {"kind": "verified", "subject": "org-acme"}, now=clock.now)
    second = submit(place, "retry", {"ids": None}, now=clock.move(seconds=1))
    items = await recorder.inbox()
    assert [(item.id, item.kind) for item in items] == [(first, "declare"), (second, "retry")]
    assert items[0].payload == {"kind": "verified", "subject": "org-acme"}
    assert items[1].created_at == clock.now
    await recorder.settle_inbox([first])
    assert await recorder.inbox() == items[1:]


def submit_many(named, start) -> None:
    place = database_at(named)
    start.wait()
    for number in range(50):
        submit(place, "declare", {"number": number}, now=datetime(2026, 11, 20, tzinfo=UTC))


async def test_other_processes_submit_while_the_recorder_writes(place, recorder, make):
    context = multiprocessing.get_context("spawn")
    start = context.Event()
    others = [context.Process(target=submit_many, args=(named(place), start)) for _ in range(2)]
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


async def test_a_database_of_another_revision_is_not_written_to(place, recorder, clock, ask):
    ask("UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(StoreError, match="9999"):
        submit(place, "declare", {}, now=clock.now)
    assert ask("SELECT count(*) FROM inbox") == [(0,)]
