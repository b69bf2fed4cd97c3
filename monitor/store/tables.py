"""The tables. Only this package uses them: the domain has frozen dataclasses and enumerations.

Table models do not validate. Enumerations are therefore text columns with CHECK constraints, so that the
database refuses values that its readers do not know. Times are UTC (SQLModel's own type).
"""

from datetime import date, datetime
from enum import StrEnum
from typing import Any, ClassVar

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Index,
    Integer,
    MetaData,
    String,
    UniqueConstraint,
    text,
)
from sqlalchemy.orm import declared_attr
from sqlmodel import Field, SQLModel
from sqlmodel.sql.sqltypes import AutoString

from monitor.access.wait_times import Began
from monitor.access.words import (
    Code,
    Contract,
    DeclarationKind,
    EventKind,
    Gate,
    Hold,
    ProbeKind,
    Reason,
    State,
    Surface,
)
from monitor.store.records import NotificationState

#: PostgreSQL would sort it by the rules of a language.
TEXT = AutoString().with_variant(String(collation="C"), "postgresql")
#: Of what is counted for ever; PostgreSQL's INTEGER has 32 bits.
NUMBER = Integer().with_variant(BigInteger(), "postgresql")

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)


def _word_of(words: type[StrEnum]) -> Any:
    """A column takes these words and no others."""
    return Field(sa_column_kwargs={"info": {"words": words}})


def _only(condition: str) -> dict[str, Any]:
    """An index has the rows only that meet the condition."""
    return {"sqlite_where": text(condition), "postgresql_where": text(condition)}


class Table(SQLModel):
    """The base of all tables: our own metadata, which names every constraint."""

    metadata: ClassVar[MetaData] = metadata

    @declared_attr  # type: ignore[arg-type]
    def __tablename__(cls) -> str:  # noqa: N805
        return cls.__name__.removesuffix("Table").lower()


class NumberedTable(Table):
    """The base of tables whose rows have a number."""

    id: int | None = Field(default=None, primary_key=True)


class TargetsTable(NumberedTable, table=True):
    """A target, its state and its memory. A target that left the settings stays as inactive."""

    __table_args__ = (
        UniqueConstraint("name"),
        # whether a shard has targets, asked by each worker every second
        Index(None, "shard"),
    )

    name: str
    key: str
    organization: str | None
    project: str | None
    scope: str
    route: str
    contract: str = _word_of(Contract)
    model: str
    surface: str = _word_of(Surface)
    state: str = _word_of(State)
    since: datetime
    blocker: str | None = _word_of(Code)
    last_probe_at: datetime | None
    last_diagnosis: str | None = _word_of(Code)
    next_probe_at: datetime | None
    held_by: str | None = _word_of(Hold)
    memory: str
    active: bool
    #: its portion of a fleet's work; None until a daemon registers it
    shard: int | None


class RunsTable(NumberedTable, table=True):
    """A run of equal answers: the file grows with what changes, not with time."""

    __table_args__ = (
        # finds the last run of a target and kind of probe: ids follow the columns in an index
        Index(None, "target_id", "kind"),
    )

    target_id: int = Field(foreign_key="targets.id")
    route: str
    kind: str = _word_of(ProbeKind)
    diagnosis: str | None = _word_of(Code)
    status: int | None
    gate: str | None = _word_of(Gate)
    message: str
    first_at: datetime
    last_at: datetime
    answers: int
    request_ids: str
    headers: str
    latency_sum_ms: float
    latency_min_ms: float
    latency_max_ms: float
    latencies: str
    reused: int
    fresh: int
    connect_ms: float | None
    tls_ms: float | None
    first_byte_ms: float | None
    cost_usd: float


class EventsTable(NumberedTable, table=True):
    """A transition or an event. Its id is in every message about it and is never used again."""

    __table_args__ = (
        # the history of one target and of all, by time; every index ends with ids, which break ties
        Index(None, "target", "at"),
        Index(None, "at"),
        {"sqlite_autoincrement": True},
    )

    kind: str = _word_of(EventKind)
    target_id: int | None = Field(foreign_key="targets.id")
    target: str | None
    scope: str | None
    route: str | None
    before: str | None = _word_of(State)
    after: str | None = _word_of(State)
    at: datetime
    reason: str = _word_of(Reason)
    diagnosis: str | None = _word_of(Code)
    request_id: str | None
    facts: str


class OpeningsTable(NumberedTable, table=True):
    """The propagation record of an opening. Its names stay as they were at that time."""

    target_id: int = Field(foreign_key="targets.id")
    target: str
    contract: str = _word_of(Contract)
    route: str
    organization: str | None
    scope: str
    model: str
    surface: str = _word_of(Surface)
    began: str = _word_of(Began)
    declared_at: datetime | None
    started_at: datetime | None
    first_light_at: datetime
    settled_at: datetime
    probes: int
    cost_usd: float
    flickers: int


class SilencesTable(NumberedTable, table=True):
    """What a person did not want to be told, from when to when. Its id is never used again."""

    __table_args__ = (
        # those whose end was not told yet
        Index("ix_silences_not_ended", "id", **_only("ended_at IS NULL")),
        CheckConstraint("reason <> ''", name="reason"),
        {"sqlite_autoincrement": True},
    )

    patterns: str
    reason: str
    by: str
    created_at: datetime
    expires_at: datetime
    ended_at: datetime | None


class NotificationsTable(NumberedTable, table=True):
    """The outbox: one event for one channel, until delivered, given up or silenced."""

    __table_args__ = (
        UniqueConstraint("event_id", "channel"),
        # a channel's pending rows in order, and the counts of pending and dead
        Index(None, "state", "channel", "event_id"),
        # what a silence hid
        Index("ix_notifications_silenced", "silence_id", **_only("silence_id IS NOT NULL")),
        CheckConstraint("channel <> ''", name="channel"),
        CheckConstraint("(state = 'silenced') = (silence_id IS NOT NULL)", name="silenced"),
    )

    event_id: int = Field(foreign_key="events.id")
    channel: str
    state: str = _word_of(NotificationState)
    attempts: int
    created_at: datetime
    next_attempt_at: datetime | None
    lease_until: datetime | None
    delivered_at: datetime | None
    dead_at: datetime | None
    last_error: str | None
    silence_id: int | None = Field(foreign_key="silences.id")
    #: whose worker delivers it, in a fleet
    shard: int | None


class DeclarationsTable(NumberedTable, table=True):
    """A declaration. The same kind, subject, time and source is stored only once."""

    __table_args__ = (UniqueConstraint("kind", "subject", "at", "source"),)

    kind: str = _word_of(DeclarationKind)
    subject: str
    at: datetime
    source: str
    taken_at: datetime | None


class InboxTable(NumberedTable, table=True):
    """Requests of other processes to the daemon: the only table that they write to."""

    __table_args__ = (
        # read every two seconds; has only waiting requests
        Index("ix_inbox_waiting", "id", **_only("taken_at IS NULL")),
        CheckConstraint("kind <> ''", name="kind"),
    )

    kind: str
    payload: str
    created_at: datetime
    taken_at: datetime | None
    #: the daemon's reply, for a caller that waits for it
    reply: str | None


class SpendTable(Table, table=True):
    """The spending of a key on a UTC day, in US dollars."""

    __table_args__ = (
        # budgets and `status` select by day, then by key
        Index(None, "day"),
        CheckConstraint("settled_usd >= 0", name="settled_usd"),
    )

    key: str = Field(primary_key=True)
    day: date = Field(primary_key=True)
    settled_usd: float
    probes: int
    estimated: bool


class HoldsTable(NumberedTable, table=True):
    """A price that is held for a probe under way, for the next one, or because it is in doubt."""

    __table_args__ = (CheckConstraint("usd >= 0", name="usd"),)

    account: str
    key: str
    day: date
    usd: float


class FencesTable(NumberedTable, table=True):
    """Who may write to a database that has no lock for that: the holder of the epoch.

    Number 1 is the one daemon; others are workers of a fleet, each with its `name`. `sequence` is the number
    of the owner's transactions, the last of them at `seen_at`. A worker sees the others without a gap since
    `watching_since`.
    """

    __table_args__ = (UniqueConstraint("name"),)

    epoch: int
    sequence: int
    holder: str | None
    seen_at: datetime
    name: str | None
    watching_since: datetime | None
    #: it reaches no route
    offline: bool = Field(sa_column_kwargs={"server_default": text("false")})


class ShardsTable(NumberedTable, table=True):
    """A shard of a fleet: its worker, None while it has none, and how often it has changed hands.

    `declared` is the last declaration that its targets have taken.
    """

    worker_id: int | None
    epoch: int
    declared: int


class MonthsTable(Table, table=True):
    """What a fleet has booked and held in a month, in US dollars: all its workers go by it."""

    month: date = Field(primary_key=True)
    committed_usd: float


class FleetTable(NumberedTable, table=True):
    """The one row that a fleet's transactions lock where their order matters.

    It counts the starts, and how often dead notifications were made pending again.
    """

    __table_args__ = (CheckConstraint("id = 1", name="single"),)

    starts: int
    retries: int = Field(sa_column_kwargs={"server_default": text("0")})


class DaemonTable(NumberedTable, table=True):
    """The daemon that has the database, or had it last; of a fleet, each worker, numbered as its fence."""

    pid: int
    started_at: datetime
    progress_at: datetime
    stopped_at: datetime | None
    status: str


for _table in metadata.tables.values():
    for _column in _table.columns:
        if "words" in _column.info:
            _listed = ", ".join(f"'{word}'" for word in _column.info["words"])
            _check = CheckConstraint(f"{_column.name} IN ({_listed})", name=_column.name)
            _table.append_constraint(_check)
        if isinstance(_column.type, AutoString):
            _column.type = TEXT
        elif isinstance(_column.type, Integer) and (
            _column.primary_key
            or _column.foreign_keys
            or _column.name in ("sequence", "worker_id", "declared")
        ):
            _column.type = NUMBER

targets = metadata.tables["targets"]
runs = metadata.tables["runs"]
events = metadata.tables["events"]
openings = metadata.tables["openings"]
silences = metadata.tables["silences"]
notifications = metadata.tables["notifications"]
declarations = metadata.tables["declarations"]
inbox = metadata.tables["inbox"]
spend = metadata.tables["spend"]
holds = metadata.tables["holds"]
fences = metadata.tables["fences"]
shards = metadata.tables["shards"]
months = metadata.tables["months"]
fleet = metadata.tables["fleet"]
daemon = metadata.tables["daemon"]
