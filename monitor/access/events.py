"""What can happen to a target, and what is decided of it: plain values."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any

from monitor.access.limits import Confirmation, Deadlines
from monitor.access.memory import TargetState
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
    #: start of the present time of probing without a suspend, or an outage that was told
    watching_since: datetime | None = None
    #: the last conclusive answer to any target of the route
    route_answered_at: datetime | None = None
    #: another target of the route is reported as silent: include this one if it is nearly due
    among_others: bool = False


Event = Answered | Declared | SiblingOpened | TimePassed


@dataclass(frozen=True, slots=True)
class Telling:
    """One thing to record and tell; with `after` it is a transition from `before`."""

    event: EventKind
    reason: Reason
    before: State | None = None
    after: State | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Decision:
    """What follows from an event: the memory to keep, and what to tell, in order."""

    memory: TargetState
    tellings: tuple[Telling, ...] = ()

    @property
    def reasons(self) -> tuple[Reason, ...]:
        """Why, one for each telling."""
        return tuple(telling.reason for telling in self.tellings)

    @property
    def opens_siblings(self) -> bool:
        """True when this is the first light of a target that was seen gated (row 10)."""
        return self.memory.gated_seen and any(
            telling.event is EventKind.FIRST_LIGHT for telling in self.tellings
        )


@dataclass(frozen=True, slots=True)
class Rules:
    """The figures that the state table uses."""

    confirmation: Confirmation = field(default_factory=Confirmation)
    deadlines: Deadlines = field(default_factory=Deadlines)
