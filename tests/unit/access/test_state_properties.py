"""Hypothesis holds the state machine to its table: what no sequence of inputs may do."""

from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from monitor.access.events import Answered, Declared, SiblingOpened, TimePassed
from monitor.access.limits import Confirmation
from monitor.access.memory import ClockStep, TargetState, changed, from_json, to_json
from monitor.access.states import advance
from monitor.access.words import (
    LISTING_BLOCKERS,
    Code,
    DeclarationKind,
    Effect,
    EventKind,
    ProbeKind,
    State,
)

# a machine that does much else is slow, and no fault of the state machine's
CAREFULLY = settings(max_examples=200, deadline=None)
QUICKLY = settings(max_examples=60, deadline=None)
START = datetime(2026, 11, 20, tzinfo=UTC)
NEUTRAL = [c for c in Code if not c.effect.conclusive]

answers = st.sampled_from(list(Code)).map(Answered)
unproven = st.just(Answered(Code.UNRECOGNIZED, unproven=True))
# what openings are made of, oftener than chance would bring them
gate = st.sampled_from(
    [Code.ACCESS_GRANTED, Code.VERIFICATION_REQUIRED, Code.VERIFICATION_LOCKED]
).map(Answered)
free = st.sampled_from([None, *Code]).map(lambda code: Answered(code, ProbeKind.LISTING))
declarations = st.builds(
    Declared,
    st.sampled_from(list(DeclarationKind)),
    st.integers(0, 10 * 86400).map(lambda ago: START - timedelta(seconds=ago)),
)
others = st.just(SiblingOpened("acme/o3:chat")) | st.builds(TimePassed)
inputs = st.one_of(answers, gate, gate, unproven, free, declarations, others)
steps = st.lists(st.tuples(inputs, st.integers(0, 7200)), max_size=40)


def run(story, memory=None, now=START):
    """Yield each input with the memory before it, the decision and the time."""
    memory = memory or TargetState(since=START)
    for taken, wait in story:
        now += timedelta(seconds=wait)
        decision = advance(memory, taken, now)
        yield memory, taken, decision, now
        memory = decision.memory


@given(steps, st.lists(st.tuples(st.sampled_from(NEUTRAL), st.integers(0, 99999)), max_size=30))
@QUICKLY
def test_no_sequence_of_neutral_answers_changes_a_state(story, neutral):
    memory, now = TargetState(since=START), START
    for _, _, decision, at in run(story):
        memory, now = decision.memory, at
    before = memory.state
    for _, _, decision, _ in run([(Answered(c), w) for c, w in neutral], memory, now):
        assert decision.memory.state is before
        assert all(t.after is None for t in decision.events)


@given(steps)
@CAREFULLY
def test_available_only_after_the_confirmations(story):
    wanted = Confirmation()
    granted = []
    for before, taken, decision, now in run(story):
        if isinstance(taken, Answered) and taken.kind is ProbeKind.FULL and taken.code:
            if taken.code.effect is Effect.GRANTED:
                granted.append(now)
            elif taken.code.effect.conclusive:
                granted.clear()
        if decision.memory.state is State.AVAILABLE and before.state is not State.AVAILABLE:
            assert len(granted) >= wanted.confirmations
            assert granted[-1] - granted[0] >= wanted.confirmation_span


@given(steps)
@CAREFULLY
def test_first_light_is_told_once_per_opening_and_only_for_a_granted_answer(story):
    lit = False
    for _, taken, decision, _ in run(story):
        for event in decision.events:
            if event.kind is EventKind.FIRST_LIGHT:
                assert not lit
                assert isinstance(taken, Answered)
                assert taken.code is Code.ACCESS_GRANTED
                lit = True
        if decision.memory.first_light_at is None:
            lit = False


def conclusive(taken):
    """The effect of an answer that says something of the gate, else None."""
    full = isinstance(taken, Answered) and taken.kind is ProbeKind.FULL and taken.code is not None
    return taken.code.effect if full and taken.code.effect.conclusive else None


def blocks(taken):
    """Whether an answer says that something else than the gate is in the way."""
    if not isinstance(taken, Answered) or taken.code is None:
        return False
    if taken.kind is ProbeKind.LISTING:
        return taken.code in LISTING_BLOCKERS
    return taken.code.effect is Effect.BLOCKED


@given(steps)
@CAREFULLY
def test_a_light_that_goes_out_is_told_at_the_third_refusal_and_once(story):
    lit, refusals = False, 0
    for _, taken, decision, _ in run(story):
        effect = conclusive(taken)
        if effect:
            refusals = 0 if effect is Effect.GRANTED else refusals + 1
        due = lit and effect not in (None, Effect.GRANTED) and refusals >= 3
        told = [event.kind for event in decision.events]
        assert told.count(EventKind.SHUT_AGAIN) == due
        if EventKind.FIRST_LIGHT in told:
            lit = True
        if due or EventKind.AVAILABLE in told:
            lit = False


@given(steps)
@CAREFULLY
def test_open_at_the_first_probe_means_that_nobody_waited_for_it(story):
    blocked_first, told_stale, granted = False, False, False
    for before, taken, decision, _ in run(story):
        if conclusive(taken) is Effect.GRANTED:
            granted = True
        elif blocks(taken):
            blocked_first = blocked_first or not granted
        told_stale = told_stale or (decision.memory.stale is not None and not granted)
        declared = before.declared_at is not None
        waits = blocked_first or told_stale or declared
        for event in decision.events:
            if event.kind is EventKind.BASELINE:
                assert before.state is State.UNKNOWN
                assert not blocked_first
                assert not told_stale
            if event.kind is EventKind.FIRST_LIGHT and before.state is State.UNKNOWN:
                assert waits


@given(steps)
@CAREFULLY
def test_each_blocker_is_told_once_until_the_gate_is_seen_and_at_the_latest_when_seen_twice(story):
    seen, told = Counter(), set()
    for _, taken, decision, _ in run(story):
        if conclusive(taken):
            seen.clear()
            told.clear()
        for event in decision.events:
            if event.kind is EventKind.BLOCKED:
                assert event.facts["blocker"] not in told
                told.add(event.facts["blocker"])
        if blocks(taken):
            seen[taken.code] += 1
            due = seen[taken.code] >= 2 or taken.code is Code.INVALID_CREDENTIALS
            assert (taken.code in told) == due
            assert (decision.memory.blocker is taken.code) == due


@given(steps)
@CAREFULLY
def test_unproven_answers_are_told_at_the_third_since_something_conclusive_and_move_nothing(story):
    count = 0
    for before, taken, decision, _ in run(story):
        if conclusive(taken):
            count = 0
        told = [event.kind for event in decision.events]
        if isinstance(taken, Answered) and taken.unproven:
            count += 1
            assert told == ([EventKind.UNPROVEN] if count == 3 else [])
            assert decision.memory.state is before.state
        else:
            assert EventKind.UNPROVEN not in told


@given(steps)
@QUICKLY
def test_first_light_starts_the_eager_hour(story):
    for _, _, decision, now in run(story):
        if any(event.kind is EventKind.FIRST_LIGHT for event in decision.events):
            assert decision.memory.eager_since == now


@given(steps)
@QUICKLY
def test_locked_needs_two_locked_answers_or_a_person(story):
    in_a_row = 0
    for before, taken, decision, _ in run(story):
        if (
            isinstance(taken, Answered)
            and taken.kind is ProbeKind.FULL
            and taken.code.effect.conclusive
        ):
            in_a_row = in_a_row + 1 if taken.code.effect is Effect.LOCKED else 0
        if decision.memory.state is State.LOCKED and before.state is not State.LOCKED:
            declared = isinstance(taken, Declared) and taken.kind is DeclarationKind.REJECTED
            assert declared or in_a_row >= 2


@given(steps)
@QUICKLY
def test_a_transition_says_where_from_and_why_and_every_change_is_told(story):
    for before, _, decision, _ in run(story):
        state = before.state
        for event in decision.events:
            assert event.reason
            if event.after is not None:
                assert event.before is state
                assert event.after is not state
                state = event.after
        assert state is decision.memory.state


@given(steps)
@QUICKLY
def test_a_restart_at_any_moment_changes_nothing(story):
    kept = TargetState(since=START)
    for _, taken, decision, now in run(story):
        again = advance(from_json(to_json(kept)), taken, now)
        assert again == decision
        kept = again.memory


@given(steps, st.integers(-90000, 90000))
@QUICKLY
def test_a_clock_step_keeps_every_duration(story, seconds):
    step = timedelta(seconds=seconds)
    memory = TargetState(since=START)
    for _, _, decision, _ in run(story):
        memory = decision.memory
    moved = memory.shifted(ClockStep(step, START, datetime.max.replace(tzinfo=UTC)))
    assert moved.since - step == memory.since
    assert moved.declared_at == memory.declared_at
    if memory.streak:
        assert moved.streak.span == memory.streak.span


def test_a_changed_memory_is_the_replaced_one_and_the_old_one_stays() -> None:
    old = TargetState(since=START, refusals=2)
    new = changed(old, refusals=3, last_full=Code.ACCESS_GRANTED)
    assert new == replace(old, refusals=3, last_full=Code.ACCESS_GRANTED)
    assert old == TargetState(since=START, refusals=2)
    assert hash(new) != hash(old)
