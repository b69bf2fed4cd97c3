"""Real servers to deliver to, and an outbox in memory with the store's semantics."""

import asyncio
import json
import ssl
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from listening import serving
from mail_server import MailServer, certificate, server_tls

from monitor.access.events import Event
from monitor.access.words import EventKind, Reason


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Apprise 2.2 imports what Python 3.11 deprecates: let it, in this folder only."""
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.filterwarnings("ignore:'imghdr':DeprecationWarning"))


@pytest.fixture
def light() -> Callable[..., Event]:
    """A first light; keyword arguments replace its fields."""

    def build(**fields: Any) -> Event:
        values = {
            "kind": EventKind.FIRST_LIGHT,
            "reason": Reason.FIRST_GRANTED,
            "at": datetime.now(UTC),
            "target": "acme-prod/gpt-image-2:images",
            "scope": "org-acme",
            "facts": {"contract": "direct", "organization": "org-acme"},
            **fields,
        }
        return Event(**values)

    return build


@dataclass(frozen=True)
class Row:
    """As the store shows it."""

    id: int
    event: Event
    attempts: int
    created_at: datetime
    channel: str
    state: str = "pending"
    lease_until: datetime | None = None
    error: str = ""


class MemoryOutbox:
    """The store's semantics, without the store."""

    def __init__(self) -> None:
        self.rows: dict[int, Row] = {}
        self.ahead = timedelta()
        self.broken = False
        #: deliveries that cannot be noted, the next ones
        self.unmarkable = 0
        #: while it is not set, no delivery is noted
        self.marking = asyncio.Event()
        self.marking.set()
        self._changed = asyncio.Condition()

    def add(self, channel: str, event: Event, *, age: timedelta = timedelta()) -> int:
        id_ = len(self.rows) + 1
        self.rows[id_] = Row(id_, replace(event, id=id_ + 100), 0, self.time() - age, channel)
        return id_

    def time(self) -> datetime:
        """The wall clock, which a test may set ahead."""
        return datetime.now(UTC) + self.ahead

    def states(self) -> list[str]:
        return [row.state for row in self.rows.values()]

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(20), self._changed:
            await self._changed.wait_for(condition)

    async def pending(self, channel: str, limit: int, after: int = 0) -> Sequence[Row]:
        if self.broken:
            await self._break(broken=False)
            raise OSError("the disk is full")
        waiting = [r for r in self.rows.values() if r.channel == channel and r.state == "pending"]
        waiting = [row for row in waiting if row.event.id > after]
        return sorted(waiting, key=lambda r: r.event.id)[:limit]

    async def claim(
        self, ids: Sequence[int], until: datetime
    ) -> tuple[Sequence[int], Sequence[int]]:
        got = [id_ for id_ in ids if self._free(self.rows[id_])]
        for id_ in got:
            self.rows[id_] = replace(self.rows[id_], attempts=self.rows[id_].attempts + 1)
        await self._change(got, lease_until=until)
        pending = [id_ for id_ in ids if self.rows[id_].state == "pending"]
        return got, [id_ for id_ in pending if id_ not in got]

    async def release(self, ids: Sequence[int]) -> None:
        await self._change(ids, lease_until=None)

    async def delivered(self, ids: Sequence[int], at: datetime) -> None:
        if self.unmarkable:
            self.unmarkable -= 1
            await self._break(broken=self.broken)
            raise OSError("the disk is full")
        await self.marking.wait()
        await self._change(ids, state="delivered", lease_until=None)

    async def failed(self, ids: Sequence[int], error: str, next_attempt_at: datetime) -> None:
        await self._change(ids, error=error, lease_until=None)

    async def dead(self, ids: Sequence[int], error: str, at: datetime) -> None:
        await self._change(ids, state="dead", error=error, lease_until=None)

    async def _break(self, *, broken: bool) -> None:
        async with self._changed:
            self.broken = broken
            self._changed.notify_all()

    def _free(self, row: Row) -> bool:
        leased = row.lease_until is not None and row.lease_until > self.time()
        return row.state == "pending" and not leased

    async def _change(self, ids: Sequence[int], **fields: Any) -> None:
        async with self._changed:
            for id_ in ids:
                self.rows[id_] = replace(self.rows[id_], **fields)
            self._changed.notify_all()


@pytest.fixture
def outbox() -> MemoryOutbox:
    return MemoryOutbox()


class Webhook:
    """A local HTTP server: keeps what it is sent, and answers as it is told, 200 by default."""

    def __init__(self) -> None:
        self.received: list[dict[str, Any]] = []
        self.answers: list[int] = []
        #: the topic that it refuses
        self.refused = ""
        #: what an answer 429 says besides
        self.limited: dict[str, Any] = {}
        self.hangs = asyncio.Event()
        self.released = asyncio.Event()
        self.port = 0
        self._arrived = asyncio.Condition()

    @property
    def titles(self) -> list[str]:
        return [str(one.get("title")) for one in self.received]

    async def handle(self, request: web.Request) -> web.Response:
        body = json.loads(await request.read())
        if self.hangs.is_set():
            await self.released.wait()
        status = self.answers.pop(0) if self.answers else 200
        if self.refused and body.get("topic") == self.refused:
            status = 403
        if status == 200:
            async with self._arrived:
                self.received.append(body)
                self._arrived.notify_all()
        if status == 429:
            return web.Response(status=429, **self.limited)
        return web.Response(status=status, text="ok" if status == 200 else "no_service")

    async def arrival(self, count: int) -> None:
        async with asyncio.timeout(20), self._arrived:
            await self._arrived.wait_for(lambda: len(self.received) >= count)


@pytest.fixture
async def webhooks(anyio_backend: str) -> AsyncIterator[Callable[[], Any]]:
    """Starts local webhooks."""
    async with AsyncExitStack() as stack:

        async def start() -> Webhook:
            hook = Webhook()
            app = web.Application()
            app.router.add_post("/{path:.*}", hook.handle)
            hook.port = await stack.enter_async_context(serving(app))
            stack.callback(hook.released.set)
            return hook

        yield start


class Mailbox(MailServer):
    """What the mail server took."""

    def __init__(self) -> None:
        self.mails: list[EmailMessage] = []

    def took(self, mail: EmailMessage) -> bool:
        self.mails.append(mail)
        return True


@pytest.fixture
def tls(tmp_path: Path) -> ssl.SSLContext:
    """A server's context; its certificate is `mail.example.pem` in the test's folder."""
    return server_tls(certificate(tmp_path, "mail.example"))


@pytest.fixture
async def mailbox(anyio_backend: str, tls: ssl.SSLContext) -> AsyncIterator[Mailbox]:
    """A mail server with STARTTLS and AUTH required."""
    box = Mailbox()
    async with await box.listen(tls):
        yield box
