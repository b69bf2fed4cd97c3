"""When a target, or its whole route, counts as silent; decides when `stale` is told. Pure."""

from datetime import datetime, timedelta

from monitor.access.inputs import TimePassed
from monitor.access.limits import Deadlines
from monitor.access.memory import TargetState
from monitor.access.words import Silence


def silent_since(memory: TargetState, passed: TimePassed, now: datetime) -> datetime:
    """Since when a target would have been answered conclusively, had all been well.

    Time in which nobody asked is no silence: before this monitor watched, and, of a target that is
    asked once a day, before the first question that brought nothing.
    """
    since = memory.conclusive_at or memory.since or now
    if memory.failing_since:
        since = max(since, memory.failing_since - passed.interval)
    return max(since, passed.watching_since) if passed.watching_since else since


def silence_of(
    memory: TargetState, passed: TimePassed, now: datetime, deadlines: Deadlines
) -> Silence | None:
    """Whose silence is to be told of, if any: nothing conclusive for the deadline and three intervals.

    It is the route's when none of its targets was answered conclusively since, the target's own when
    others were in the later half of it. Between the two it is not known yet: the last of the route's
    answers came as its silence, or this one's, began. A confirmed blocker was told of and explains it.
    """
    if memory.blocker:
        return None
    since = silent_since(memory, passed, now)
    least = max(deadlines.stale, 3 * passed.interval)
    others = max(passed.route_answered_at or since, since)
    wait = least
    if passed.among_others:
        wait -= passed.interval if memory.failing_since else timedelta()
    if now - since < wait:
        return None
    if others - since > least / 2:
        return Silence.TARGET
    return Silence.ROUTE if now - others >= deadlines.stale else None
