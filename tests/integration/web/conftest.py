"""A database as a daemon leaves it, and the web process's application on a real port."""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from listening import serving

from monitor.access.events import Event
from monitor.access.memory import TargetState
from monitor.access.silences import Silence
from monitor.access.target import Capability, Target
from monitor.access.words import Code, Contract, EventKind, Gate, ProbeKind, Reason, State, Surface
from monitor.config import Settings
from monitor.config.settings import Pool, Route
from monitor.config.web_section import Web
from monitor.store.inbox import SILENCE, submit
from monitor.store.recorder import Recorder
from monitor.store.records import AnswerRecord, Change
from monitor.web.permissions import HashedToken, Right, digest_of
from monitor.web.web_server import application

READ, WRITE = "FAKE-read-token-0001", "FAKE-write-token-0002"
TOKENS = (
    HashedToken("reader", digest_of(READ), Right.READ),
    HashedToken("writer", digest_of(WRITE), Right.WRITE),
)
ROUTES = {
    "openai": Route(base_url="https://api.openai.example/v1", contract=Contract.DIRECT),
    "relay": Route(base_url="https://relay.example/v1", contract=Contract.PROVIDER),
}


@dataclass
class World:
    """A folder with a database, what was recorded in it, and the servers on it."""

    folder: Path
    stack: AsyncExitStack
    recorder: Recorder | None = None
    pools: Sequence[Pool] = ()
    targets: list[Target] = field(default_factory=list)
    now: datetime = field(default_factory=lambda: datetime.now(UTC))

    @property
    def database(self) -> Path:
        return self.folder / "monitor.db"

    def clock(self) -> datetime:
        return datetime.now(UTC)

    def target(self, key: str = "acme-prod", **values: Any) -> Target:
        target = Target(
            key=key,
            capability=Capability("gpt-image-2", Surface.IMAGES),
            route="openai",
            contract=Contract.DIRECT,
            organization="org-acme",
        )
        return replace(target, **values)

    async def watch(self, *targets: Target) -> None:
        """Make these the targets; the daemon lives on."""
        if self.recorder is None:
            self.recorder = await Recorder.open(self.database, clock=self.clock)
            self.stack.push_async_callback(self.recorder.aclose)
        self.targets = [*targets]
        await self.recorder.register(self.targets)

    async def happened(
        self,
        target: Target,
        after: State,
        *,
        kind: EventKind | None = None,
        before: State = State.UNKNOWN,
        ago: float = 60.0,
        channels: Sequence[str] = ("ops",),
        blocker: Code | None = None,
        message: str = "Your organization must be verified to use the model `gpt-image-2`.",
    ) -> int:
        """A full answer that moved a target, so many seconds ago. Returns the event's id."""
        assert self.recorder is not None
        at = self.clock() - timedelta(seconds=ago)
        open_ = after is State.AVAILABLE
        code = Code.ACCESS_GRANTED if open_ else Code.VERIFICATION_REQUIRED
        memory = TargetState(
            state=after, since=at, gated_seen=True, last_diagnosis=code, last_probe_at=at,
            next_probe_at=at + timedelta(seconds=25), blockers=(blocker,) if blocker else (),
            first_light_at=at if kind is EventKind.FIRST_LIGHT else None,
        )  # fmt: skip
        event = Event(
            kind=kind or EventKind(after), reason=Reason.SETTLED if open_ else Reason.GATED, at=at,
            target=target.name, scope=target.scope, route=target.route, before=before, after=after,
            diagnosis=code, request_id="req_1", channels=tuple(channels),
        )  # fmt: skip
        answer = AnswerRecord(
            kind=ProbeKind.FULL, diagnosis=code, status=200 if open_ else 403, at=at, gate=Gate.MODEL,
            message=message, request_id="req_1", latency_ms=120.0, connect_ms=12.0, first_byte_ms=90.0,
        )  # fmt: skip
        (id_,) = await self.recorder.write([Change(target.name, memory, answer, (event,))])
        return id_

    async def silence(self, *patterns: str, hours: float = 2.0) -> Silence:
        """A silence that the daemon has made."""
        assert self.recorder is not None
        item = submit(self.database, SILENCE, {}, self.clock())
        until = self.clock() + timedelta(hours=hours)
        made = await self.recorder.silences.make(patterns, "moving", "alice", until, item=item)
        assert made is not None
        return made

    async def serve(self, *, tokens: Sequence[HashedToken] = (), **section: Any) -> str:
        """Start the application. Returns its address, without a slash at the end."""
        settings = Settings(
            source=None, database=self.database, routes=ROUTES, pools=self.pools, web=Web(**section)
        )
        served = serving(application(settings, tokens), seconds=1)
        return f"http://127.0.0.1:{await self.stack.enter_async_context(served)}"

    async def browse(self, token: str | None = None, **more: Any) -> httpx.AsyncClient:
        """A client of a new server; with a token, of one that knows `TOKENS`."""
        url = await self.serve(tokens=TOKENS if token is not None else (), **more)
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        client = httpx.AsyncClient(base_url=url, headers=headers, trust_env=False, verify=False)
        return await self.stack.enter_async_context(client)

    async def inbox(self) -> list[tuple[str, dict[str, Any]]]:
        """What was handed to the daemon."""
        assert self.recorder is not None
        return [(item.kind, dict(item.payload)) for item in await self.recorder.inbox()]


@pytest.fixture
async def world(tmp_path: Path, anyio_backend: str) -> AsyncIterator[World]:
    async with AsyncExitStack() as stack:
        yield World(tmp_path, stack)


@pytest.fixture
def tokens() -> dict[str, str]:
    return {"read": READ, "write": WRITE}


@pytest.fixture
def signed_in() -> Callable[[httpx.AsyncClient, str], Any]:
    """Signs a browser in."""

    async def sign_in(client: httpx.AsyncClient, token: str) -> httpx.Response:
        own = {"Sec-Fetch-Site": "same-origin"}
        return await client.post("/login", data={"token": token}, headers=own)

    return sign_in
