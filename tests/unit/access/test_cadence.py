"""Each row of the cadence table, the grid, the backoff, and what holds a probe back."""

from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.access.cadence import (
    Situation,
    full_interval,
    next_probe,
    phase_of,
    probes_to_settle,
    settles,
)
from monitor.access.events import Answered
from monitor.access.limits import Cadence, Confirmation
from monitor.access.memory import Streak, TargetState
from monitor.access.states import settled
from monitor.access.words import Code, Effect, Hold, ProbeKind

CADENCE = Cadence()
DAY, HOUR = 86400, 3600


def every(story, **more):
    """The interval and kind which the cadence settles into, once on its grid."""
    first = next_probe(story.memory, story.now, CADENCE, phase=0.3, **more)
    second = next_probe(story.memory, first.at, CADENCE, phase=0.3, **more)
    return second.at - first.at, second.kind


def plan(story, **more):
    return next_probe(story.memory, story.now, CADENCE, phase=0.3, **more)


def test_gated_in_the_first_hour_of_the_first_probe_every_25_seconds(story):
    story.answers(403)
    assert every(story) == (timedelta(seconds=25), ProbeKind.FULL)
    assert plan(story).situation is Situation.EAGER


def test_unverified_after_that_every_5_minutes_and_from_7_days_on_every_30(story):
    story.answers(403).wait(HOUR)
    assert every(story)[0] == timedelta(minutes=5)
    story.wait(7 * DAY)
    assert every(story)[0] == timedelta(minutes=30)


def test_a_declaration_makes_it_eager_again_then_3_minutes_then_30(story):
    story.answers(403).wait(2 * HOUR).declares("verified")
    assert every(story)[0] == timedelta(seconds=25)
    story.wait(HOUR)
    assert every(story)[0] == timedelta(minutes=3)
    story.wait(48 * HOUR)
    assert every(story)[0] == timedelta(minutes=30)


def test_a_siblings_opening_and_a_relapse_make_it_eager(story, new_story):
    assert every(story.answers(403).wait(2 * HOUR).sibling())[0] == timedelta(seconds=25)
    relapsed = new_story().answers(403, 200, 200).wait(2 * HOUR).answers(403, 403, 403)
    assert every(relapsed)[0] == timedelta(seconds=25)


def test_a_probe_on_the_grid_may_be_a_tenth_early_and_a_second_at_most(story):
    story.answers(403)
    assert plan(story).early == timedelta(seconds=1)
    quick = Cadence(eager=timedelta(seconds=2))
    assert next_probe(story.memory, story.now, quick, phase=0.3).early == timedelta(seconds=0.2)


def test_no_time_that_was_set_is_shortened(story, new_story):
    story.answers(403)
    assert plan(story, retry_after=40.0).early == timedelta()
    assert plan(new_story().answers(403).answers(200, every=0)).early == timedelta()


def test_settling_probes_again_exactly_60_seconds_after_the_answer(story):
    story.answers(403).answers(200, every=0)
    assert plan(story).at == story.now + timedelta(seconds=60)
    assert plan(story).situation is Situation.SETTLING


def test_an_open_first_probe_settles_at_the_same_pace(story):
    story.answers(200, every=0)
    assert plan(story).at == story.now + timedelta(seconds=60)


@given(
    st.integers(1, 200), st.integers(0, 200), st.integers(1, 5)
)  # seconds of settling and of the span
def test_as_many_granted_answers_settle_as_is_said(settling, spanned, confirmations):
    cadence = Cadence(settling=timedelta(seconds=settling))
    confirmation = Confirmation(
        confirmations=confirmations, confirmation_span=timedelta(seconds=spanned)
    )
    needed = probes_to_settle(cadence, confirmation)

    def after(answers: int) -> bool:
        first = datetime(2026, 11, 30, tzinfo=UTC)
        last = first + (answers - 1) * cadence.settling
        return settled(Streak(Effect.GRANTED, answers, first, last), confirmation)

    assert after(needed)
    assert not after(needed - 1)


def test_available_has_listings_and_one_full_probe_a_day(story):
    story.answers(403, 200, 200)
    assert every(story) == (timedelta(minutes=15), ProbeKind.LISTING)
    story.wait(DAY)
    assert plan(story).kind is ProbeKind.FULL


def test_available_and_refused_is_probed_every_60_seconds_until_decided(story):
    story.answers(403, 200, 200, 403)
    assert every(story) == (timedelta(seconds=60), ProbeKind.FULL)
    story.answers(200)
    assert plan(story).kind is ProbeKind.LISTING


def test_available_and_inconclusive_is_asked_every_60_seconds_until_decided(story):
    story.answers(403, 200, 200, 500, every=61)
    assert plan(story).kind is ProbeKind.FULL
    assert plan(story).situation is Situation.INCONCLUSIVE
    story.answers(*[500] * 20, every=0)
    assert every(story) == (timedelta(seconds=60), ProbeKind.FULL)
    assert plan(story).situation is Situation.DECIDING
    story.answers(200)
    assert every(story) == (timedelta(minutes=15), ProbeKind.LISTING)


def test_an_open_target_whose_paid_answers_decide_nothing_is_asked_ever_more_rarely(
    story,
):
    story.answers(200, 200)
    waits = []
    for _ in range(12):
        story.unproven(every=0)
        waits.append(plan(story).at - story.now)
    assert waits == [timedelta(seconds=30 * 2**n) for n in range(12)]
    story.unproven(every=0)
    assert every(story) == (timedelta(hours=24), ProbeKind.FULL)
    # stale comes as soon as before
    assert full_interval(story.memory, story.now, CADENCE) == timedelta(seconds=60)
    story.listing(None)
    assert every(story, over_budget=True) == (timedelta(hours=24), ProbeKind.FULL)
    story.answers(403, every=0)
    assert every(story) == (timedelta(seconds=60), ProbeKind.FULL)


def test_first_light_makes_it_eager_however_long_ago_it_was_declared(story):
    story.answers(403).declares("verified", ago=3 * DAY).wait(2 * HOUR)
    assert every(story)[0] == timedelta(minutes=30)
    story.answers(200, 403)
    assert every(story)[0] == timedelta(seconds=25)
    assert every(story.wait(HOUR))[0] == timedelta(minutes=30)


@pytest.mark.parametrize("eagerly", [["first light"], ["sibling"], ["declaration"], ["relapse"]])
def test_what_starts_the_eager_hour_ends_it_after_an_hour(story, eagerly):
    story.answers(403).wait(10 * DAY)
    match eagerly:
        case ["first light"]:
            story.answers(200, 403)
        case ["sibling"]:
            story.sibling()
        case ["declaration"]:
            story.declares("verified")
        case ["relapse"]:
            story.answers(200, 200, 403, 403, 403)
    assert every(story)[0] == timedelta(seconds=25)
    assert every(story.wait(HOUR))[0] == timedelta(minutes=3)


def test_what_is_unlocked_by_answers_has_no_eager_hour(story):
    story.answers(423, 423, 403, 403, 403)
    assert every(story)[0] == timedelta(minutes=5)


def test_the_first_hour_of_a_target_that_nobody_refused_is_not_called_gated(story):
    for statuses in ([], [500] * 20, [404, 404]):
        assert "gated" not in plan(story.answers(*statuses, every=1)).situation
    story.answers(500, every=0)
    assert plan(story).situation is not Situation.EAGER


def test_a_target_that_settles_is_known_from_its_first_light_on(story, new_story):
    assert not settles(story.answers(403).memory)
    assert settles(story.answers(200, every=0).memory)
    assert settles(story.answers(500, every=0).memory)
    assert not settles(new_story().answers(403, 200, 200).memory)


# The table of the design, row by row: what happened, the seconds since, the interval it settles into.
TABLE = [
    ("gated, first probe", [403], 0, 25),
    ("gated, first probe", [403], HOUR - 180, 25),
    ("unverified after that", [403], HOUR, 300),
    ("unverified until 7 d", [403], 7 * DAY - 900, 300),
    ("unverified from 7 d on", [403], 7 * DAY, 1800),
    ("declared", [403, "verified"], HOUR - 180, 25),
    ("propagating after that", [403, "verified"], HOUR, 180),
    ("propagating until 48 h", [403, "verified"], 48 * HOUR - 600, 180),
    ("propagating from 48 h on", [403, "verified"], 48 * HOUR, 1800),
    ("sibling opened", [403, "wait", "sibling"], HOUR - 180, 25),
    ("propagating by a sibling", [403, "wait", "sibling"], HOUR, 180),
    ("first light and refused", [403, "wait", 200, 403], 0, 25),
    ("relapse", [403, 200, 200, "wait", 403, 403, 403], 0, 25),
    ("available and refused", [403, 200, 200, 403], 0, 60),
    ("available and refused twice", [403, 200, 200, 403, 403], 0, 60),
    ("available and no answer", [403, 200, 200, *[500] * 9], 0, 60),
    ("locked by answers", [403, 423, 423], 0, 6 * HOUR),
    ("locked by a person", [403, "rejected"], 3 * DAY, 6 * HOUR),
    ("blocked", [402, 402], 0, 900),
    ("blocked", [403, "wait", 402, 402, 402], 0, 900),
    ("blocked while available", [200, 200, 402, 402], 0, 900),
    ("blocked while propagating", [403, "verified", 402, 402], 0, 25),
    ("blocked while propagating", [403, "verified", "wait", 402, 402], 0, 180),
    ("invalid key", [401], 0, 900),
    ("invalid key", [401, 401, 401], 0, 3600),
    ("invalid key", [401] * 20, 0, DAY),
    ("invalid key while propagating", [403, "verified", "wait", *[401] * 20], 0, 180),
    ("inconclusive, doubled", [403, "wait", *[500] * 20], 0, 300),
    ("inconclusive in the first hour", [403, *[500] * 20], 0, 25),
]


@pytest.mark.parametrize(("row", "before", "since", "seconds"), TABLE)
def test_the_table_of_intervals(story, row, before, since, seconds):
    for one in before:
        match one:
            case "wait":
                story.wait(2 * HOUR)
            case "sibling":
                story.sibling()
            case str():
                story.declares(one)
            case _:
                story.answers(one)
    story.wait(since)
    assert every(story) == (timedelta(seconds=seconds), ProbeKind.FULL), row


def test_past_its_shutdown_a_blocked_model_is_probed_weekly_unless_it_propagates(story, new_story):
    past = date(2026, 10, 23)
    assert every(story.answers(403, 404, 404), shutdown=past)[0] == timedelta(days=7)
    hopeful = new_story().answers(403).declares("verified").wait(2 * HOUR).answers(404, 404)
    assert every(hopeful, shutdown=past)[0] == timedelta(minutes=3)


def test_a_deactivated_account_doubles_too_and_two_blockers_that_alternate_stay_where_they_are(
    story,
):
    for _ in range(9):
        story.apply(Answered(Code.ACCOUNT_DEACTIVATED))
    assert every(story)[0] == timedelta(hours=24)
    story.answers(402, 402)
    assert every(story)[0] == timedelta(minutes=15)


def test_a_plan_says_what_made_it_later_than_the_situation_asks(story):
    story.answers(403)
    assert plan(story).held_by is None
    assert plan(story, over_budget=True).held_by is Hold.BUDGET
    assert plan(story, retry_after=1.0).held_by is None
    assert plan(story, retry_after=900.0).held_by is Hold.RETRY_AFTER


def test_locked_every_6_hours(story):
    assert every(story.answers(403).declares("rejected").wait(2 * HOUR))[0] == timedelta(hours=6)


def test_blocked_is_confirmed_soon_and_then_every_15_minutes(story):
    assert plan(story.answers(402, every=0)).at - story.now == timedelta(seconds=60)
    assert every(story.answers(402))[0] == timedelta(minutes=15)


def test_an_open_target_that_a_listing_blocked_is_asked_soon_after_one_that_is_answered(story):
    story.answers(200, 200)
    for _ in range(4):
        story.listing(Code.INVALID_CREDENTIALS)
    assert every(story)[0] == timedelta(hours=2)
    story.wait(60).listing(None)
    assert plan(story).at - story.now == timedelta(seconds=60)
    story.wait(60).listing(Code.RATE_LIMITED).answers(401)
    assert every(story)[0] == timedelta(hours=4)


def test_an_invalid_key_doubles_to_a_day(story):
    seen = [every(story.answers(401))[0] for _ in range(9)]
    assert seen[:3] == [timedelta(minutes=m) for m in (15, 30, 60)]
    assert seen[-1] == timedelta(hours=24)


def test_a_model_past_its_shutdown_is_probed_weekly(story):
    story.answers(404, 404)
    assert every(story, shutdown=date(2026, 10, 23))[0] == timedelta(days=7)
    assert every(story, shutdown=date(2027, 10, 23))[0] == timedelta(minutes=15)


def test_blocked_while_propagating_keeps_the_shorter_interval(story):
    story.answers(403).declares("verified").wait(2 * HOUR).answers(402, 402)
    assert every(story)[0] == timedelta(minutes=3)


def test_inconclusive_answers_double_from_30_seconds_to_the_situations_interval(story):
    story.answers(403).wait(2 * HOUR)
    waits = [plan(story.answers(500, every=0)).at - story.now for _ in range(4)]
    assert waits == [timedelta(seconds=s) for s in (30, 60, 120, 240)]
    story.answers(500, every=0)
    assert every(story)[0] == timedelta(minutes=5)


def test_never_earlier_than_the_server_asked(story):
    story.answers(403).answers(429, every=0)
    assert plan(story, retry_after=900.0).at == story.now + timedelta(seconds=900)


def test_for_want_of_money_a_target_that_waits_keeps_its_interval(story):
    story.answers(403)
    held = plan(story, over_budget=True)
    assert held.situation is Situation.OVER_BUDGET
    assert held.at == plan(story).at


def test_a_listing_that_was_answered_brings_a_full_probe_at_once(story):
    story.answers(403)
    held = plan(story, over_budget=True, at_once=True)
    assert (held.at, held.kind) == (story.now, ProbeKind.FULL)


def test_for_want_of_money_an_open_target_is_listed_as_ever(story):
    story.answers(200, 200, 403)
    held = plan(story, over_budget=True)
    assert held.situation is Situation.OVER_BUDGET
    assert held.at - story.now >= CADENCE.listing


def test_the_interval_of_full_probes_is_what_staleness_is_measured_by(story):
    story.answers(403, 200, 200)
    assert full_interval(story.memory, story.now, CADENCE) == CADENCE.full_probe


times = st.datetimes(datetime(2026, 1, 1), datetime(2027, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001


@given(times, st.floats(0, 0.999))
def test_the_next_point_of_the_grid_is_half_to_one_and_a_half_intervals_away(now, phase):
    memory = TargetState(since=now - timedelta(days=1))
    at = next_probe(memory, now, CADENCE, phase=phase).at
    tolerance = timedelta(milliseconds=1)
    assert CADENCE.unverified / 2 - tolerance <= at - now <= 1.5 * CADENCE.unverified + tolerance


def test_a_thousand_targets_spread_evenly_over_their_interval():
    now = datetime(2026, 11, 20, tzinfo=UTC)
    memory = TargetState(since=now - timedelta(days=1))
    plans = [
        next_probe(memory, now, CADENCE, phase=phase_of(f"key-{n}/m:chat")) for n in range(1000)
    ]
    buckets = [0] * 10
    for at in plans:
        offset = (at.at - now).total_seconds() % CADENCE.unverified.total_seconds()
        buckets[int(offset // 30)] += 1
    assert min(buckets) > 60


@pytest.mark.parametrize("code", [c for c in Code if not c.effect.conclusive])
def test_after_any_neutral_answer_there_is_a_next_probe(story, code):
    story.answers(403)
    story.apply(Answered(code))
    assert plan(story).at > story.now
