"""The shapes of the API's JSON: those of the command line, and the pages around them.

OpenAPI is made from these, and a test holds every answer to it.
"""

from typing import Annotated, Any, Literal, Required

from pydantic import ConfigDict, Field
from typing_extensions import TypedDict

from monitor.access.silences import PATTERNS_MOST, REASON_CAP
from monitor.access.wait_times import OngoingWait, Summary
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

_STRICT = ConfigDict(extra="forbid")
#: RFC 3339 in UTC.
Time = Annotated[str, Field(json_schema_extra={"format": "date-time"})]
Name = Annotated[str, Field(max_length=500)]


class TargetShape(TypedDict, total=False):
    """A target, as `status` prints it."""

    target: str
    key: str
    organization: str | None
    project: str | None
    route: str
    contract: Contract
    model: str
    surface: Surface
    state: State
    since: Time
    blocker: Code | None
    last_probe_at: Time | None
    last_diagnosis: Code | None
    next_probe_at: Time | None
    spend_today_usd: float
    held_by: Hold


class RunShape(TypedDict):
    """A run of equal answers. Latencies are milliseconds."""

    target: str
    route: str
    kind: ProbeKind
    diagnosis: Code | None
    status: int | None
    gate: Gate | None
    message: str
    first_at: Time
    last_at: Time
    count: int
    request_ids: list[str]
    request_times: list[Time]
    headers: dict[str, str]
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


class DeclarationShape(TypedDict):
    """What a person declared of an organization or a key."""

    id: int
    kind: DeclarationKind
    subject: str
    at: Time
    source: str


class TargetPage(TypedDict):
    """One target, and its answers since `start`: the declaration in force, else the change to its state."""

    target: TargetShape
    start: Time
    declared: bool
    declarations: list[DeclarationShape]
    runs: list[RunShape]
    runs_left_out: int
    advice: str | None


#: The bundle's own form, which support reads.
Bundle = dict[str, Any]


class CountsShape(TypedDict):
    """The notifications that are not delivered."""

    pending: int
    dead: int
    silenced: int
    oldest_pending_s: float | None


class SilenceShape(TypedDict):
    """What a person does not want to be told for a time."""

    id: int
    patterns: list[str]
    reason: str
    by: str
    created_at: Time
    expires_at: Time
    ended_at: Time | None


class SilencesPage(TypedDict):
    """The silences in force, the first to end first; and the newest that ended."""

    silences: list[SilenceShape]
    ended: list[SilenceShape]


class StatusPage(TypedDict):
    """The targets, and the silences in force; `trouble` says why they are not current."""

    targets: list[TargetShape]
    notifications: CountsShape
    silences: list[SilenceShape]
    at: Time
    trouble: str | None
    next: str | None


class ToldShape(TypedDict):
    """An event's notification for one channel."""

    channel: str
    state: NotificationState
    attempts: int
    delivered_at: Time | None


EventShape = TypedDict(
    "EventShape",
    {
        "id": int,
        "kind": Literal["transition", "event"],
        "event": EventKind,
        "target": str | None,
        "from": State | None,
        "to": State | None,
        "at": Time,
        "reason": Reason,
        "diagnosis": Code | None,
        "request_id": str | None,
        "notifications": list[ToldShape],
    },
)


class HistoryPage(TypedDict):
    """Events, oldest first."""

    events: list[EventShape]
    next: int | None


class OpeningShape(TypedDict):
    """The propagation record of an opening."""

    target: str
    contract: Contract
    route: str
    organization: str | None
    scope: str
    model: str
    surface: Surface
    began: str
    declared_at: Time | None
    started_at: Time | None
    first_light_at: Time
    settled_at: Time
    probes: int
    cost_usd: float
    flickers: int
    wait_s: float | None


class PropagationPage(TypedDict):
    """How long openings took, and who waits."""

    groups: list[Summary]
    openings: list[OpeningShape]
    waiting: list[OngoingWait]


class DiagnosisShape(TypedDict):
    """Answers with one diagnosis."""

    count: int
    latency_median_ms: float | None
    latency_p95_ms: float | None


class RouteShape(TypedDict):
    """One model on one surface over one route."""

    model: str
    surface: Surface
    route: str
    contract: Contract
    states: dict[str, int]
    answers: int
    latency_median_ms: float | None
    latency_p95_ms: float | None
    connect_ms: float | None
    tls_ms: float | None
    first_byte_ms: float | None
    reused: int
    fresh: int
    by_diagnosis: dict[str, DiagnosisShape]


class RoutesPage(TypedDict):
    """The comparison of routes since a time."""

    since: Time
    routes: list[RouteShape]


class NotificationShape(TypedDict):
    """A notification, as `alerts list` prints it."""

    id: int
    transition_id: int
    event: EventKind
    target: str | None
    channel: str
    state: NotificationState
    attempts: int
    created_at: Time
    next_attempt_at: Time | None
    delivered_at: Time | None
    dead_at: Time | None
    last_error: str | None
    silence_id: int | None


class NotificationsPage(TypedDict):
    """Notifications, oldest first."""

    notifications: list[NotificationShape]
    next: int | None


class RequestState(TypedDict):
    """Something handed to the daemon, and its reply once it was taken."""

    id: int
    kind: str
    state: Literal["waiting", "taken"]
    created_at: Time
    taken_at: Time | None
    reply: dict[str, Any] | None


class Handed(TypedDict):
    """It waits in the daemon's inbox; `see` says where its fate is told."""

    id: int
    state: Literal["waiting"]
    see: str


class DeclareBody(TypedDict, total=False):
    """What became of the verification of an organization or a key; `at` is now without it."""

    __pydantic_config__ = _STRICT  # type: ignore[misc]
    kind: Required[DeclarationKind]
    subject: Required[Name]
    at: Name


class ProbeBody(TypedDict):
    """The target to probe."""

    __pydantic_config__ = _STRICT  # type: ignore[misc]
    target: Name


class RetryBody(TypedDict, total=False):
    """The notifications to retry; all dead ones without."""

    __pydantic_config__ = _STRICT  # type: ignore[misc]
    ids: Annotated[list[int], Field(max_length=1000)]


SilenceBody = TypedDict(
    "SilenceBody",
    {
        "patterns": Annotated[list[Name], Field(min_length=1, max_length=PATTERNS_MOST)],
        "for": Annotated[str, Field(max_length=20)],
        "reason": Annotated[str, Field(min_length=1, max_length=REASON_CAP)],
    },
)
SilenceBody.__pydantic_config__ = _STRICT  # type: ignore[attr-defined]


class NoBody(TypedDict):
    """What takes nothing but its address."""


class ProblemShape(TypedDict):
    """An error, as RFC 9457 has it."""

    type: str
    title: str
    status: int
    detail: str
