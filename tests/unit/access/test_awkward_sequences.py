"""Stories that people have met, each named after itself."""

from dataclasses import replace
from datetime import date, timedelta

import pytest

from monitor.access.holds import Fate, Need
from monitor.access.limits import Budget
from monitor.access.memory import ClockStep
from monitor.access.spending import BudgetLedger
from monitor.access.wait_times import Began, started
from monitor.access.words import Code, Hold

DAY = 86400


def test_403_200_403_200_200(story):
    story.answers(403, 200, 403, 200, 200)
    assert story.events == ["unverified", "first_light", "available"]
    assert story.moves == [
        ("unknown", "unverified"),
        ("unverified", "propagating"),
        ("propagating", "available"),
    ]


def test_200_at_first_probe(story):
    story.answers(200, 200)
    assert story.events == ["baseline"]
    assert not story.memory.gated_seen


def test_missing_model_then_200(story):
    story.answers(404, 404)
    assert (story.state, story.events) == ("unknown", ["blocked"])
    story.answers(200, 200)
    assert story.events == ["blocked", "unblocked", "first_light", "available"]


def test_restart_between_the_two_granted_answers(story):
    story.answers(403, 200).restarts().answers(200)
    assert story.state == "available"
    assert story.events.count("first_light") == 1


def test_budget_gone_while_settling():
    """What others lose leaves the confirmations: two prices of the key's day."""
    day, price = date(2026, 11, 20), 0.01
    ledger = BudgetLedger(Budget(per_key_per_day=0.05, per_month=5))
    for name in ("settling", "other"):
        ledger.register(name, "acme", price, waiting=True, every=timedelta(days=1))
    while found := ledger.reserve("other", "acme", day, price, Need.WAITING):
        ledger.settle(found[0], None, Fate.KEPT)
    for _ in range(2):
        found = ledger.reserve("settling", "acme", day, price, Need.ANSWERED)
        assert found
        ledger.settle(found[0], price, Fate.BOOKED)
    assert ledger.committed("acme", day) == pytest.approx(0.05)


def test_rejected_declared_for_an_organization_with_one_open_and_one_gated_target(new_story):
    opened = new_story().answers(403, 200, 200).declares("rejected")
    gated = new_story().answers(403).declares("rejected")
    assert (opened.state, gated.state) == ("available", "locked")
    assert opened.events[-1] == "available"


def test_declared_eight_days_ago(story):
    story.declares("verified", ago=8 * DAY).answers(403)
    assert (story.state, story.events) == ("unverified", ["unverified"])
    story.declares("verified", ago=8 * DAY)
    assert (story.state, story.events) == ("unverified", ["unverified"])


def test_404_404_then_gated(story):
    story.answers(404, 404, 403)
    assert story.state == "unverified"
    assert story.events == ["blocked", "unblocked", "unverified"]
    assert story.memory.blocker is None


def test_a_wall_clock_step_while_propagating(story):
    story.answers(403).declares("verified", ago=0)
    story.answers(403, 200, every=1)
    declared = story.memory.declared_at
    step = timedelta(hours=1)
    story.memory = story.memory.shifted(ClockStep(step, story.now - timedelta(days=1), story.now))
    story.now += step
    # one second passed in truth: the span must not have grown by the step
    story.answers(200)
    assert story.state == "propagating"
    assert story.memory.declared_at == declared
    story.answers(200)
    assert story.state == "available"


def test_a_backward_step_while_settling_does_not_hold_it_up(story):
    story.answers(403, 200)
    step = timedelta(hours=-1)
    story.memory = story.memory.shifted(ClockStep(step, story.now - timedelta(days=1), story.now))
    story.now += step
    assert story.answers(200).state == "available"


def test_what_a_run_before_measured_by_the_right_clock_stays_when_an_old_one_is_corrected(story):
    story.answers(403, 403)
    before = story.memory
    booted = story.now
    story.answers(403)
    moved = story.memory.shifted(ClockStep(timedelta(days=3), booted, story.now))
    assert (moved.since, moved.streak.first) == (before.since, before.streak.first)
    assert (
        moved.streak.last - timedelta(days=3) == moved.conclusive_at - timedelta(days=3) == booted
    )


@pytest.mark.parametrize("behind", [timedelta(days=1.5), timedelta(days=20000)])
def test_what_a_run_before_measured_stays_too_when_the_machine_boots_with_an_older_clock(
    story, behind
):
    story.answers(200, 200)
    before, right = story.memory, story.now
    story.now -= behind
    booted = story.now
    story.answers(500)
    due = story.now + timedelta(seconds=30)
    memory = replace(story.memory, next_probe_at=due)
    moved = memory.shifted(ClockStep(behind, booted, story.now))
    assert (moved.since, moved.opened_at, moved.streak) == (
        before.since, before.opened_at, before.streak,
    )  # fmt: skip
    assert moved.conclusive_at == before.conclusive_at
    assert moved.last_full_at == right
    assert moved.next_probe_at == due + behind


def test_a_wait_that_a_server_asked_a_run_before_for_stays_when_an_old_clock_is_corrected(story):
    story.answers(429)
    due = story.now + timedelta(hours=1)
    memory = replace(story.memory, next_probe_at=due, held_by=Hold.RETRY_AFTER)
    booted, year = story.now - timedelta(days=365), timedelta(days=365)
    assert memory.shifted(ClockStep(year, booted, booted)).next_probe_at == due
    assert memory.shifted(ClockStep(year, story.now, story.now)).next_probe_at == due + year


def test_an_invalid_key_is_told_at_once_and_others_when_seen_twice(story, new_story):
    assert story.answers(401).events == ["blocked"]
    assert new_story().answers(402).events == []
    assert new_story().answers(402, 402).events == ["blocked"]
    assert new_story().answers(402, 404).events == []
    assert new_story().answers(402, 500, 402).events == ["blocked"]


def test_two_blockers_that_alternate_are_both_told_and_each_once(story):
    story.answers(402, 404, 402, 404, 402, 404, 402)
    assert story.events == ["blocked", "blocked"]
    assert story.memory.blocker is Code.QUOTA_EXHAUSTED
    story.answers(403)
    assert story.events == ["blocked", "blocked", "unblocked", "unverified"]
    assert story.last.events[0].facts["blockers"] == [Code.MODEL_UNAVAILABLE]
    story.answers(402, 402)
    assert story.events[-1] == "blocked"


def test_of_three_blockers_that_take_turns_each_is_told(story):
    story.answers(*[402, 404, 401] * 4)
    assert story.events == ["blocked"] * 3


def test_a_light_that_went_out_leaves_no_wait_that_nobody_knows_the_start_of(story):
    story.answers(403, 200, 403, 403, 403, 200)
    assert started(story.memory)[0] is Began.AGAIN


def test_after_a_declaration_the_wait_goes_on_when_the_light_goes_out(story):
    story.answers(403).declares("verified").answers(403, 200, 403, 403, 403, 200)
    assert started(story.memory) == (Began.DECLARED, story.memory.declared_at)


def test_three_answers_without_the_word_are_told_once_until_something_conclusive_comes(story):
    story.answers(403).unproven(2)
    assert story.events == ["unverified"]
    story.answers(500, 402).unproven()
    assert story.told[-1] == ("unproven", "answered_unproven")
    story.unproven(20)
    assert story.events.count("unproven") == 1
    story.answers(403).unproven(3)
    assert story.events.count("unproven") == 2
    assert story.state == "unverified"


def test_an_open_target_whose_answers_no_longer_prove_it_is_told_of_and_stays(story):
    story.answers(200, 200).unproven(3)
    assert (story.state, story.events) == ("available", ["baseline", "unproven"])


def test_overdue_is_told_at_each_deadline_and_only_the_latest_that_is_due(story):
    story.answers(403).declares("verified").answers(403, every=0)
    story.wait(44 * 60).answers(403, every=0).passes_time()
    assert "overdue" not in story.events
    story.wait(60).answers(403, every=0).passes_time().passes_time()
    assert story.events.count("overdue") == 1
    story.wait(25 * 3600).answers(403, every=0).passes_time().passes_time()
    assert story.events.count("overdue") == 2
    assert story.last.events == ()
    assert story.memory.overdue_told == 3


def test_after_a_pause_nothing_is_overdue_or_given_up_before_an_answer(story):
    story.answers(403).declares("verified").answers(403).wait(8 * 86_400).restarts().passes_time()
    assert (story.state, "overdue" in story.events) == ("propagating", False)
    story.answers(200, every=0).passes_time()
    assert (story.state, story.events[-1]) == ("propagating", "first_light")


def test_nothing_is_overdue_while_something_else_is_in_the_way(story):
    story.answers(403).declares("verified").wait(50 * 60).answers(402, 402, every=0).passes_time()
    assert (story.memory.blocker, "overdue" in story.events) == ("quota_exhausted", False)
    story.answers(403, every=0).passes_time()
    assert story.last.events[-1].facts["probes"] == 2


def test_what_opens_after_it_was_told_as_stale_or_declared_is_told(story, new_story):
    story.answers(500).wait(3600).passes_time()
    assert story.answers(200, 200, 200).told == [
        ("stale", "nothing_conclusive"), ("first_light", "first_granted"), ("available", "settled"),
    ]  # fmt: skip
    declared = new_story().answers(500).declares("verified").answers(200, 200, 200)
    assert declared.events[-2:] == ["first_light", "available"]
    long_ago = new_story().declares("verified", ago=30 * 86_400).answers(200, 200, 200)
    assert long_ago.events == ["baseline"]


def test_a_relapse_is_overdue_since_it_and_not_since_the_declaration(story):
    story.answers(403).declares("verified").answers(403, 200, 200, every=120)
    refused = story.now
    story.answers(403, 403, 403, every=20).restarts().wait(45 * 60).answers(
        403, every=0
    ).passes_time()
    (overdue,) = (event for event in story.last.events if event.kind == "overdue")
    assert overdue.facts == {
        "deadline_s": 2700.0,
        "waited_s": 2720.0,
        "refused_since": refused.isoformat(),
        "probes": 4,
    }


def test_a_light_that_went_out_is_told_with_the_wait_since_the_declaration(story):
    story.answers(403).declares("verified", ago=0).answers(403, 200, every=120)
    refused = story.now
    story.answers(403, 403, every=45 * 60).passes_time()
    overdue = next(event for event in story.last.events if event.kind == "overdue")
    assert overdue.facts["refused_since"] == refused.isoformat()
    assert overdue.facts["declared_at"]
    assert overdue.facts["probes"] == 2


def test_a_wait_that_is_given_up_after_a_relapse_says_so(story):
    story.answers(403).declares("verified").answers(403, 200, 200, every=120)
    refused = story.now
    story.answers(403, 403, 403, every=20).wait(8 * 86_400).answers(403, every=0).passes_time()
    given_up = next(event for event in story.last.events if event.reason == "gave_up")
    assert given_up.facts["refused_since"] == refused.isoformat()


def test_nothing_is_overdue_without_a_gated_answer(story):
    story.answers(403, 200, every=1).wait(50 * 60).passes_time()
    assert "overdue" not in story.events


def test_a_target_is_stale_once_until_something_conclusive_comes(story):
    interval = timedelta(minutes=5)
    story.answers(403, 500, 500)
    story.wait(1800).passes_time(interval=interval).passes_time(interval=interval)
    assert story.events.count("stale") == 1
    story.answers(403).wait(1800).passes_time(interval=interval)
    assert story.events.count("stale") == 2


def test_the_time_in_which_nobody_probed_is_not_staleness(story):
    story.answers(403).wait(5 * DAY).passes_time(watching_since=story.now)
    assert "stale" not in story.events


EVERY_5_MIN = timedelta(minutes=5)


def test_a_target_alone_without_an_answer_is_told_of_as_itself(story):
    story.answers(403, every=300).answers(*[500] * 6, every=300)
    answered = story.now - timedelta(seconds=20)
    story.passes_time(interval=EVERY_5_MIN, route_answered_at=answered)
    assert story.last.events[0].facts == {"staleness": "target", "waited_s": 2100.0}


def test_a_route_whose_last_answer_came_a_moment_later_is_waited_for_and_told_of_as_the_route(
    story,
):
    start = story.now
    story.answers(403, every=60)
    last = story.now
    story.answers(*[500] * 6, every=300)
    for at in range(29 * 60, 31 * 60 + 1, 20):
        story.now = start + timedelta(seconds=at)
        story.passes_time(interval=EVERY_5_MIN, route_answered_at=last)
    assert story.told[-1] == ("stale", "nothing_conclusive")
    assert story.last.events[0].facts["staleness"] == "route"
    assert story.events.count("stale") == 1


def test_a_target_stale_with_its_route_and_still_when_the_route_answers_is_told_once_more(story):
    story.answers(403).answers(*[500] * 30)
    story.passes_time(interval=EVERY_5_MIN)
    assert story.events.count("stale") == 1
    again = story.now
    for _ in range(40):
        story.answers(500, every=120)
        story.passes_time(interval=EVERY_5_MIN, watching_since=again, route_answered_at=story.now)
        late = (story.now - again).total_seconds()
        assert story.events.count("stale") == (2 if late >= 1800 else 1)


def test_an_open_target_asked_once_a_day_is_stale_only_from_its_first_failure_on(story):
    story.answers(200, 200).wait(DAY).answers(500)
    story.passes_time(interval=timedelta(minutes=1))
    assert "stale" not in story.events
    story.wait(1800).passes_time(interval=timedelta(minutes=1))
    assert story.events[-1] == "stale"


def test_what_grows_stale_within_its_next_interval_is_told_with_the_others(story):
    story.answers(403).answers(*[500] * 26)
    passed = {"interval": EVERY_5_MIN, "route_answered_at": story.now}
    assert story.passes_time(**passed).events == ["unverified"]
    assert story.passes_time(among_others=True, **passed).events[-1] == "stale"


def test_a_blocker_explains_the_staleness(story):
    story.answers(402, 402).wait(DAY).passes_time()
    assert "stale" not in story.events


@pytest.mark.parametrize("before", [(200, 200), (403,), (403, 500)])
def test_what_the_budget_holds_is_not_stale_while_its_listings_are_answered(story, before):
    story.answers(*before)
    story.memory = replace(story.memory, held_by=Hold.BUDGET)
    for _ in range(10):
        story.listing(None).wait(600).passes_time(interval=EVERY_5_MIN, route_answered_at=story.now)
    assert "stale" not in story.events
    for _ in range(3):
        story.listing(Code.SERVER_ERROR).wait(600).passes_time(interval=EVERY_5_MIN)
    assert story.events.count("stale") == 1


def test_a_retiring_model_is_told_near_its_end_and_past_it(story):
    end = date(2026, 12, 11)
    assert story.passes_time(shutdown=end).events == []
    story.wait(7 * DAY).passes_time(shutdown=end).passes_time(shutdown=end)
    story.wait(14 * DAY).passes_time(shutdown=end).passes_time(shutdown=end)
    retiring = [told for told in story.told if told[0] == "retiring"]
    assert retiring == [("retiring", "shutdown_near"), ("retiring", "shutdown_past")]


def test_a_shutdown_that_is_put_off_is_warned_of_again(story):
    near, later = date(2026, 12, 1), date(2027, 12, 1)
    story.passes_time(shutdown=near).restarts().passes_time(shutdown=later)
    assert story.events == ["retiring"]
    story.wait(370 * DAY).passes_time(shutdown=later).restarts().passes_time(shutdown=later)
    story.wait(9 * DAY).passes_time(shutdown=later)
    retiring = [reason for kind, reason in story.told if kind == "retiring"]
    assert retiring == ["shutdown_near", "shutdown_near", "shutdown_past"]


def test_a_listing_says_nothing_of_the_gate(story):
    story.answers(403).listing(None).listing(Code.ACCESS_GRANTED)
    assert (story.state, story.events) == ("unverified", ["unverified"])


def test_a_key_that_may_not_list_models_is_not_blocked_by_a_listing(story):
    story.answers(403, 200, 200)
    for _ in range(3):
        story.listing(Code.MISSING_SCOPE)
    assert story.memory.blocker is None
    story.listing(Code.INVALID_CREDENTIALS)
    assert story.events[-1] == "blocked"
