"""What is stored with a target and survives a restart."""

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from datetime import datetime, timedelta
from operator import attrgetter
from typing import Any

from monitor.access.words import Code, Effect, Hold, Staleness, State


@dataclass(frozen=True, slots=True)
class Streak:
    """A run of equal conclusive effects; neutral answers neither count nor end it."""

    effect: Effect
    count: int
    first: datetime
    last: datetime

    @property
    def span(self) -> timedelta:
        """From the first answer of the run to its last."""
        return self.last - self.first


@dataclass(frozen=True, slots=True)
class ClockStep:
    """The wall clock was stepped `by` so much; this run measured times by it from `since` to `until`.

    Other times are those of an earlier run, whose clock may have been right.
    """

    by: timedelta
    since: datetime
    until: datetime

    def moved(self, at: datetime) -> datetime:
        """The time by the stepped clock."""
        return at + self.by if self.since <= at <= self.until else at


@dataclass(frozen=True, slots=True)
class TargetState:
    """A target's state and all that `advance` and the cadence need to go on from it. Times are UTC."""

    state: State = State.UNKNOWN
    since: datetime | None = None
    streak: Streak | None = None
    #: gated or locked answers in a row, whichever of the two
    refusals: int = 0
    gated_seen: bool = False
    #: was blocked, or told as stale, before its first granted answer
    blocked_seen: bool = False
    #: was ever granted: a doubt from before a later refusal may have been billed
    granted_seen: bool = False
    #: the first granted answer of the present opening; None once the opening ended
    first_light_at: datetime | None = None
    opened_at: datetime | None = None
    #: a first light was told, and since then neither that it settled nor that it shut again
    lit: bool = False
    #: when the verification was completed, as a person told
    declared_at: datetime | None = None
    #: when the wait for propagation began: the declaration, else the change to propagating
    clock_at: datetime | None = None
    #: since the monitor took it for propagating: probes, their price in US dollars, and how often the
    #: gate shut again after the first light
    wait_probes: int = 0
    wait_cost_usd: float = 0.0
    flickers: int = 0
    #: start of the hour of frequent probes: the first one, a declaration, first light, a sibling's
    #: opening, a relapse
    eager_since: datetime | None = None
    #: locked because a person said so: answers alone do not unlock it, except a granted one
    locked_by_declaration: bool = False
    #: how many of the overdue deadlines have been told
    overdue_told: int = 0
    #: blocked answers since the last conclusive one: how many of each code, the latest code last
    suspects: tuple[tuple[Code, int], ...] = ()
    #: those of the codes that are confirmed and told, the one in the way now last
    blockers: tuple[Code, ...] = ()
    conclusive_at: datetime | None = None
    #: the first full probe since then without a conclusive answer
    failing_since: datetime | None = None
    #: the last listing that was answered
    listed_at: datetime | None = None
    #: answers since the last conclusive one that refused nothing and did not hold the word that was asked for
    unproven: int = 0
    #: whose staleness was reported, if any, and when one was last
    stale: Staleness | None = None
    stale_at: datetime | None = None
    #: the shutdown warning told last: "near" or "past", and the date
    retiring_told: str | None = None
    #: blocked or inconclusive answers since the last conclusive one, for the backoff
    setbacks: int = 0
    #: the diagnosis of the last full probe, and of the last probe of either kind
    last_full: Code | None = None
    last_diagnosis: Code | None = None
    last_probe_at: datetime | None = None
    last_full_at: datetime | None = None
    #: the mark of the credentials that it was sent with
    last_full_by: str | None = None
    next_probe_at: datetime | None = None
    #: why the next probe is later than the situation asks, or waits although its time has come
    held_by: Hold | None = None

    @property
    def blocker(self) -> Code | None:
        """The confirmed blocker, if there is one."""
        return self.blockers[-1] if self.blockers else None

    @property
    def suspect(self) -> Code | None:
        """The blocker that the last blocked answer named, confirmed or not."""
        return self.suspects[-1][0] if self.suspects else None

    @property
    def suspect_count(self) -> int:
        """How often it was seen since the last conclusive answer."""
        return self.suspects[-1][1] if self.suspects else 0

    def shifted(self, step: ClockStep) -> "TargetState":
        """The same memory after the wall clock was stepped: what was measured by it moves with it.

        Durations then stay what they were on the monotonic clock. What a person declared is a time
        of the world, not of our clock, and does not move.
        """
        moved: dict[str, Any] = {
            name: step.moved(value)
            for name in _NAMES
            if name != "declared_at" and isinstance(value := getattr(self, name), datetime)
        }
        if self.clock_at == self.declared_at:
            moved.pop("clock_at", None)
        if self.streak:
            first, last = step.moved(self.streak.first), step.moved(self.streak.last)
            moved["streak"] = replace(self.streak, first=first, last=last)
        asked_before = self.last_probe_at is not None and self.last_probe_at > step.until
        if self.next_probe_at and not (asked_before and self.held_by is Hold.RETRY_AFTER):
            # it lies ahead, and is this run's, unless a server told an earlier run to wait
            moved["next_probe_at"] = self.next_probe_at + step.by
        return replace(self, **moved)


_NAMES = tuple(spec.name for spec in fields(TargetState))
_DEFAULTS = tuple(spec.default for spec in fields(TargetState))
_values = attrgetter(*_NAMES)  # for every answer: all at once is three times as quick
_SLOTS = {name: getattr(TargetState, name).__set__ for name in _NAMES}


def changed(memory: TargetState, **changes: Any) -> TargetState:
    """The memory with these values: `dataclasses.replace` at half its cost; for every answer."""
    new: TargetState = object.__new__(TargetState)
    for put, value in zip(_SLOTS.values(), _values(memory), strict=True):
        put(new, value)
    for name, value in changes.items():
        _SLOTS[name](new, value)
    return new


def to_json(memory: TargetState) -> dict[str, Any]:
    """The memory as JSON values, defaults left out; `from_json` reads it back."""
    return {
        name: _as_json(value)
        for name, value, default in zip(_NAMES, _values(memory), _DEFAULTS, strict=True)
        if value is not default and value != default
    }


def _as_json(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, Streak):
        return [value.effect, value.count, value.first.isoformat(), value.last.isoformat()]
    return value


def from_json(stored: Mapping[str, Any]) -> TargetState:
    """The memory that `to_json` wrote. Names of another version are passed over.

    Raises ValueError when a value is not one of ours.
    """
    values: dict[str, Any] = {}
    for name, read in _READERS.items():
        if stored.get(name) is not None:
            values[name] = read(stored[name])
    return TargetState(**values)


def _streak(stored: list[Any]) -> Streak:
    effect, count, first, last = stored
    return Streak(
        Effect(effect), int(count), datetime.fromisoformat(first), datetime.fromisoformat(last)
    )


#: What reads a field from JSON, by the field's type; where that is a plain word or number, the type itself.
_BY_TYPE: dict[Any, Any] = {
    datetime | None: datetime.fromisoformat,
    Streak | None: _streak,
    Code | None: Code,
    Staleness | None: Staleness,
    Hold | None: Hold,
    str | None: str,
    tuple[Code, ...]: lambda stored: tuple(Code(code) for code in stored),
    tuple[tuple[Code, int], ...]: lambda stored: tuple(
        (Code(code), int(count)) for code, count in stored
    ),
}
_READERS = {spec.name: _BY_TYPE.get(spec.type, spec.type) for spec in fields(TargetState)}
