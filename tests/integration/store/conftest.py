"""A real database per test, of each kind, a clock that the test moves, and short ways to make values."""

import sqlite3
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
from cutting_proxy import CuttingProxy
from postgres_server import PostgresServer

from monitor.access.databases import Database, Server
from monitor.access.events import Event
from monitor.access.holds import Posting, Spend
from monitor.access.memory import TargetState
from monitor.access.target import Capability, Target
from monitor.access.words import (
    Code,
    Contract,
    EventKind,
    Gate,
    ProbeKind,
    Reason,
    State,
    Surface,
)
from monitor.store import postgres
from monitor.store.recorder import Recorder
from monitor.store.records import AnswerRecord, Change


@dataclass
class Clock:
    """Stands still until it is moved."""

    now: datetime = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now

    def move(self, **step: float) -> datetime:
        self.now += timedelta(**step)
        return self.now


@dataclass
class Make:
    """Values with everything filled in that a test does not care about."""

    clock: Clock
    key: str = "acme-prod"
    message: str = "Your organization must be verified."
    gated: TargetState = field(init=False)

    def __post_init__(self) -> None:
        self.gated = TargetState(
            state=State.UNVERIFIED,
            since=self.clock.now,
            gated_seen=True,
            last_diagnosis=Code.VERIFICATION_REQUIRED,
            next_probe_at=self.clock.now + timedelta(seconds=25),
        )

    def target(self, key: str | None = None, **values: object) -> Target:
        target = Target(
            key=key or self.key,
            capability=Capability("gpt-image-2", Surface.IMAGES),
            route="openai",
            contract=Contract.DIRECT,
            organization="org-acme",
        )
        return replace(target, **values)

    def answer(self, **values: object) -> AnswerRecord:
        answer = AnswerRecord(
            kind=ProbeKind.FULL,
            diagnosis=Code.VERIFICATION_REQUIRED,
            status=403,
            at=self.clock.now,
            gate=Gate.MODEL,
            message=self.message,
            request_id="req_1",
            headers={"x-request-id": "req_1"},
            latency_ms=120.0,
        )
        return replace(answer, **values)

    def event(self, target: Target | None = None, **values: object) -> Event:
        event = Event(
            kind=EventKind.UNVERIFIED,
            reason=Reason.GATED,
            at=self.clock.now,
            target=target.name if target else None,
            scope=target.scope if target else None,
            route=target.route if target else None,
            before=State.UNKNOWN,
            after=State.UNVERIFIED,
            diagnosis=Code.VERIFICATION_REQUIRED,
            request_id="req_1",
            facts={"status": 403},
        )
        return replace(event, **values)

    def change(self, target: Target, *channels: str) -> Change:
        """A gated answer that moves the target to unverified and tells these channels."""
        told = replace(self.event(target), channels=channels)
        return Change(target.name, self.gated, self.answer(), (told,))

    def spent(self, usd: float, day: date | None = None) -> Change:
        """A probe that cost so much."""
        spend = Spend(self.key, day or self.clock.now.date(), usd, 1)
        return Change(posting=Posting((spend,)))


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def make(clock: Clock) -> Make:
    return Make(clock)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """The place of a file, for what only SQLite has."""
    return tmp_path / "state" / "access-monitor.db"


@pytest.fixture
def proxy(server: PostgresServer) -> Iterator[CuttingProxy]:
    """What passes on to the server, and can cut."""
    proxy = CuttingProxy(server.folder / ".s.PGSQL.5432")
    yield proxy
    proxy.close()


@pytest.fixture
def on_server(server: PostgresServer) -> Iterator[Server]:
    """An empty place on a server, for what only PostgreSQL has."""
    with server.empty() as address:
        yield Server(address)


@pytest.fixture(params=["SQLite", "PostgreSQL"])
def place(request: pytest.FixtureRequest) -> Database:
    """Where no database is yet: what is told of one is told of the other."""
    return request.getfixturevalue("path" if request.param == "SQLite" else "on_server")


@pytest.fixture
async def recorder(place: Database, clock: Clock, make: Make) -> AsyncIterator[Recorder]:
    """Open, and knows the target `make.target()`."""
    recorder = await Recorder.open(place, clock=clock)
    await recorder.register([make.target()])
    yield recorder
    await recorder.aclose()


@pytest.fixture
def kill(place: Database, ask: Callable[..., object]) -> Callable[[Recorder], None]:
    """Leave a recorder as a kill does: what it knew is lost, and another may have the database."""

    def kill(recorder: Recorder) -> None:
        if isinstance(place, Server):  # which waits for who may be alive
            ask("UPDATE fences SET holder = NULL")
        recorder._ownership.release()

    return kill


@pytest.fixture
def ask(place: Database) -> Callable[..., list[tuple[object, ...]]]:
    """Plain SQL on the database, past our own code."""

    def ask(sql: str, *values: object) -> list[tuple[object, ...]]:
        if isinstance(place, Server):
            with postgres.connect(place, autocommit=True) as connection:
                found = connection.execute(sql.replace("?", "%s"), values)
                return found.fetchall() if found.description else []
        with closing(sqlite3.connect(place, isolation_level=None)) as connection:
            return connection.execute(sql, values).fetchall()

    return ask
