"""The values that go into the store and come out of it, and their forms in rows and in JSON.

All datetimes are aware UTC.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from enum import StrEnum
from typing import Any

from monitor.access.events import Event
from monitor.access.holds import NOTHING, Posting
from monitor.access.memory import TargetState
from monitor.access.silences import Silence
from monitor.access.wait_times import Opening
from monitor.access.words import (
    Code,
    Contract,
    DeclarationKind,
    EventKind,
    Gate,
    Hold,
    ProbeKind,
    State,
    Surface,
)


class NotificationState(StrEnum):
    """The state of a notification: not delivered yet, delivered, given up, or never to be sent."""

    PENDING = "pending"
    DELIVERED = "delivered"
    DEAD = "dead"
    SILENCED = "silenced"


# --- input ---


@dataclass(frozen=True, slots=True)
class AnswerRecord:
    """One answer to a probe. Equal answers in a row are stored as one run; see `Run`.

    The caller must normalise `message` (no request ids, no times), else no two are equal.
    Latencies are milliseconds; `cost_usd` is the cost of this answer.
    """

    kind: ProbeKind
    diagnosis: Code | None
    status: int | None
    at: datetime
    gate: Gate | None = None
    message: str = ""
    request_id: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    latency_ms: float = 0.0
    cost_usd: float = 0.0
    connect_ms: float | None = None
    tls_ms: float | None = None
    first_byte_ms: float | None = None
    #: whether it used a connection that was open already; None if the transport does not tell
    reused: bool | None = None


@dataclass(frozen=True, slots=True)
class Change:
    """What is written together: an answer, the memory after it, its events and its cost.

    `declaration` is the id of a declaration that this change takes.
    """

    target: str | None = None
    memory: TargetState | None = None
    answer: AnswerRecord | None = None
    events: tuple[Event, ...] = ()
    posting: Posting = NOTHING
    declaration: int | None = None
    #: in a fleet, the shards to whose targets it was applied
    declared_in: tuple[int, ...] = ()
    #: the id of an inbox item that this change settles, and the reply to its sender
    inbox: int | None = None
    reply: str | None = None
    #: the propagation record of an opening that settles with this change
    opening: Opening | None = None


# --- output ---


@dataclass(frozen=True, slots=True)
class InboxItem:
    """A request of another process to the daemon."""

    id: int
    kind: str
    payload: Mapping[str, Any]
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Declaration:
    """What a person declared of an organization or a key. `source` says where."""

    id: int
    kind: DeclarationKind
    subject: str
    at: datetime
    source: str


@dataclass(frozen=True, slots=True)
class SpendRow:
    """The spending of a key on a UTC day, in US dollars."""

    key: str
    day: date
    settled_usd: float
    probes: int
    estimated: bool


@dataclass(frozen=True, slots=True)
class DaemonRow:
    """The last daemon of the database; `stopped_at` is None while it runs or if it was killed."""

    pid: int
    started_at: datetime
    progress_at: datetime
    stopped_at: datetime | None
    status: Mapping[str, Any]

    @property
    def last_alive(self) -> datetime:
        """When it lived last: its stop, or its last note of progress if it was killed."""
        return self.stopped_at or self.progress_at


@dataclass(frozen=True, slots=True)
class WorkerStatus:
    """A worker of a fleet, as of `seen_s` seconds ago, when its last transaction was.

    `gone` is one that has stopped, or whose lease was over; `offline` is one that reaches no route.
    """

    name: str
    machine: str
    started_at: datetime
    seen_s: float
    shards: int
    targets: int
    offline: bool
    gone: bool


@dataclass(frozen=True, slots=True)
class TargetStatus:
    """A target as `status` shows it; the field names are those of its JSON form.

    `held_by` says what holds its next probe back; the JSON form leaves it out if nothing does.
    `spend_today_usd` is what its key spent on all its targets this UTC day.
    """

    target: str
    key: str
    organization: str | None
    project: str | None
    route: str
    contract: Contract
    model: str
    surface: Surface
    state: State
    since: datetime
    blocker: Code | None
    last_probe_at: datetime | None
    last_diagnosis: Code | None
    next_probe_at: datetime | None
    spend_today_usd: float
    held_by: Hold | None = None


@dataclass(frozen=True, slots=True)
class Status:
    """Everything that `status` shows, as of one moment.

    `oldest_pending_s` is the age of the oldest pending notification in seconds, or None. `silences` are those
    in force, the first to end first; `silenced` counts what silences hid whose end was not told yet.
    """

    targets: tuple[TargetStatus, ...]
    pending: int
    dead: int
    oldest_pending_s: float | None
    daemon: DaemonRow | None
    silenced: int = 0
    silences: tuple[Silence, ...] = ()
    workers: tuple[WorkerStatus, ...] = ()


@dataclass(frozen=True, slots=True)
class NotificationRow:
    """An event's notification for one channel."""

    channel: str
    state: NotificationState
    attempts: int
    delivered_at: datetime | None


@dataclass(frozen=True, slots=True)
class HistoryRow:
    """A recorded event and its notifications, by channel."""

    event: Event
    notifications: tuple[NotificationRow, ...]


@dataclass(frozen=True, slots=True)
class AlertRow:
    """A notification as `alerts list` shows it; the field names are those of its JSON form."""

    id: int
    transition_id: int
    event: EventKind
    target: str | None
    channel: str
    state: NotificationState
    attempts: int
    created_at: datetime
    next_attempt_at: datetime | None
    delivered_at: datetime | None
    dead_at: datetime | None
    last_error: str | None
    silence_id: int | None


@dataclass(frozen=True, slots=True)
class Run:
    """A run of equal answers of a target. Latencies are milliseconds.

    The headers and the three phases are those of the last answer; `request_ids` has the last five ids, and
    `request_times` the times of their answers. The median and the 95th percentile are exact within 5 %.
    `reused` and `fresh` count the answers over a connection that was open already and over a new one.
    """

    target: str
    route: str
    kind: ProbeKind
    diagnosis: Code | None
    status: int | None
    gate: Gate | None
    message: str
    first_at: datetime
    last_at: datetime
    count: int
    request_ids: tuple[str, ...]
    request_times: tuple[datetime, ...]
    headers: Mapping[str, str]
    latency_mean_ms: float
    latency_min_ms: float
    latency_max_ms: float
    latency_median_ms: float
    latency_p95_ms: float
    reused: int
    fresh: int
    connect_ms: float | None
    tls_ms: float | None
    first_byte_ms: float | None
    cost_usd: float


@dataclass(frozen=True, slots=True)
class AnswersOfOne:
    """The answers with one diagnosis: their number, and their latencies in milliseconds within 5 %."""

    count: int
    latency_median_ms: float | None
    latency_p95_ms: float | None


@dataclass(frozen=True, slots=True)
class RouteOfModel:
    """One model on one surface over one route: the targets of all its keys, and their answers.

    Latencies are milliseconds of answered full probes; connect, TLS and first byte are the slowest of the
    last known ones. `reused` and `fresh` count connections.
    """

    model: str
    surface: str
    route: str
    contract: Contract
    states: Mapping[str, int]
    answers: int
    latency_median_ms: float | None
    latency_p95_ms: float | None
    connect_ms: float | None
    tls_ms: float | None
    first_byte_ms: float | None
    reused: int
    fresh: int
    by_diagnosis: Mapping[str, AnswersOfOne] = field(default_factory=dict)
