"""What `advance` takes in (answers, declarations, openings, time) and decides (events). Plain values."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any

from monitor.access.memory import TargetState
from monitor.access.target import Target
from monitor.access.words import Code, DeclarationKind, EventKind, ProbeKind, Reason, State


@dataclass(frozen=True, slots=True)
class Answered:
    """A probe was answered. `code` is None for a listing that found nothing wrong."""

    code: Code | None
    kind: ProbeKind = ProbeKind.FULL
    #: US dollars
    cost_usd: float = 0.0
    #: complete, with nothing suspicious, and without the word that was asked for
    unproven: bool = False


@dataclass(frozen=True, slots=True)
class Declared:
    """A person declared what became of a verification at the time `at`."""

    kind: DeclarationKind
    at: datetime


@dataclass(frozen=True, slots=True)
class SiblingOpened:
    """Another target of the same organization and route, seen gated before, had its first light."""

    target: str


@dataclass(frozen=True, slots=True)
class TimePassed:
    """Time passed without an answer; `interval` is the present time between full probes."""

    interval: timedelta = timedelta()
    shutdown: date | None = None
    #: start of the present time of probing the target without a suspend, or an outage that was told
    watching_since: datetime | None = None
    #: the last conclusive answer to any target of the route
    route_answered_at: datetime | None = None
    #: another target of the route is reported as stale: include this one if it is nearly due
    among_others: bool = False


#: What `advance` applies to a target.
Input = Answered | Declared | SiblingOpened | TimePassed


@dataclass(frozen=True, slots=True)
class Event:
    """One thing worth recording, at the time `at` (UTC); the one form of it from decision to message.

    `advance` gives it its kind, reason, states and facts; the event builder adds the target and the
    channels, and the writer the `id` that people see. With both `before` and `after` it is a transition.
    `target` is None for what concerns a route (`stale`) or the whole monitor (`budget`, `offline`,
    `started` …). `scope` is the organization it belongs to (`Target.scope`): changes of one scope may share
    a message. `concerned` has the targets of the key, the pool or the route that an event without a target is
    about; it is not stored. `facts` holds what the message needs besides, as JSON values; which keys: see
    `EventFacts` in `alerts/facts`. Without channels it is only recorded.
    """

    kind: EventKind
    reason: Reason
    at: datetime
    target: str | None = None
    scope: str | None = None
    route: str | None = None
    before: State | None = None
    after: State | None = None
    diagnosis: Code | None = None
    request_id: str | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)
    concerned: tuple[Target, ...] = field(default=(), compare=False, repr=False)
    #: to whom it goes and under which number, which is not part of what happened; 0 before it is recorded
    channels: tuple[str, ...] = field(default=(), compare=False)
    id: int = field(default=0, compare=False)

    @property
    def entry(self) -> str:
        """The word of the history: `transition` when the state changed, else `event`."""
        return "transition" if self.after is not None else "event"


@dataclass(frozen=True, slots=True)
class Notification:
    """An event for one channel, not delivered yet. `attempts` counts the claims so far; `created_at` is UTC.

    `id` is that of the notification; people see that of the event.
    """

    id: int
    event: Event
    attempts: int
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Recorded:
    """A recorded event and its notifications, by channel; for silenced channels the silence's id."""

    event: Event
    pending: Mapping[str, Notification]
    silenced: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Decision:
    """What follows from an input: the memory to keep, and the events, in order."""

    memory: TargetState
    events: tuple[Event, ...] = ()

    @property
    def opens_siblings(self) -> bool:
        """True when this is the first light of a target that was seen gated (row 10)."""
        return self.memory.gated_seen and any(
            event.kind is EventKind.FIRST_LIGHT for event in self.events
        )
