"""What `advance` takes in: answers, declarations, siblings' openings, time; and its figures. Plain values."""

from dataclasses import dataclass, field
from datetime import date, datetime, timedelta

from monitor.access.limits import Confirmation, Deadlines
from monitor.access.words import Code, DeclarationKind, ProbeKind


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


#: What `advance` applies to a target.
Input = Answered | Declared | SiblingOpened | TimePassed


@dataclass(frozen=True, slots=True)
class Rules:
    """The figures that the state table uses."""

    confirmation: Confirmation = field(default_factory=Confirmation)
    deadlines: Deadlines = field(default_factory=Deadlines)
