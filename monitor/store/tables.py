"""The tables. They stay in this package: the domain lives in frozen dataclasses and enumerations.

Table models do not validate, so what is enumerated is a text column with a CHECK constraint, and so
the database refuses what would break its readers. Times are UTC (SQLModel's own type).
"""

from collections.abc import Iterable
from datetime import date, datetime
from enum import StrEnum
from typing import ClassVar

from sqlalchemy import CheckConstraint, Index, MetaData, UniqueConstraint, text
from sqlmodel import Field, SQLModel

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

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)


def _one_of(column: str, values: type[StrEnum] | Iterable[str]) -> CheckConstraint:
    listed = ", ".join(f"'{value}'" for value in values)
    return CheckConstraint(f"{column} IN ({listed})", name=column)


class Table(SQLModel):
    """What all tables share: metadata of our own, with names for every constraint."""

    metadata: ClassVar[MetaData] = metadata


class TargetTable(Table, table=True):
    """A target, its state and memory. One that left the settings stays, inactive."""

    __tablename__ = "targets"
    __table_args__ = (
        UniqueConstraint("name"),
        _one_of("contract", Contract),
        _one_of("surface", Surface),
        _one_of("state", State),
        _one_of("blocker", Code),
        _one_of("held_by", Hold),
        _one_of("last_diagnosis", Code),
    )

    id: int | None = Field(default=None, primary_key=True)
    name: str
    key: str
    organization: str | None
    project: str | None
    scope: str
    route: str
    contract: str
    model: str
    surface: str
    state: str
    since: datetime
    blocker: str | None
    last_probe_at: datetime | None
    last_diagnosis: str | None
    next_probe_at: datetime | None
    held_by: str | None
    memory: str
    active: bool


class RunTable(Table, table=True):
    """A run of equal answers: the file grows with what changes, not with time."""

    __tablename__ = "runs"
    __table_args__ = (
        # the last run of a target and kind of probe is the end of this index: ids follow the columns in it
        Index(None, "target_id", "kind"),
        _one_of("kind", ProbeKind),
        _one_of("diagnosis", Code),
        _one_of("gate", Gate),
    )

    id: int | None = Field(default=None, primary_key=True)
    target_id: int = Field(foreign_key="targets.id")
    route: str
    kind: str
    diagnosis: str | None
    status: int | None
    gate: str | None
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


class HappeningTable(Table, table=True):
    """A transition or an event. Its id is in every message about it, so it is never used again."""

    __tablename__ = "happenings"
    __table_args__ = (
        # history of one target, and of all, by time; ids break ties as they end every index
        Index(None, "target", "at"),
        Index(None, "at"),
        _one_of("kind", ("transition", "event")),
        _one_of("event", EventKind),
        _one_of("before", State),
        _one_of("after", State),
        _one_of("reason", Reason),
        _one_of("diagnosis", Code),
        {"sqlite_autoincrement": True},
    )

    id: int | None = Field(default=None, primary_key=True)
    kind: str
    event: str
    target_id: int | None = Field(foreign_key="targets.id")
    target: str | None
    scope: str | None
    route: str | None
    before: str | None
    after: str | None
    at: datetime
    reason: str
    diagnosis: str | None
    request_id: str | None
    facts: str


class OpeningTable(Table, table=True):
    """The propagation record of an opening. What it names stays as it was then."""

    __tablename__ = "openings"
    __table_args__ = (
        _one_of("contract", Contract),
        _one_of("surface", Surface),
        _one_of("began", Began),
    )

    id: int | None = Field(default=None, primary_key=True)
    target_id: int = Field(foreign_key="targets.id")
    target: str
    contract: str
    route: str
    organization: str | None
    scope: str
    model: str
    surface: str
    began: str
    declared_at: datetime | None
    started_at: datetime | None
    first_light_at: datetime
    settled_at: datetime
    probes: int
    cost_usd: float
    flickers: int


class NotificationTable(Table, table=True):
    """The outbox: one happening for one channel, until delivered or given up."""

    __tablename__ = "notifications"
    __table_args__ = (
        UniqueConstraint("happening_id", "channel"),
        # what a channel has to deliver, in order; and the counts of pending and dead
        Index(None, "state", "channel", "happening_id"),
        _one_of("state", NotificationState),
        CheckConstraint("channel <> ''", name="channel"),
    )

    id: int | None = Field(default=None, primary_key=True)
    happening_id: int = Field(foreign_key="happenings.id")
    channel: str
    state: str
    attempts: int
    created_at: datetime
    next_attempt_at: datetime | None
    lease_until: datetime | None
    delivered_at: datetime | None
    dead_at: datetime | None
    last_error: str | None


class DeclarationTable(Table, table=True):
    """What a person told, once: the same words of the same time and source are not taken twice."""

    __tablename__ = "declarations"
    __table_args__ = (
        UniqueConstraint("kind", "subject", "at", "source"),
        _one_of("kind", DeclarationKind),
    )

    id: int | None = Field(default=None, primary_key=True)
    kind: str
    subject: str
    at: datetime
    source: str
    taken_at: datetime | None


class InboxTable(Table, table=True):
    """What other processes ask of the daemon: the only table they write to."""

    __tablename__ = "inbox"
    __table_args__ = (
        # read every two seconds: holds only what is waiting
        Index("ix_inbox_waiting", "id", sqlite_where=text("taken_at IS NULL")),
        CheckConstraint("kind <> ''", name="kind"),
    )

    id: int | None = Field(default=None, primary_key=True)
    kind: str
    payload: str
    created_at: datetime
    taken_at: datetime | None
    #: what the daemon answered, for whoever waits for it
    reply: str | None


class SpendTable(Table, table=True):
    """What a key spent on a UTC day, in US dollars."""

    __tablename__ = "spend"
    __table_args__ = (
        # budgets and `status` ask for a day, then the key
        Index(None, "day"),
        CheckConstraint("settled_usd >= 0", name="settled_usd"),
    )

    key: str = Field(primary_key=True)
    day: date = Field(primary_key=True)
    settled_usd: float
    probes: int
    estimated: bool


class HoldTable(Table, table=True):
    """A price that is held for a probe under way, for the next one, or because it is in doubt."""

    __tablename__ = "holds"
    __table_args__ = (CheckConstraint("usd >= 0", name="usd"),)

    id: int | None = Field(default=None, primary_key=True)
    account: str
    key: str
    day: date
    usd: float


class DaemonTable(Table, table=True):
    """The daemon that has the database, or had it last: a single row."""

    __tablename__ = "daemon"
    __table_args__ = (CheckConstraint("id = 1", name="single"),)

    id: int | None = Field(default=None, primary_key=True)
    pid: int
    started_at: datetime
    progress_at: datetime
    stopped_at: datetime | None
    status: str


targets = metadata.tables["targets"]
runs = metadata.tables["runs"]
happenings = metadata.tables["happenings"]
openings = metadata.tables["openings"]
notifications = metadata.tables["notifications"]
declarations = metadata.tables["declarations"]
inbox = metadata.tables["inbox"]
spend = metadata.tables["spend"]
holds = metadata.tables["holds"]
daemon = metadata.tables["daemon"]
