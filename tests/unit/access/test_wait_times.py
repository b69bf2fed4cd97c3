"""Propagation records, and the statistics of waits."""

from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.access.events import Answered
from monitor.access.states import advance
from monitor.access.target import Capability, Target
from monitor.access.wait_times import (
    Began,
    OngoingWait,
    Opening,
    Samples,
    curve_of,
    opening_of,
    percentile,
    share_by,
    typical_wait,
    under,
    waiting_of,
)
from monitor.access.words import Code, Contract, Surface

TARGET = Target(
    key="acme-prod",
    capability=Capability("gpt-image-2", Surface.IMAGES),
    route="openai",
    contract=Contract.DIRECT,
    organization="org-acme",
)


def record(story, *, cost=0.0):
    """The record that the next granted answer makes, if it does."""
    before = story.memory
    story.restarts()
    decision = advance(story.memory, Answered(Code.ACCESS_GRANTED, cost_usd=cost), story.now)
    story.memory = decision.memory
    return opening_of(TARGET, before, decision, story.now)


def test_a_declared_opening_with_flicker_leaves_a_full_record(story):
    story.answers(403).wait(600)
    story.declares("verified", ago=300)
    declared_at = story.now - timedelta(seconds=300)
    story.answers(403, 403, 500)
    light = story.now
    assert record(story.wait(0), cost=0.001) is None
    story.wait(60).answers(403, 403)
    assert record(story, cost=0.001) is None
    opening = record(story.wait(60), cost=0.002)
    assert opening == Opening(
        target="acme-prod/gpt-image-2:images",
        contract=Contract.DIRECT,
        route="openai",
        organization="org-acme",
        scope="org-acme",
        model="gpt-image-2",
        surface=Surface.IMAGES,
        began=Began.DECLARED,
        declared_at=declared_at,
        started_at=declared_at,
        first_light_at=light,
        settled_at=story.now,
        probes=8,
        cost_usd=pytest.approx(0.004),
        flickers=1,
    )
    assert opening.wait_s == 480


def test_without_a_declaration_a_wait_begins_with_the_siblings_opening(story):
    story.answers(403).wait(600).sibling()
    began = story.now
    story.wait(120)
    record(story)
    opening = record(story.wait(60))
    assert (opening.began, opening.started_at, opening.wait_s) == (Began.SIBLING, began, 120)


def test_nobody_knows_how_long_an_undeclared_opening_took(story):
    story.answers(403)
    record(story)
    opening = record(story.wait(60))
    assert (opening.began, opening.started_at, opening.wait_s) == (Began.UNSEEN, None, None)
    assert opening.probes == 2


def test_a_reopening_is_no_second_wait_for_the_verification(story):
    story.answers(403).declares("verified").answers(200, 200).wait(600).answers(403, 403, 403)
    assert waiting_of(TARGET, story.memory, story.now) is None
    record(story)
    again = record(story.wait(60))
    assert (again.began, again.declared_at) == (Began.AGAIN, None)


def test_after_giving_up_it_still_counts_as_waiting_and_then_as_one_long_wait(story):
    story.answers(403).declares("verified").wait(8 * 86400).answers(403).passes_time()
    assert story.state == "unverified"
    waiting = waiting_of(TARGET, story.memory, story.now)
    assert waiting.wait_s > 8 * 86400
    record(story)
    assert record(story.wait(60)).wait_s > 8 * 86400


def test_who_does_not_wait_is_not_counted(story, new_story):
    assert waiting_of(TARGET, story.memory, story.now) is None
    assert waiting_of(TARGET, story.answers(403).memory, story.now) is None
    rejected = story.declares("verified").declares("rejected")
    assert waiting_of(TARGET, rejected.memory, story.now) is None
    open_ = new_story().answers(200, 200)
    assert waiting_of(TARGET, open_.memory, open_.now) is None


def test_baseline_is_no_opening(story):
    assert record(story) is None
    assert record(story.wait(60)) is None
    assert story.state == "available"


@pytest.mark.parametrize(
    ("share", "waits", "still", "wanted"),
    [
        (0.5, [10, 20, 30, 40], [], 20),
        (0.5, [10, 20, 30], [], 20),
        (0.75, [10, 20, 30, 40], [], 30),
        # textbook case: 6, 6, 6, 6+, 7, 9+, 10, 10+, 11+, 13, 16 … of Freireich's trial, 6-MP arm
        (
            0.5,
            [6, 6, 6, 7, 10, 13, 16, 22, 23],
            [6, 9, 10, 11, 17, 19, 20, 25, 32, 32, 34, 35],
            23,
        ),
        (
            0.25,
            [6, 6, 6, 7, 10, 13, 16, 22, 23],
            [6, 9, 10, 11, 17, 19, 20, 25, 32, 32, 34, 35],
            13,
        ),
        (0.5, [10, 20], [30, 30, 30], None),
        (0.5, [10, 20], [5, 5, 5], 10),
        (0.5, [], [5], None),
        (0.5, [], [], None),
    ],
)
def test_percentiles_are_kaplan_and_meiers(share, waits, still, wanted):
    assert percentile(share, curve_of(waits, still)) == wanted


seconds = st.lists(st.integers(0, 10_000), max_size=30)


@given(seconds.filter(bool), seconds)
def test_leaving_out_who_still_waits_never_makes_the_median_longer(waits, still):
    steps = curve_of(waits, still)
    alone, proper = percentile(0.5, curve_of(waits, [])), percentile(0.5, steps)
    assert alone is not None
    assert proper is None or proper in waits
    assert proper is None or percentile(0.9, steps) in (None, *waits)
    late = [max(waits) + 1] * len(still)
    longer = percentile(0.5, curve_of(waits, late))
    assert longer is None or longer >= alone


def test_direct_and_provider_routes_are_never_put_together(story):
    story.answers(403).declares("verified").wait(600)
    record(story)
    direct = record(story.wait(60))
    relay = OngoingWait(
        "acme-relay/gpt-image-2:images", Contract.PROVIDER, "relay", None, "key acme-relay",
        "gpt-image-2", Surface.IMAGES, Began.SIBLING, story.now, 60.0,
    )  # fmt: skip
    found = list(Samples([direct, relay]).summaries())
    assert [(one.contract, one.model, one.openings, one.waiting) for one in found] == [
        ("direct", None, 1, 0),
        ("direct", "gpt-image-2", 1, 0),
        ("provider", None, 0, 1),
        ("provider", "gpt-image-2", 0, 1),
    ]
    assert [one.median_s for one in found] == [600, 600, None, None]
    assert typical_wait(Contract.DIRECT, Samples([direct] * 2 + [relay])) is None
    assert typical_wait(Contract.DIRECT, Samples([direct] * 3 + [relay])) == (600, 3)
    assert typical_wait(Contract.PROVIDER, Samples([direct] * 3 + [relay])) is None


def test_thousands_of_groups_are_summed_in_one_pass(story):
    """Each key of a pool is a group of its own: to go through all openings for each takes half a minute."""
    story.answers(403).declares("verified").wait(600)
    record(story)
    one = record(story.wait(60))
    many = [replace(one, scope=f"key pool-{number}") for number in range(40)]
    found = list(Samples(iter(many)).summaries())  # who went through it again would find nothing
    assert [(group.scope, group.openings) for group in found] == [
        (None, 40),
        *((scope, 1) for scope in sorted(one.scope for one in many)),
    ]


@given(
    st.lists(st.integers(0, 20).map(float)),
    st.lists(st.integers(0, 20).map(float)),
    st.integers(-1, 21),
)
def test_the_share_by_a_wait_is_that_of_the_last_step_before_it(waits, still, wait):
    steps = curve_of(waits, still)
    assert share_by(wait, steps) == max((one.share for one in steps if one.wait <= wait), default=0)


def test_under_is_rounded_up_so_that_it_is_true():
    assert [under(one) for one in (12.2, 60, 1011.5, 1020)] == [13, 60, 1020, 1020]
