"""Hypothesis holds the state machine to its table: what no sequence of events may do."""

from datetime import UTC, datetime, timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from monitor.access.events import Answered, Declared, SiblingOpened, TimePassed
from monitor.access.limits import Confirmation
from monitor.access.memory import TargetState, from_json, to_json
from monitor.access.states import advance
from monitor.access.words import Code, DeclarationKind, Effect, EventKind, Look, State

START = datetime(2026, 11, 20, tzinfo=UTC)
NEUTRAL = [c for c in Code if not c.effect.conclusive]

answers = st.sampled_from(list(Code)).map(Answered)
free = st.sampled_from([None, *Code]).map(lambda code: Answered(code, Look.FREE))
declarations = st.builds(
    Declared,
    st.sampled_from(list(DeclarationKind)),
    st.integers(0, 10 * 86400).map(lambda ago: START - timedelta(seconds=ago)),
)
others = st.just(SiblingOpened("acme/o3:chat")) | st.builds(TimePassed)
events = st.one_of(answers, answers, free, declarations, others)
steps = st.lists(st.tuples(events, st.integers(0, 7200)), max_size=40)


def run(story, memory=None, now=START):
    """Yield each event with the memory before it, the decision and the time."""
    memory = memory or TargetState(since=START)
    for event, wait in story:
        now += timedelta(seconds=wait)
        decision = advance(memory, event, now)
        yield memory, event, decision, now
        memory = decision.memory


@given(steps, st.lists(st.tuples(st.sampled_from(NEUTRAL), st.integers(0, 99999)), max_size=30))
def test_no_sequence_of_neutral_answers_changes_a_state(story, neutral):
    memory, now = TargetState(since=START), START
    for _, _, decision, at in run(story):
        memory, now = decision.memory, at
    before = memory.state
    for _, _, decision, _ in run([(Answered(c), w) for c, w in neutral], memory, now):
        assert decision.memory.state is before
        assert all(t.after is None for t in decision.tellings)


@given(steps)
@settings(max_examples=300)
def test_available_only_after_the_confirmations(story):
    wanted = Confirmation()
    granted = []
    for before, event, decision, now in run(story):
        if isinstance(event, Answered) and event.look is Look.FULL and event.code:
            if event.code.effect is Effect.GRANTED:
                granted.append(now)
            elif event.code.effect.conclusive:
                granted.clear()
        if decision.memory.state is State.AVAILABLE and before.state is not State.AVAILABLE:
            assert len(granted) >= wanted.confirmations
            assert granted[-1] - granted[0] >= wanted.confirmation_span


@given(steps)
@settings(max_examples=300)
def test_first_light_is_told_once_per_opening_and_only_for_a_granted_answer(story):
    lit = False
    for _, event, decision, _ in run(story):
        for telling in decision.tellings:
            if telling.event is EventKind.FIRST_LIGHT:
                assert not lit
                assert isinstance(event, Answered)
                assert event.code is Code.ACCESS_GRANTED
                lit = True
        if decision.memory.first_light_at is None:
            lit = False


@given(steps)
def test_locked_needs_two_locked_answers_or_a_person(story):
    in_a_row = 0
    for before, event, decision, _ in run(story):
        if isinstance(event, Answered) and event.look is Look.FULL and event.code.effect.conclusive:
            in_a_row = in_a_row + 1 if event.code.effect is Effect.LOCKED else 0
        if decision.memory.state is State.LOCKED and before.state is not State.LOCKED:
            declared = isinstance(event, Declared) and event.kind is DeclarationKind.REJECTED
            assert declared or in_a_row >= 2


@given(steps)
def test_a_transition_says_where_from_and_why_and_every_change_is_told(story):
    for before, _, decision, _ in run(story):
        state = before.state
        for telling in decision.tellings:
            assert telling.reason
            if telling.after is not None:
                assert telling.before is state
                assert telling.after is not state
                state = telling.after
        assert state is decision.memory.state


@given(steps)
def test_a_restart_at_any_moment_changes_nothing(story):
    kept = TargetState(since=START)
    for _, event, decision, now in run(story):
        again = advance(from_json(to_json(kept)), event, now)
        assert again == decision
        kept = again.memory


@given(steps, st.integers(-90000, 90000))
def test_a_clock_step_keeps_every_duration(story, seconds):
    step = timedelta(seconds=seconds)
    memory = TargetState(since=START)
    for _, _, decision, _ in run(story):
        memory = decision.memory
    moved = memory.shifted(step)
    assert moved.since - step == memory.since
    assert moved.declared_at == memory.declared_at
    if memory.streak:
        assert moved.streak.span == memory.streak.span
