"""The state table: what an answer, a declaration, a sibling's opening or time does to a target's state.

`advance` is a pure function of values. The numbers in the comments are the rows of the table in
docs/states.md ("Transitions"). Neutral answers (blocked, inconclusive) neither count nor reset what is
counted in a row; only a full probe can say something of the gate.
"""

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from monitor.access.cadence import stale_since, staleness_of
from monitor.access.events import (
    Answered,
    Decision,
    Declared,
    Event,
    Input,
    SiblingOpened,
    TimePassed,
)
from monitor.access.limits import Confirmation, Rules
from monitor.access.memory import Streak, TargetState, changed
from monitor.access.wait_times import refused_again, waited
from monitor.access.words import (
    LISTING_BLOCKERS,
    Code,
    DeclarationKind,
    Effect,
    EventKind,
    ProbeKind,
    Reason,
    Staleness,
    State,
)

#: How long a person must wait before another try after a rejected verification, as the vendor says.
RETRY_AFTER_REJECTION = timedelta(hours=24)


def advance(
    memory: TargetState, given: Input, now: datetime, rules: Rules | None = None
) -> Decision:
    """Apply one input to a target's memory at `now` (UTC). Never raises; the same values, the same answer."""
    step = _Step(memory, now, rules or Rules())
    match given:
        case Answered():
            _answered(step, given)
            step.keep(
                wait_probes=step.memory.wait_probes + 1,
                wait_cost_usd=step.memory.wait_cost_usd + given.cost_usd,
            )
        case Declared():
            _declared(step, given)
        case SiblingOpened():
            _sibling_opened(step, given)
        case TimePassed():
            _time_passed(step, given)
    return Decision(step.memory, tuple(step.events))


def settled(streak: Streak, confirmation: Confirmation) -> bool:
    """Whether a run of granted answers is long and wide enough to be believed (row 4)."""
    return (
        streak.effect is Effect.GRANTED
        and streak.count >= confirmation.confirmations
        and streak.span >= confirmation.confirmation_span
    )


class _Step:
    """The memory while an input is applied to it, and the events of that."""

    def __init__(self, memory: TargetState, now: datetime, rules: Rules) -> None:
        self.memory = memory if memory.since else replace(memory, since=now)
        self.now = now
        self.rules = rules
        self.events: list[Event] = []

    def keep(self, **changes: Any) -> None:
        self.memory = changed(self.memory, **changes)

    def tell(self, kind: EventKind, reason: Reason, **facts: Any) -> None:
        self.events.append(Event(kind, reason, self.now, facts=facts))

    def add_to_last(self, fact: str, value: Any) -> None:
        last = self.events[-1]
        self.events[-1] = replace(last, facts={**last.facts, fact: value})

    def move(self, to: State, kind: EventKind, reason: Reason, **changes: Any) -> None:
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
        self.events.append(Event(kind, reason, self.now, before=before, after=to, facts=facts))


def _answered(step: _Step, given: Answered) -> None:
    code, now = given.code, step.now
    if given.kind is ProbeKind.LISTING:
        step.keep(last_probe_at=now, last_diagnosis=code)
        if code in LISTING_BLOCKERS:
            _blocked(step, code)
        elif code is not None and code.effect is Effect.INCONCLUSIVE:
            step.keep(setbacks=step.memory.setbacks + 1)
        else:
            step.keep(setbacks=0, listed_at=now)
        return
    if code is None:
        step.keep(last_probe_at=now, last_diagnosis=None)
        return
    seen = {"last_probe_at": now, "last_diagnosis": code, "last_full": code, "last_full_at": now}
    if code.effect.conclusive:
        _conclusive(step, code.effect, seen)
        return
    step.keep(**seen)
    step.keep(failing_since=step.memory.failing_since or now)
    if code.effect is Effect.BLOCKED:
        _blocked(step, code)
        return
    step.keep(setbacks=step.memory.setbacks + 1)
    if given.unproven:
        step.keep(unproven=step.memory.unproven + 1)
        # once: only a conclusive answer ends the row
        if step.memory.unproven == step.rules.confirmation.unproven_confirmations:
            step.tell(EventKind.UNPROVEN, Reason.ANSWERED_UNPROVEN, answers=step.memory.unproven)


def _blocked(step: _Step, code: Code) -> None:
    """Count what is in the way. Each blocker is told once until the gate is seen again.

    Of two that alternate neither hides the other: one is counted on while the other is seen.
    """
    memory = step.memory
    counts = dict(memory.suspects)
    count = counts.pop(code, 0) + 1
    step.keep(
        blocked_seen=memory.blocked_seen or not memory.granted_seen,
        suspects=(*counts.items(), (code, count)),
        setbacks=0,
    )
    needed = step.rules.confirmation.blocker_confirmations
    # an invalid key does not become valid by itself: it is told at once
    if code in memory.blockers or count >= needed or code is Code.INVALID_CREDENTIALS:
        others = tuple(other for other in memory.blockers if other is not code)
        step.keep(blockers=(*others, code))
        if code not in memory.blockers:
            also = [str(other) for other in others]
            step.tell(EventKind.BLOCKED, Reason.BLOCKER_SEEN, blocker=str(code), blockers=also)


def _conclusive(step: _Step, effect: Effect, seen: Mapping[str, Any]) -> None:
    memory, now = step.memory, step.now
    streak = memory.streak
    if streak and streak.effect is effect:
        streak = Streak(effect, streak.count + 1, streak.first, now)
    else:
        streak = Streak(effect, 1, now, now)
    refused = effect is not Effect.GRANTED
    before = memory.streak.effect if memory.streak else None
    flickered = refused and before is Effect.GRANTED and memory.first_light_at is not None
    step.keep(
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
        step.keep(gated_seen=True)
    if memory.blocker:
        also = [str(other) for other in memory.blockers[:-1]]
        step.tell(
            EventKind.UNBLOCKED, Reason.BLOCKER_CLEARED, blocker=str(memory.blocker), blockers=also
        )
    if refused:
        _refused(step, streak)
    else:
        _granted(step, streak)


def _granted(step: _Step, streak: Streak) -> None:
    memory = step.memory
    if memory.state is State.AVAILABLE:
        return
    # nobody waits: nothing was told of it, and nothing declared lately
    since, limit = memory.declared_at, step.rules.deadlines.give_up_after
    expected = memory.blocked_seen or (since is not None and step.now - since < limit)
    at_first_probe = memory.state is State.UNKNOWN and not expected
    if not at_first_probe and memory.first_light_at is None:  # 3
        light: dict[str, Any] = {
            "first_light_at": step.now,
            "eager_since": step.now,
            "lit": True,
        }
        if memory.state is State.PROPAGATING:
            step.keep(**light)
            step.tell(EventKind.FIRST_LIGHT, Reason.FIRST_GRANTED, **waited(step.memory, step.now))
        else:
            step.move(State.PROPAGATING, EventKind.FIRST_LIGHT, Reason.FIRST_GRANTED, **light)
    if not settled(streak, step.rules.confirmation):
        return
    if at_first_probe:  # 2
        step.move(
            State.AVAILABLE,
            EventKind.BASELINE,
            Reason.OPEN_AT_FIRST_PROBE,
            first_light_at=streak.first,
            opened_at=step.now,
        )
    else:  # 4
        step.move(
            State.AVAILABLE,
            EventKind.AVAILABLE,
            Reason.SETTLED,
            opened_at=step.now,
            clock_at=None,
            lit=False,
        )


def _refused(step: _Step, streak: Streak) -> None:
    memory, confirmation = step.memory, step.rules.confirmation
    in_a_row = streak.count
    if memory.lit and memory.refusals >= confirmation.relapse_confirmations:
        _shut_again(step)
    if memory.state is State.AVAILABLE:
        if memory.refusals >= confirmation.relapse_confirmations:
            _relapse(step)
    elif streak.effect is Effect.LOCKED:
        if memory.state is not State.LOCKED and in_a_row >= confirmation.locked_confirmations:  # 6
            step.move(State.LOCKED, EventKind.LOCKED, Reason.LOCKED_BY_ANSWER)
    elif memory.state is State.UNKNOWN:  # 1
        _shut(step, Reason.GATED)
    elif (
        memory.state is State.LOCKED
        and not memory.locked_by_declaration
        and in_a_row >= confirmation.unlock_confirmations
    ):  # 7
        _shut(step, Reason.UNLOCKED_BY_ANSWERS)


def _shut_again(step: _Step) -> None:
    """An opening ended before it settled: the next granted answer is a first light again."""
    memory = step.memory
    step.tell(EventKind.SHUT_AGAIN, Reason.REFUSED_AFTER_LIGHT, **waited(step.memory, step.now))
    step.keep(lit=False, first_light_at=None)
    unseen = memory.declared_at is None and memory.clock_at == memory.first_light_at
    if unseen and memory.first_light_at:
        # nobody knows since when it waited, and what opens next had been open before
        step.keep(opened_at=memory.first_light_at)


def _shut(step: _Step, reason: Reason) -> None:
    """The gate is shut: `propagating` while a declaration is fresh, else `unverified` (rows 1, 7)."""
    declared = step.memory.declared_at
    changes = {"eager_since": step.now} if reason is Reason.GATED else {}
    if declared and step.now - declared < step.rules.deadlines.give_up_after:
        if reason is Reason.GATED:
            reason = Reason.GATED_AFTER_DECLARATION
        step.move(State.PROPAGATING, EventKind.PROPAGATING, reason, clock_at=declared, **changes)
    else:
        step.move(State.UNVERIFIED, EventKind.UNVERIFIED, reason, **changes)


def _relapse(step: _Step) -> None:  # 5
    memory = step.memory
    fresh = step.now - (memory.opened_at or step.now)
    if memory.gated_seen and fresh < step.rules.confirmation.relapse_within:
        step.move(State.PROPAGATING, EventKind.PROPAGATING, Reason.RELAPSE, first_light_at=None)
    else:
        step.move(State.UNVERIFIED, EventKind.REVOKED, Reason.REVOCATION)
    step.keep(gated_seen=True, eager_since=step.now)


def _declared(step: _Step, given: Declared) -> None:
    state = step.memory.state
    if state is State.AVAILABLE:
        return
    match given.kind:
        case DeclarationKind.VERIFIED:
            step.keep(declared_at=given.at)
            stale = step.now - given.at >= step.rules.deadlines.give_up_after
            # An unknown target remembers it for row 1; one told too late would give up at once.
            if state is State.UNKNOWN or stale:
                return
            light = step.memory.first_light_at
            if state is State.PROPAGATING:  # 8, without a change of state
                step.keep(clock_at=given.at, eager_since=step.now, overdue_told=0)
                step.tell(
                    EventKind.PROPAGATING,
                    Reason.VERIFIED_DECLARED,
                    declared_at=given.at.isoformat(),
                )
            else:  # 8
                step.move(
                    State.PROPAGATING,
                    EventKind.PROPAGATING,
                    Reason.VERIFIED_DECLARED,
                    clock_at=given.at,
                    eager_since=step.now,
                    first_light_at=light,
                )
        case DeclarationKind.REJECTED:  # 6
            step.keep(declared_at=None)
            hint = (given.at + RETRY_AFTER_REJECTION).isoformat()
            if state is State.LOCKED:
                step.keep(locked_by_declaration=True)
                step.tell(EventKind.LOCKED, Reason.REJECTED_DECLARED, hint_at=hint)
                return
            step.move(
                State.LOCKED, EventKind.LOCKED, Reason.REJECTED_DECLARED, locked_by_declaration=True
            )
            step.add_to_last("hint_at", hint)
        case DeclarationKind.CLEARED:
            step.keep(declared_at=None)
            if state in (State.LOCKED, State.PROPAGATING):  # 9
                step.move(State.UNVERIFIED, EventKind.UNVERIFIED, Reason.CLEARED_DECLARED)


def _sibling_opened(step: _Step, given: SiblingOpened) -> None:
    if step.memory.state is State.UNVERIFIED:  # 10
        step.move(
            State.PROPAGATING, EventKind.PROPAGATING, Reason.SIBLING_OPENED, eager_since=step.now
        )
        step.add_to_last("sibling", given.target)
    elif step.memory.state is State.PROPAGATING:
        step.keep(eager_since=step.now)


def _time_passed(step: _Step, given: TimePassed) -> None:
    memory, now, deadlines = step.memory, step.now, step.rules.deadlines
    streak = memory.streak
    gated = streak is not None and streak.effect is Effect.GATED
    if streak and gated and memory.state is State.PROPAGATING and memory.clock_at:
        # by the last answers: what the gate is by now, after a pause, nobody has seen
        answered = (memory.last_full_at or streak.last) - memory.clock_at
        refused = streak.last - memory.clock_at
        due = sum(refused >= deadline for deadline in deadlines.overdue)
        if answered >= deadlines.give_up_after:  # 11
            step.move(State.UNVERIFIED, EventKind.UNVERIFIED, Reason.GAVE_UP)
            for name, value in refused_again(memory).items():
                step.add_to_last(name, value)
        elif due > memory.overdue_told and not memory.blocker:
            step.keep(overdue_told=due)
            step.tell(
                EventKind.OVERDUE,
                Reason.DEADLINE_PASSED,
                deadline_s=deadlines.overdue[due - 1].total_seconds(),
                **waited(step.memory, step.now),
                **{"probes": streak.count} | refused_again(memory),
            )
    staleness = staleness_of(memory, given, now, deadlines)
    # stale with its route, and still when the route has long been answering again: told once more
    alone = memory.stale is Staleness.ROUTE and staleness is Staleness.TARGET
    if staleness and (memory.stale is None or alone):
        step.keep(stale=staleness, stale_at=now)
        step.keep(blocked_seen=memory.blocked_seen or not memory.granted_seen)
        lasted = (now - stale_since(memory, given, now)).total_seconds()
        step.tell(
            EventKind.STALE, Reason.NOTHING_CONCLUSIVE, staleness=str(staleness), waited_s=lasted
        )
    _retiring(step, given.shutdown)


def _retiring(step: _Step, shutdown: date | None) -> None:
    if shutdown is None:
        return
    remaining = datetime.combine(shutdown, time(), UTC) - step.now
    stage = "past" if remaining <= timedelta() else "near"
    due = remaining <= step.rules.deadlines.retiring
    told = f"{stage} {shutdown}"  # with the date: a shutdown that is put off is warned of again
    if due and step.memory.retiring_told != told:
        step.keep(retiring_told=told)
        reason = Reason.SHUTDOWN_PAST if stage == "past" else Reason.SHUTDOWN_NEAR
        step.tell(EventKind.RETIRING, reason, shutdown=shutdown.isoformat())
