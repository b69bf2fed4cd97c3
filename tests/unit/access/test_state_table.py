"""Each row of the state table, in its order, and that nothing else moves a state."""

from datetime import timedelta

import pytest

DAY = 86400


def test_row_1_an_unknown_target_that_is_gated_is_unverified(story):
    story.answers(403)
    assert (story.state, story.events, story.reasons) == ("unverified", ["unverified"], ["gated"])


def test_row_1_it_is_propagating_while_a_declaration_is_fresh(story):
    story.declares("verified", ago=600).answers(403)
    assert story.state == "propagating"
    assert story.told == [("propagating", "gated_after_declaration")]
    assert story.memory.clock_at == story.memory.declared_at


def test_row_2_open_at_first_probe_is_a_baseline_after_the_confirmations(story):
    story.answers(200)
    assert (story.state, story.events) == ("unknown", [])
    story.answers(200)
    assert (story.state, story.events) == ("available", ["baseline"])


@pytest.mark.parametrize("between", [[402], [402, 402], [401], [500, 402, 404]])
def test_row_2_what_was_in_the_way_after_the_first_granted_answer_opens_nothing(story, between):
    story.answers(200, *between, 200)
    assert (story.state, story.told[-1]) == ("available", ("baseline", "open_at_first_probe"))
    assert "first_light" not in story.events


@pytest.mark.parametrize("before", [[403], [403, 423, 423], [404], [404, 404], [402]])
def test_row_3_first_light_comes_with_the_first_granted_answer_and_once(story, before):
    story.answers(*before)
    story.told.clear()
    story.answers(200, every=1)
    assert story.state == "propagating"
    assert story.events.count("first_light") == 1
    story.answers(403, 200, every=1)
    assert story.events.count("first_light") == 1


def test_row_3_a_propagating_target_tells_first_light_without_changing_state(story):
    story.answers(403).declares("verified")
    moves = len(story.moves)
    story.answers(200, every=1)
    assert story.events[-1] == "first_light"
    assert len(story.moves) == moves


@pytest.mark.parametrize("refusals", [[403, 403, 403], [403, 500, 423, 402, 403], [423, 403, 423]])
def test_row_3_three_refusals_before_it_settled_are_told_and_the_next_light_again(story, refusals):
    story.answers(403, 200, *refusals[:-1], every=1)
    assert "shut_again" not in story.events
    story.answers(refusals[-1], every=1)
    assert story.told[-1] == ("shut_again", "refused_after_light")
    story.answers(403, 403, 403, 403, every=1)
    assert story.events.count("shut_again") == 1
    assert story.state == "propagating"
    story.answers(200, every=1)
    assert story.events.count("first_light") == 2
    story.answers(403, 403, 403, every=1)
    assert story.events.count("shut_again") == 2


def test_row_3_two_refusals_and_a_granted_answer_are_one_opening(story):
    story.answers(403, 200, 403, 403, 200, 403, 403, 200, every=1)
    assert story.events == ["unverified", "first_light"]


def test_row_3_who_was_told_of_the_light_is_told_that_it_went_out_when_it_is_locked_too(story):
    story.answers(403, 200, 423, 423, 423)
    assert story.events[-3:] == ["first_light", "locked", "shut_again"]


def test_row_4_what_has_settled_relapses_and_does_not_shut_again(story):
    story.answers(403, 200, 200, 403, 403, 403)
    assert story.events[-2:] == ["available", "propagating"]


def test_row_4_two_granted_over_the_span_settle(story):
    story.answers(403, 200, 200)
    assert story.told[-1] == ("available", "settled")


def test_row_4_not_within_less_than_the_span(story):
    story.answers(403)
    story.answers(200, 200, 200, 200, every=19)
    assert story.state == "propagating"
    story.answers(200)
    assert story.state == "available"


def test_row_4_a_refusal_between_starts_the_count_again(story):
    story.answers(403, 200, 403, 200)
    assert story.state == "propagating"
    story.answers(200)
    assert story.state == "available"


@pytest.mark.parametrize("refusals", [[403, 403, 403], [403, 423, 403], [423, 423, 423]])
def test_row_5_three_refusals_soon_after_opening_are_a_relapse(story, refusals):
    story.answers(403, 200, 200, *refusals)
    assert story.state == "propagating"
    assert story.told[-1] == ("propagating", "relapse")


def test_row_5_two_refusals_are_nothing(story):
    story.answers(403, 200, 200, 403, 403, 200, 403, 403)
    assert story.state == "available"


def test_row_5_a_day_after_opening_it_is_a_revocation(story):
    story.answers(403, 200, 200).wait(DAY).answers(403, 403, 403)
    assert story.state == "unverified"
    assert story.told[-1] == ("revoked", "revocation")


def test_row_5_a_target_never_seen_gated_before_is_revoked(story):
    story.answers(200, 200, 403, 403, 403)
    assert story.told == [("baseline", "open_at_first_probe"), ("revoked", "revocation")]


@pytest.mark.parametrize("before", [[], [403], [403, 200]])
def test_row_6_two_locked_answers_lock_any_but_available(story, before):
    story.answers(*before)
    story.answers(423)
    assert story.state != "locked"
    story.answers(423)
    assert (story.state, story.told[-1]) == ("locked", ("locked", "locked_by_answer"))


def test_row_6_neutral_answers_between_do_not_reset_the_count(story):
    story.answers(403, 423, 500, 402, 429, 423)
    assert story.state == "locked"


@pytest.mark.parametrize("before", [[], [403], [403, 200]])
def test_row_6_a_declared_rejection_locks_any_but_available(story, before):
    story.answers(*before).declares("rejected")
    assert (story.state, story.told[-1]) == ("locked", ("locked", "rejected_declared"))


def test_row_6_a_rejection_names_the_hour_of_the_next_try(story):
    story.answers(403).declares("rejected", ago=3600)
    hint = story.now - timedelta(hours=1) + timedelta(hours=24)
    assert story.last.events[0].facts["hint_at"] == hint.isoformat()


def test_row_6_an_available_target_is_not_touched(story):
    story.answers(403, 200, 200).declares("rejected")
    assert story.state == "available"


def test_row_7_three_gated_unlock_what_an_answer_locked(story):
    story.answers(403, 423, 423, 403, 403)
    assert story.state == "locked"
    story.answers(403)
    assert (story.state, story.told[-1]) == ("unverified", ("unverified", "unlocked_by_answers"))


def test_row_7_with_a_fresh_declaration_it_is_propagating(story):
    story.answers(403).declares("verified").answers(423, 423, 403, 403, 403)
    assert story.state == "propagating"


def test_row_7_what_a_person_declared_stays_locked(story):
    story.answers(403).declares("rejected").answers(403, 403, 403, 403)
    assert story.state == "locked"


@pytest.mark.parametrize("before", [[403], [403, 423, 423], [403, 200, 403]])
def test_row_8_a_declared_verification_starts_the_clock_at_its_time(story, before):
    story.answers(*before).declares("verified", ago=1000)
    assert story.state == "propagating"
    assert story.told[-1] == ("propagating", "verified_declared")
    assert story.memory.clock_at == story.now - timedelta(seconds=1000)


def test_row_9_cleared_takes_it_back(story):
    story.answers(403).declares("rejected").declares("cleared")
    assert (story.state, story.told[-1]) == ("unverified", ("unverified", "cleared_declared"))
    story.declares("verified").declares("cleared")
    assert (story.state, story.memory.declared_at) == ("unverified", None)


def test_row_10_a_siblings_opening_makes_an_unverified_target_propagating(story):
    story.answers(403).sibling()
    assert (story.state, story.told[-1]) == ("propagating", ("propagating", "sibling_opened"))


@pytest.mark.parametrize("before", [[], [403, 423, 423], [403, 200, 200]])
def test_row_10_moves_no_other_state(story, before):
    state = story.answers(*before).state
    assert story.sibling().state == state


def test_row_10_only_a_target_seen_gated_opens_its_siblings(story, new_story):
    assert story.answers(403).answers(200).last.opens_siblings
    assert not new_story().answers(404).answers(200).last.opens_siblings


def test_row_11_seven_days_without_opening_give_up(story):
    story.answers(403).declares("verified").wait(7 * DAY - 1).answers(403, every=0)
    assert story.passes_time().state == "propagating"
    assert story.wait(1).answers(403, every=0).passes_time().state == "unverified"
    assert story.told[-1] == ("unverified", "gave_up")


def test_row_11_not_while_granted_answers_come(story):
    story.answers(403, 200, every=1)
    assert story.wait(8 * DAY).passes_time().state == "propagating"
    story.answers(403)
    assert story.passes_time().state == "unverified"
