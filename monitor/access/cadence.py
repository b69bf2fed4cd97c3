"""When a target is probed next, and how; and when it counts as stale. Pure functions of values."""

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum
from hashlib import sha256
from math import ceil

from monitor.access.events import TimePassed
from monitor.access.limits import Cadence, Confirmation, Deadlines
from monitor.access.memory import TargetState
from monitor.access.words import DEAD_KEY, Code, Effect, Hold, ProbeKind, Staleness, State

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Situation(StrEnum):
    """The row of the cadence table that decided."""

    UNKNOWN = "nothing conclusive yet"
    EAGER = "first hour"
    PROPAGATING = "propagating"
    UNVERIFIED = "unverified"
    SETTLING = "settling"
    DECIDING = "deciding"
    AVAILABLE = "available"
    LOCKED = "locked"
    SUSPECT = "blocked, to be confirmed"
    BLOCKED = "blocked"
    RETIRED = "retired"
    INCONCLUSIVE = "inconclusive"
    OVER_BUDGET = "over budget"


#: Answers that decide nothing and may be paid for: to an open target the next ones will hardly differ.
_PAID_IN_VAIN = frozenset({Code.UNRECOGNIZED, Code.MODERATION_BLOCKED})

#: How much earlier than planned a probe may be sent: this share of its interval, and at most so much.
_EARLY, _EARLY_MOST = 0.1, timedelta(seconds=1)


@dataclass(frozen=True, slots=True)
class NextProbe:
    """The next probe of a target: when (UTC), of which kind, and which row of the table says so.

    It may be sent up to `early` before its time, together with others. `early` is zero for a time that
    a server or the state table set.
    """

    at: datetime
    kind: ProbeKind
    situation: Situation
    early: timedelta = timedelta()
    #: why it is later than the situation asks, or a listing instead of a full probe
    held_by: Hold | None = None


def phase_of(name: str) -> float:
    """A target's place in every interval, 0 ≤ phase < 1: a hash, so that a restart does not move it."""
    return int.from_bytes(sha256(name.encode()).digest()[:6], "big") / 2**48


def next_probe(
    memory: TargetState,
    now: datetime,
    cadence: Cadence,
    *,
    phase: float,
    shutdown: date | None = None,
    retry_after: float | None = None,
    over_budget: bool = False,
    at_once: bool = False,
    behind: bool = False,
) -> NextProbe:
    """Decide the next probe after the one that ended at `now`.

    `retry_after`: seconds that the server asks to wait; the probe is never earlier. `over_budget`: the
    budget allowed only a listing. A target that waits for its opening keeps its interval even then; an
    open one is probed at the interval of listings. `at_once`: the listing was answered, so a full
    probe follows. `behind`: more probes are due than can be sent; the next one is a whole interval
    away, so that rounds get longer by as much for every target.
    """
    situation, interval = _situation(memory, now, cadence, shutdown)
    # available, the last full answer granted, and no blocker: listings are enough
    only_watching = situation is Situation.AVAILABLE
    kind, early = ProbeKind.FULL, timedelta()
    held: Hold | None = None
    setbacks = memory.setbacks
    if situation is Situation.DECIDING and memory.last_full in _PAID_IN_VAIN:
        # also over budget, where answered listings end the setbacks
        interval, setbacks = cadence.full_probe, max(setbacks, memory.unproven)
    backoff = cadence.inconclusive * int(2 ** min(max(setbacks - 1, 0), 24))
    if setbacks and backoff < interval:
        situation, at = Situation.INCONCLUSIVE, now + backoff
    elif behind or situation in (Situation.SETTLING, Situation.SUSPECT):
        # exactly, not on the grid: the second answer must come long enough after the first
        at = now + interval
    else:
        at, early = _on_grid(now, interval, phase), min(interval * _EARLY, _EARLY_MOST)
    if only_watching:
        full_due = (memory.last_full_at or now) + cadence.full_probe
        kind = ProbeKind.FULL if at >= full_due else ProbeKind.LISTING
    if over_budget and kind is ProbeKind.FULL:
        situation, held = Situation.OVER_BUDGET, Hold.BUDGET
        if memory.state is State.AVAILABLE:
            at, early = max(at, now + cadence.listing), timedelta()
        elif at_once:
            at, early, held = now, timedelta(), None
    if retry_after:
        wished, early = now + timedelta(seconds=retry_after), timedelta()
        if wished > at:
            at, held = wished, Hold.RETRY_AFTER
    return NextProbe(at, kind, situation, early, held)


def not_before(memory: TargetState, now: datetime) -> datetime:
    """The earliest time of a probe: `now`, or later while the wait that the server asked for lasts."""
    due = memory.next_probe_at
    return max(due, now) if due and memory.held_by is Hold.RETRY_AFTER else now


def full_interval(
    memory: TargetState, now: datetime, cadence: Cadence, shutdown: date | None = None
) -> timedelta:
    """The time between full probes in the present situation, without backoff."""
    situation, interval = _situation(memory, now, cadence, shutdown)
    return cadence.full_probe if situation is Situation.AVAILABLE else interval


def _situation(
    memory: TargetState, now: datetime, cadence: Cadence, shutdown: date | None
) -> tuple[Situation, timedelta]:
    if memory.suspect or memory.blocker:
        return _blocked(memory, now, cadence, shutdown)
    if memory.state is State.AVAILABLE:
        if memory.last_full is not Code.ACCESS_GRANTED:
            return Situation.DECIDING, cadence.deciding
        return Situation.AVAILABLE, min(cadence.listing, cadence.full_probe)
    if settles(memory):
        return Situation.SETTLING, cadence.settling
    return _shut(memory, now, cadence)


def settles(memory: TargetState) -> bool:
    """Whether a target was granted and is to be confirmed: somebody waits for its next answer."""
    streak = memory.streak
    granted = streak is not None and streak.effect is Effect.GRANTED
    return granted and memory.state is not State.AVAILABLE


def listed_since_blocked(memory: TargetState) -> bool:
    """Whether a listing blocked an open target, and the latest one was answered: a full probe decides."""
    by_listing = memory.suspect is not None and memory.last_full is Code.ACCESS_GRANTED
    return by_listing and memory.listed_at is not None and memory.listed_at == memory.last_probe_at


def probes_to_settle(cadence: Cadence, confirmation: Confirmation) -> int:
    """The granted answers that make a target available: as many, over as long, as the settings ask."""
    spanning = 1 + ceil(confirmation.confirmation_span / cadence.settling)
    return max(confirmation.confirmations, spanning)


def _shut(memory: TargetState, now: datetime, cadence: Cadence) -> tuple[Situation, timedelta]:
    if memory.state is State.LOCKED:
        return Situation.LOCKED, cadence.locked
    since = memory.since or now
    unknown = memory.state is State.UNKNOWN
    eager_since = memory.eager_since or (since if unknown else None)
    if eager_since and now - eager_since < cadence.eager_for:
        return Situation.UNKNOWN if unknown else Situation.EAGER, cadence.eager
    if memory.state is State.PROPAGATING:
        late = now - (memory.clock_at or since) >= cadence.propagating_until
        return Situation.PROPAGATING, cadence.propagating_late if late else cadence.propagating
    late = now - since >= cadence.unverified_until
    situation = Situation.UNKNOWN if unknown else Situation.UNVERIFIED
    return situation, cadence.unverified_late if late else cadence.unverified


def _blocked(
    memory: TargetState, now: datetime, cadence: Cadence, shutdown: date | None
) -> tuple[Situation, timedelta]:
    situation, interval = Situation.BLOCKED, cadence.blocked
    if memory.suspect is not memory.blocker or listed_since_blocked(memory):
        # one more probe soon: the blocker is told once it is confirmed, or ends
        situation, interval = Situation.SUSPECT, min(cadence.deciding, cadence.blocked)
    elif shutdown and datetime.combine(shutdown, time(), UTC) <= now:
        situation, interval = Situation.RETIRED, cadence.retired
    elif memory.blocker in DEAD_KEY:  # frequent probes gain nothing
        doublings = min(max(memory.suspect_count - 1, 0), 16)
        interval = min(interval * 2**doublings, max(cadence.blocked_most, interval))
    if memory.state is State.PROPAGATING:
        _, shut = _shut(memory, now, cadence)
        interval = min(interval, shut)
    return situation, interval


def _on_grid(now: datetime, interval: timedelta, phase: float) -> datetime:
    """The first point of the target's grid that is at least half an interval away."""
    earliest = (now + interval / 2 - _EPOCH).total_seconds()
    step = interval.total_seconds()
    turns = -((phase * step - earliest) // step)  # rounded up
    return _EPOCH + timedelta(seconds=(turns + phase) * step)


def stale_since(memory: TargetState, passed: TimePassed, now: datetime) -> datetime:
    """Since when a target would have been answered conclusively, had all been well.

    Time in which nobody asked is no staleness: before this monitor watched, of a target that is asked
    once a day before the first question that brought nothing, and while listings are answered and the
    budget has no room for more.
    """
    since = memory.conclusive_at or memory.since or now
    if memory.listed_at and (memory.held_by is Hold.BUDGET or not memory.failing_since):
        since = max(since, memory.listed_at)
    if memory.failing_since:
        since = max(since, memory.failing_since - passed.interval)
    return max(since, passed.watching_since) if passed.watching_since else since


def staleness_of(
    memory: TargetState, passed: TimePassed, now: datetime, deadlines: Deadlines
) -> Staleness | None:
    """Whose staleness is to be told of, if any: nothing conclusive for the deadline and three intervals.

    It is the route's when none of its targets was answered conclusively since, the target's own when
    others were in the later half of it. Between the two it is not known yet: the last of the route's
    answers came as its staleness, or this one's, began. A confirmed blocker was told of and explains it.
    """
    if memory.blocker:
        return None
    since = stale_since(memory, passed, now)
    least = max(deadlines.stale, 3 * passed.interval)
    others = max(passed.route_answered_at or since, since)
    wait = least
    if passed.among_others:
        wait -= passed.interval if memory.failing_since else timedelta()
    if now - since < wait:
        return None
    if others - since > least / 2:
        return Staleness.TARGET
    return Staleness.ROUTE if now - others >= deadlines.stale else None
