"""What the pages read: once for all who ask at the same time, and never something old as new."""

import asyncio
import threading
from contextlib import suppress

import pytest

from monitor.store.errors import StoreError
from monitor.web.snapshots import Reader

pytestmark = pytest.mark.anyio


@pytest.fixture
def reader(tmp_path):
    made = Reader(tmp_path / "monitor.db", [])
    yield made
    made.close()


async def test_who_asks_for_the_same_meanwhile_gets_what_one_read(reader):
    asked, both = [], threading.Barrier(2)

    def slow(_, what):
        asked.append(what)
        both.wait(30)
        return f"{what}!"

    many = [asyncio.create_task(reader.lately(slow, n % 2)) for n in range(20)]
    assert await asyncio.gather(*many) == ["0!", "1!"] * 10
    assert sorted(asked) == [0, 1]
    assert await reader.lately(slow, 1) == "1!"
    assert len(asked) == 2


async def test_what_could_not_be_read_is_asked_for_again(reader):
    answers = iter([StoreError("the database is locked"), "read"])

    def query(_):
        answer = next(answers)
        if isinstance(answer, StoreError):
            raise answer
        return answer

    with pytest.raises(StoreError):
        await reader.lately(query)
    assert await reader.lately(query) == "read"


async def test_only_so_many_results_are_kept(reader):
    asked = []

    def query(_, number):
        asked.append(number)

    for number in range(200):
        await reader.lately(query, number)
    await reader.lately(query, 199)
    await reader.lately(query, 0)
    assert asked == [*range(200), 0]


async def test_who_is_told_of_something_new_does_not_see_the_old(reader):
    asked = []

    def query(_):
        asked.append(1)
        return len(asked)

    assert [await reader.lately(query), await reader.lately(query)] == [1, 1]
    reader.heard()
    async with asyncio.timeout(30):
        while await reader.lately(query) == 1:  # noqa: ASYNC110 - within four times nothing
            await asyncio.sleep(0)
    assert await reader.lately(query) == 2


async def test_what_comes_while_it_is_read_is_seen_by_who_asks_next(reader):
    asked, reading, go_on = [], threading.Event(), threading.Event()

    def query(_):
        asked.append(1)
        if len(asked) == 1:
            reading.set()
            go_on.wait(30)
        return len(asked)

    first = asyncio.create_task(reader.lately(query))
    await asyncio.to_thread(reading.wait, 30)
    reader.heard()
    go_on.set()
    await first
    assert await reader.lately(query) == 2


async def test_what_is_nearly_old_is_read_anew_while_who_asks_gets_the_present_one(reader):
    """A page that waits for thousands of targets takes three times as long."""
    asked, go_on = [], threading.Event()

    def query(_):
        asked.append(1)
        if len(asked) > 1:
            go_on.wait(30)
        return len(asked)

    found = [await reader.lately(query)]
    async with asyncio.timeout(30):
        while len(asked) == 1:
            found.append(await reader.lately(query))
            await asyncio.sleep(0)
        found.append(await reader.lately(query))  # while it is being read
    assert set(found) == {1}
    go_on.set()
    async with asyncio.timeout(30):
        while await reader.lately(query) == 1:  # noqa: ASYNC110
            await asyncio.sleep(0)


async def test_a_reading_ahead_that_fails_is_no_error_of_who_did_not_wait_for_it(reader, caplog):
    asked = []

    def query(_):
        asked.append(1)
        if len(asked) == 2:
            raise StoreError("the database is locked")
        return len(asked)

    async with asyncio.timeout(30):
        while len(asked) < 2:
            assert await reader.lately(query) == 1
            await asyncio.sleep(0)
        with suppress(StoreError):  # who asks while it fails waits for the same reading
            while await reader.lately(query) == 1:  # noqa: ASYNC110
                await asyncio.sleep(0)
        assert await reader.lately(query) == 3
    assert not caplog.records
