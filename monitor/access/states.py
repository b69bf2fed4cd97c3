"""The state table: what an answer, a declaration, a sibling's opening or time does to a target's state.

`advance` is a pure function of values. The numbers in the comments are the rows of the table in
docs/states.md ("Transitions"). Neutral answers (blocked, inconclusive) neither count nor reset what is
counted in a row; only a full probe can say something of the gate.
"""

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from monitor.access.events import (
    Answered,
    Decision,
    Declared,
    Event,
    Rules,
    SiblingOpened,
    Telling,
    TimePassed,
)
from monitor.access.limits import Confirmation
from monitor.access.memory import Streak, TargetState, changed
from monitor.access.silence import silence_of, silent_since
from monitor.access.words import (
    Code,
    DeclarationKind,
    Effect,
    EventKind,
    ProbeKind,
    Reason,
    Silence,
    State,
)

#: What a listing can tell: of the key, its organization and where we call from. A
#: restricted key may lack the right to list models and still use them, so no more than these.
LISTING_BLOCKERS = frozenset(
    {
        Code.INVALID_CREDENTIALS,
        Code.ACCOUNT_DEACTIVATED,
        Code.ORGANIZATION_MISMATCH,
        Code.REGION_BLOCKED,
    }
)

#: How long a person must wait before another try after a rejected verification (FACTS of the gate).
RETRY_AFTER_REJECTION = timedelta(hours=24)


def advance(
    memory: TargetState, event: Event, now: datetime, rules: Rules | None = None
) -> Decision:
    """Apply one event to a target's memory at `now` (UTC). Never raises; the same values, the same answer."""
    course = _Course(memory, now, rules or Rules())
    match event:
        case Answered():
            _answered(course, event)
            course.keep(
                wait_probes=course.memory.wait_probes + 1,
                wait_cost_usd=course.memory.wait_cost_usd + event.cost_usd,
            )
        case Declared():
            _declared(course, event)
        case SiblingOpened():
            _sibling_opened(course, event)
        case TimePassed():
            _time_passed(course, event)
    return Decision(course.memory, tuple(course.tellings))


def settled(streak: Streak, confirmation: Confirmation) -> bool:
    """Whether a run of granted answers is long and wide enough to be believed (row 4)."""
    return (
        streak.effect is Effect.GRANTED
        and streak.count >= confirmation.confirmations
        and streak.span >= confirmation.confirmation_span
    )


class _Course:
    """The memory while an event is applied to it, and what is to be told of that."""

    def __init__(self, memory: TargetState, now: datetime, rules: Rules) -> None:
        self.memory = memory if memory.since else replace(memory, since=now)
        self.now = now
        self.rules = rules
        self.tellings: list[Telling] = []

    def keep(self, **changes: Any) -> None:
        self.memory = changed(self.memory, **changes)

    def tell(self, event: EventKind, reason: Reason, **facts: Any) -> None:
        self.tellings.append(Telling(event, reason, facts=facts))

    def move(self, to: State, event: EventKind, reason: Reason, **changes: Any) -> None:
        """Enter a state. Entering `propagating` starts the wait's clock unless it is given."""
        before = self.memory.state
        lasted = self.now - (self.memory.since or self.now)
        if to is State.PROPAGATING:
            self.keep(wait_probes=0, wait_cost_usd=0.0, flickers=0)
            changes = {"clock_at": self.now, "overdue_told": 0} | changes
        if to in (State.UNVERIFIED, State.LOCKED):
            changes = {"first_light_at": None, "clock_at": None, "overdue_told": 0} | changes
        self.keep(state=to, since=self.now, locked_by_declaration=False)
        self.keep(**changes)
        facts: dict[str, Any] = {"lasted_s": max(lasted.total_seconds(), 0.0)}
        if self.memory.declared_at:
            facts["declared_at"] = self.memory.declared_at.isoformat()
        self.tellings.append(Telling(event, reason, before, to, facts))


def _answered(course: _Course, event: Answered) -> None:
    code, now = event.code, course.now
    if event.kind is ProbeKind.LISTING:
        course.keep(last_probe_at=now, last_diagnosis=code)
        if code in LISTING_BLOCKERS:
            _blocked(course, code)
        else:
            failed = code is not None and code.effect is Effect.INCONCLUSIVE
            course.keep(setbacks=course.memory.setbacks + 1 if failed else 0)
        return
    if code is None:
        course.keep(last_probe_at=now, last_diagnosis=None)
        return
    seen = {"last_probe_at": now, "last_diagnosis": code, "last_full": code, "last_full_at": now}
    if code.effect.conclusive:
        _conclusive(course, code.effect, seen)
        return
    course.keep(**seen)
    course.keep(failing_since=course.memory.failing_since or now)
    if code.effect is Effect.BLOCKED:
        _blocked(course, code)
        return
    course.keep(setbacks=course.memory.setbacks + 1)
    if event.unproven:
        course.keep(unproven=course.memory.unproven + 1)
        # once: only a conclusive answer ends the row
        if course.memory.unproven == course.rules.confirmation.unproven_confirmations:
            course.tell(
                EventKind.UNPROVEN, Reason.ANSWERED_UNPROVEN, answers=course.memory.unproven
            )


def _blocked(course: _Course, code: Code) -> None:
    """Count what is in the way. Each blocker is told once until the gate is seen again.

    Of two that alternate neither hides the other: one is counted on while the other is seen.
    """
    memory = course.memory
    counts = dict(memory.suspects)
    count = counts.pop(code, 0) + 1
    course.keep(
        blocked_seen=memory.blocked_seen or not memory.granted_seen,
        suspects=(*counts.items(), (code, count)),
        setbacks=0,
    )
    needed = course.rules.confirmation.blocker_confirmations
    # an invalid key does not become valid by itself: it is told at once
    if code in memory.blockers or count >= needed or code is Code.INVALID_CREDENTIALS:
        others = tuple(other for other in memory.blockers if other is not code)
        course.keep(blockers=(*others, code))
        if code not in memory.blockers:
            also = [str(other) for other in others]
            course.tell(EventKind.BLOCKED, Reason.BLOCKER_SEEN, blocker=str(code), blockers=also)


def _conclusive(course: _Course, effect: Effect, seen: Mapping[str, Any]) -> None:
    memory, now = course.memory, course.now
    streak = memory.streak
    if streak and streak.effect is effect:
        streak = Streak(effect, streak.count + 1, streak.first, now)
    else:
        streak = Streak(effect, 1, now, now)
    refused = effect is not Effect.GRANTED
    before = memory.streak.effect if memory.streak else None
    flickered = refused and before is Effect.GRANTED and memory.first_light_at is not None
    course.keep(
        streak=streak,
        flickers=memory.flickers + flickered,
        refusals=memory.refusals + 1 if refused else 0,
        granted_seen=memory.granted_seen or not refused,
        conclusive_at=now,
        failing_since=None,
        stale=None,
        setbacks=0,
        unproven=0,
        suspects=(),
        blockers=(),
        **seen,
    )
    # While available, one refusal is no news; whether the gate was shut *before* decides row 5.
    if refused and memory.state is not State.AVAILABLE and not memory.gated_seen:
        course.keep(gated_seen=True)
    if memory.blocker:
        also = [str(other) for other in memory.blockers[:-1]]
        course.tell(
            EventKind.UNBLOCKED, Reason.BLOCKER_CLEARED, blocker=str(memory.blocker), blockers=also
        )
    if refused:
        _refused(course, streak)
    else:
        _granted(course, streak)


def _granted(course: _Course, streak: Streak) -> None:
    memory = course.memory
    if memory.state is State.AVAILABLE:
        return
    at_first_probe = memory.state is State.UNKNOWN and not memory.blocked_seen
    if not at_first_probe and memory.first_light_at is None:  # 3
        light: dict[str, Any] = {
            "first_light_at": course.now,
            "eager_since": course.now,
            "lit": True,
        }
        if memory.state is State.PROPAGATING:
            course.keep(**light)
            course.tell(EventKind.FIRST_LIGHT, Reason.FIRST_GRANTED, **_waited(course))
        else:
            course.move(State.PROPAGATING, EventKind.FIRST_LIGHT, Reason.FIRST_GRANTED, **light)
    if not settled(streak, course.rules.confirmation):
        return
    if at_first_probe:  # 2
        course.move(
            State.AVAILABLE,
            EventKind.BASELINE,
            Reason.OPEN_AT_FIRST_PROBE,
            first_light_at=streak.first,
            opened_at=course.now,
        )
    else:  # 4
        course.move(
            State.AVAILABLE,
            EventKind.AVAILABLE,
            Reason.SETTLED,
            opened_at=course.now,
            clock_at=None,
            lit=False,
        )


def _refused(course: _Course, streak: Streak) -> None:
    memory, confirmation = course.memory, course.rules.confirmation
    in_a_row = streak.count
    if memory.lit and memory.refusals >= confirmation.relapse_confirmations:
        _shut_again(course)
    if memory.state is State.AVAILABLE:
        if memory.refusals >= confirmation.relapse_confirmations:
            _relapse(course)
    elif streak.effect is Effect.LOCKED:
        if memory.state is not State.LOCKED and in_a_row >= confirmation.locked_confirmations:  # 6
            course.move(State.LOCKED, EventKind.LOCKED, Reason.LOCKED_BY_ANSWER)
    elif memory.state is State.UNKNOWN:  # 1
        _shut(course, Reason.GATED)
    elif (
        memory.state is State.LOCKED
        and not memory.locked_by_declaration
        and in_a_row >= confirmation.unlock_confirmations
    ):  # 7
        _shut(course, Reason.UNLOCKED_BY_ANSWERS)


def _shut_again(course: _Course) -> None:
    """An opening ended before it settled: the next granted answer is a first light again."""
    memory = course.memory
    course.tell(EventKind.SHUT_AGAIN, Reason.REFUSED_AFTER_LIGHT, **_waited(course))
    course.keep(lit=False, first_light_at=None)
    unseen = memory.declared_at is None and memory.clock_at == memory.first_light_at
    if unseen and memory.first_light_at:
        # nobody knows since when it waited, and what opens next had been open before
        course.keep(opened_at=memory.first_light_at)


def _shut(course: _Course, reason: Reason) -> None:
    """The gate is shut: `propagating` while a declaration is fresh, else `unverified` (rows 1, 7)."""
    declared = course.memory.declared_at
    changes = {"eager_since": course.now} if reason is Reason.GATED else {}
    if declared and course.now - declared < course.rules.deadlines.give_up_after:
        if reason is Reason.GATED:
            reason = Reason.GATED_AFTER_DECLARATION
        course.move(State.PROPAGATING, EventKind.PROPAGATING, reason, clock_at=declared, **changes)
    else:
        course.move(State.UNVERIFIED, EventKind.UNVERIFIED, reason, **changes)


def _relapse(course: _Course) -> None:  # 5
    memory = course.memory
    fresh = course.now - (memory.opened_at or course.now)
    if memory.gated_seen and fresh < course.rules.confirmation.relapse_within:
        course.move(State.PROPAGATING, EventKind.PROPAGATING, Reason.RELAPSE, first_light_at=None)
    else:
        course.move(State.UNVERIFIED, EventKind.REVOKED, Reason.REVOCATION)
    course.keep(gated_seen=True, eager_since=course.now)


def _declared(course: _Course, event: Declared) -> None:
    state = course.memory.state
    if state is State.AVAILABLE:
        return
    match event.kind:
        case DeclarationKind.VERIFIED:
            course.keep(declared_at=event.at)
            stale = course.now - event.at >= course.rules.deadlines.give_up_after
            # An unknown target remembers it for row 1; one told too late would give up at once.
            if state is State.UNKNOWN or stale:
                return
            light = course.memory.first_light_at
            if state is State.PROPAGATING:  # 8, without a change of state
                course.keep(clock_at=event.at, eager_since=course.now, overdue_told=0)
                course.tell(
                    EventKind.PROPAGATING,
                    Reason.VERIFIED_DECLARED,
                    declared_at=event.at.isoformat(),
                )
            else:  # 8
                course.move(
                    State.PROPAGATING,
                    EventKind.PROPAGATING,
                    Reason.VERIFIED_DECLARED,
                    clock_at=event.at,
                    eager_since=course.now,
                    first_light_at=light,
                )
        case DeclarationKind.REJECTED:  # 6
            course.keep(declared_at=None)
            hint = (event.at + RETRY_AFTER_REJECTION).isoformat()
            if state is State.LOCKED:
                course.keep(locked_by_declaration=True)
                course.tell(EventKind.LOCKED, Reason.REJECTED_DECLARED, hint_at=hint)
                return
            course.move(
                State.LOCKED,
                EventKind.LOCKED,
                Reason.REJECTED_DECLARED,
                locked_by_declaration=True,
            )
            last = course.tellings[-1]
            course.tellings[-1] = replace(last, facts={**last.facts, "hint_at": hint})
        case DeclarationKind.CLEARED:
            course.keep(declared_at=None)
            if state in (State.LOCKED, State.PROPAGATING):  # 9
                course.move(State.UNVERIFIED, EventKind.UNVERIFIED, Reason.CLEARED_DECLARED)


def _sibling_opened(course: _Course, event: SiblingOpened) -> None:
    if course.memory.state is State.UNVERIFIED:  # 10
        course.move(
            State.PROPAGATING,
            EventKind.PROPAGATING,
            Reason.SIBLING_OPENED,
            eager_since=course.now,
        )
        last = course.tellings[-1]
        course.tellings[-1] = replace(last, facts={**last.facts, "sibling": event.target})
    elif course.memory.state is State.PROPAGATING:
        course.keep(eager_since=course.now)


def _time_passed(course: _Course, event: TimePassed) -> None:
    memory, now, deadlines = course.memory, course.now, course.rules.deadlines
    waiting = (
        memory.state is State.PROPAGATING
        and memory.clock_at is not None
        and memory.streak is not None
        and memory.streak.effect is Effect.GATED
    )
    if waiting and memory.clock_at:
        waited = now - memory.clock_at
        due = sum(waited >= deadline for deadline in deadlines.overdue)
        if waited >= deadlines.give_up_after:  # 11
            course.move(State.UNVERIFIED, EventKind.UNVERIFIED, Reason.GAVE_UP)
        elif due > memory.overdue_told:
            course.keep(overdue_told=due)
            course.tell(
                EventKind.OVERDUE,
                Reason.DEADLINE_PASSED,
                deadline_s=deadlines.overdue[due - 1].total_seconds(),
                **_waited(course),
            )
    silence = silence_of(memory, event, now, deadlines)
    # silent with its route, and still when the route has long been answering again: told once more
    alone = memory.stale is Silence.ROUTE and silence is Silence.TARGET
    if silence and (memory.stale is None or alone):
        course.keep(stale=silence)
        lasted = (now - silent_since(memory, event, now)).total_seconds()
        course.tell(
            EventKind.STALE, Reason.NOTHING_CONCLUSIVE, silence=str(silence), waited_s=lasted
        )
    _retiring(course, event.shutdown)


def _retiring(course: _Course, shutdown: date | None) -> None:
    if shutdown is None:
        return
    remaining = datetime.combine(shutdown, time(), UTC) - course.now
    stage = "past" if remaining <= timedelta() else "near"
    due = remaining <= course.rules.deadlines.retiring
    if due and course.memory.retiring_told != stage:
        course.keep(retiring_told=stage)
        reason = Reason.SHUTDOWN_PAST if stage == "past" else Reason.SHUTDOWN_NEAR
        course.tell(EventKind.RETIRING, reason, shutdown=shutdown.isoformat())


def _waited(course: _Course) -> dict[str, Any]:
    """How long the wait for propagation has lasted, in seconds, and what it is counted from."""
    memory = course.memory
    if memory.clock_at is None:
        return {}
    facts: dict[str, Any] = {"waited_s": max((course.now - memory.clock_at).total_seconds(), 0.0)}
    if memory.declared_at:
        facts["declared_at"] = memory.declared_at.isoformat()
    return facts
