"""What one stream is told, with a database and a reader that do what they do at the worst moment."""

import asyncio
import re
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from monitor.access.events import Event
from monitor.access.words import EventKind, Reason
from monitor.store.queries import events_after, last_event
from monitor.web import live_events
from monitor.web.live_events import LiveEvents

pytestmark = pytest.mark.anyio

EVENT = Event(
    EventKind.BLOCKED, Reason.GATED, datetime(2026, 11, 30, tzinfo=UTC), target="acme/a:images"
)


class Database:
    """Has the events from 1 on, up to the newest."""

    def __init__(self, newest: int) -> None:
        self.newest = newest

    async def ask(self, query, *args):
        if query is last_event:
            return self.newest
        assert query is events_after
        after, most = args
        return [replace(EVENT, id=n) for n in range(after + 1, self.newest + 1)][:most]


class Out:
    """A reader that takes nothing until it is let."""

    send = live_events._Out.send

    def __init__(self) -> None:
        self.said: list[str] = []
        self.takes = asyncio.Event()

    async def write(self, said: bytes) -> None:
        self.said.append(said.decode())
        await self.takes.wait()

    @property
    def told(self) -> list[int]:
        return [int(one) for one in re.findall(r"id: (\d+)\nevent", "".join(self.said))]

    @property
    def resets(self) -> int:
        return "".join(self.said).count("event: reset")


def recorded(live: LiveEvents, database: Database, newest: int) -> None:
    """As a question for new events finds it: the newest are kept."""
    database.newest = newest
    kept = range(max(newest - live_events._KEPT, 0) + 1, newest + 1)
    live._events = live_events._said([replace(EVENT, id=n) for n in kept])
    live._last = newest


async def ended(live: LiveEvents, telling: asyncio.Task[None], until) -> None:
    async with asyncio.timeout(30):
        while not until():  # noqa: ASYNC110 - whatever comes of it
            await asyncio.sleep(0)
        await live.end()
        await telling


@pytest.mark.parametrize(("more", "resets"), [(13, 0), (60, 1)])
async def test_who_was_slow_is_told_what_is_no_longer_kept_or_to_read_anew(
    monkeypatch, more, resets
):
    monkeypatch.setattr(live_events, "_KEPT", 8)
    database, out = Database(0), Out()
    live = LiveEvents(database)
    recorded(live, database, 2)
    telling = asyncio.create_task(live._tell(out, 0))
    while not out.said:  # noqa: ASYNC110
        await asyncio.sleep(0)
    recorded(live, database, 2 + more)
    out.takes.set()
    await ended(live, telling, lambda: out.resets or out.told[-1:] == [2 + more])
    assert out.resets == resets
    assert out.told == list(range(1, len(out.told) + 1))
    assert resets or out.told[-1] == 2 + more


async def test_a_stream_behind_an_older_database_is_told_to_read_anew_and_holds_up_nobody():
    """A backup was put in its place, which no question has noticed yet."""
    database, out = Database(10), Out()
    live = LiveEvents(database)
    live._last = 100  # as the last question found it
    out.takes.set()
    telling = asyncio.create_task(live._tell(out, 50))
    await ended(live, telling, lambda: out.resets)
    assert (out.told, out.resets) == ([], 1)
