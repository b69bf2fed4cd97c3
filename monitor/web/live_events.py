"""The event stream (SSE): what was recorded, told to every open page and program as it happens."""

import asyncio
import json
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial

import structlog
from aiohttp import web
from aiohttp.abc import AbstractStreamWriter

from monitor.access.events import Event
from monitor.store.errors import StoreError
from monitor.store.queries import events_after, last_event
from monitor.store.record_forms import event_as_json
from monitor.web.page_values import whole
from monitor.web.permissions import RefusedError
from monitor.web.snapshots import Reader

log = structlog.get_logger()

#: Streams at a time.
STREAMS_MOST = 256
#: Seconds between two questions for new events, while anybody listens.
_EVERY = 1.0
#: Seconds between two lines on a stream that has nothing to say, or a proxy would cut it.
_SIGN_OF_LIFE = 15.0
#: Events that are kept for streams that are behind; who missed more is told to read anew.
_KEPT = 500
#: Tells a reader to read everything anew.
_RESET = b"event: reset\ndata: {}\n\n"
#: Events that are written at once, and bytes that may wait for a reader, of each stream.
_AT_ONCE, _WAITING_MOST = 32, 16 * 1024
#: Seconds after which a reader that takes nothing loses its stream.
_SLOW = 10.0


class LiveEvents:
    """Asks the database for new events while there are streams, once for all of them."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        #: how many streams there are
        self.open = 0
        self._ended = False
        self._asking: asyncio.Task[None] | None = None
        self._starting = asyncio.Lock()
        self._news = asyncio.Condition()
        #: the newest, with what streams say of them: made once for all streams
        self._events: list[tuple[int, bytes]] = []
        self._last = 0
        self._databases = 0

    async def end(self) -> None:
        """End all streams at once, for a stop."""
        self._ended = True
        async with self._news:
            self._news.notify_all()
        if self._asking:
            self._asking.cancel()

    async def stream(self, request: web.Request) -> web.StreamResponse:
        """Answer with a stream that goes on where `Last-Event-ID` says, else from now."""
        if self.open >= STREAMS_MOST or self._ended:
            raise RefusedError(503, "too many streams are open")
        response = web.StreamResponse(
            headers={
                "Content-Type": "text/event-stream",
                "Cache-Control": "no-store",
                "X-Accel-Buffering": "no",  # nginx would keep the events back
            }
        )
        last = request.headers.get("Last-Event-ID", "")
        self.open += 1
        try:
            async with self._starting:  # many may open at once, and one asks for all
                if self._asking is None or self._asking.done():
                    self._last = await self._reader.ask(last_event)
                    self._events.clear()
                    self._asking = asyncio.create_task(self._ask(), name="live events")
            await response.prepare(request)
            if request.transport is not None:
                request.transport.set_write_buffer_limits(_WAITING_MOST)
            out = _Out(response, request.writer)
            with suppress(ConnectionError, TimeoutError, StoreError):  # who comes again is told why
                known = min(whole(last), self._last) if last else self._last
                await self._tell(out, known)
        finally:
            self.open -= 1
        return response

    async def _tell(self, out: "_Out", last: int) -> None:
        await out.write(f"retry: 3000\nid: {last}\n: connected\n\n".encode())
        database, behind = self._databases, 0
        while not self._ended:
            if database != self._databases:
                database, last = self._databases, self._last
                await out.write(_RESET)
            elif self._is_behind(last):
                # some at a time: hundreds of streams may be behind
                most = min(_AT_ONCE, _KEPT - behind)
                missed = await self._reader.ask(events_after, last, most) if most else ()
                behind += len(missed)
                if missed:
                    last = await out.send(_said(missed), last)
                else:
                    last, behind = self._last, 0
                    await out.write(_RESET)
            elif news := [one for one in self._events if one[0] > last]:
                last, behind = await out.send(news, last), 0
            else:
                try:
                    async with asyncio.timeout(_SIGN_OF_LIFE), self._news:
                        await self._news.wait_for(partial(self._has_news, last, database))
                except TimeoutError:
                    await out.write(b": alive\n\n")

    def _is_behind(self, last: int) -> bool:
        """Whether events are missing between the last one that was told and those that are kept."""
        return last < self._last and not (self._events and self._events[0][0] <= last + 1)

    def _has_news(self, last: int, database: int) -> bool:
        return self._ended or self._last > last or self._databases != database

    async def _ask(self) -> None:
        """Ask for new events until nobody listens."""
        trouble = ""
        while self.open:
            await asyncio.sleep(_EVERY)
            try:
                newest = await self._reader.ask(last_event)
                if newest < self._last:  # another database is in its place
                    self._last, self._events = newest, []
                    self._databases += 1
                    async with self._news:
                        self._news.notify_all()
                found = await self._reader.ask(events_after, self._last, _KEPT)
            except StoreError as error:
                if str(error) != trouble:  # once, not each second
                    trouble = str(error)
                    log.warning("events_not_read", error=trouble)
                continue
            if trouble:
                trouble = ""
                log.info("events_read_again")
            if found:
                self._reader.heard()
                self._last = found[-1].id
                self._events = [*self._events, *_said(found)][-_KEPT:]
                async with self._news:
                    self._news.notify_all()


def _said(events: Sequence[Event]) -> list[tuple[int, bytes]]:
    return [(event.id, _sse_of(event)) for event in events]


def _sse_of(event: Event) -> bytes:
    """In the shape of the history's JSON without who was told."""
    data = json.dumps(event_as_json(event), separators=(",", ":"))
    return f"id: {event.id}\nevent: {event.entry}\ndata: {data}\n\n".encode()


@dataclass(frozen=True, slots=True)
class _Out:
    """What a reader is sent. Raises TimeoutError when it takes nothing, ConnectionError when it is gone."""

    response: web.StreamResponse
    writer: AbstractStreamWriter

    async def write(self, said: bytes) -> None:
        """Write, and wait until little is left to be sent: the library waits for each 64 KiB only."""
        async with asyncio.timeout(_SLOW):
            await self.response.write(said)
            await self.writer.drain()

    async def send(self, events: Sequence[tuple[int, bytes]], last: int) -> int:
        """Write events, some at a time. Returns the id of the last."""
        for first in range(0, len(events), _AT_ONCE):
            some = events[first : first + _AT_ONCE]
            await self.write(b"".join(said for _, said in some))
            last = some[-1][0]
        return last
