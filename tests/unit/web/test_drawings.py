"""Timelines and curves: exact where it can be seen, and never megabytes."""

import re
from datetime import UTC, datetime, timedelta
from itertools import chain, pairwise

import pytest

from monitor.access.wait_times import curve_of
from monitor.access.words import DeclarationKind, State
from monitor.store.records import Declaration
from monitor.web.drawings import Axis, Span, curve, gaps_drawn, timeline

END = datetime(2026, 11, 20, tzinfo=UTC)
AXIS = Axis(END - timedelta(days=90), END)


def at(share):
    """The time at this share of the axis."""
    return AXIS.start + (AXIS.end - AXIS.start) * share


def alternating(count):
    """So many changes between two states, evenly over the axis."""
    states = (State.UNVERIFIED, State.AVAILABLE)
    return [Span(states[n % 2], at(n / count), at((n + 1) / count)) for n in range(count)]


def rectangles(drawing):
    """Each state's rectangles: from where, and how wide."""
    return {
        state: [(float(x), float(width)) for x, width in re.findall(r"M([\d.]+) \d+h([\d.]+)", d)]
        for state, d in re.findall(r'class="s-(\w+)" d="([^"]*)"', drawing)
    }


def test_each_stretch_is_where_it_was():
    drawn = rectangles(timeline(alternating(4), AXIS))
    assert drawn == {"unverified": [(0, 250), (500, 250)], "available": [(250, 250), (750, 250)]}


@pytest.mark.parametrize(("finest", "most"), [(0.5, 70_000), (2.0, 20_000)])
def test_however_often_a_target_changes_its_timeline_has_no_hole_and_a_bounded_size(finest, most):
    drawing = timeline(alternating(50_000), AXIS, finest=finest)
    assert len(drawing) < most
    reached = 0.0
    for x, width in sorted(chain(*rectangles(drawing).values())):
        assert x == pytest.approx(reached, abs=finest + 0.1)
        reached = x + width
    assert reached == pytest.approx(1000, abs=0.11)


def test_what_came_last_is_seen_however_short():
    spans = [
        Span(State.UNVERIFIED, AXIS.start, END - timedelta(minutes=2)),
        Span(State.AVAILABLE, END - timedelta(minutes=2), END),
    ]
    assert "available" in rectangles(timeline(spans, AXIS, finest=2.0))


def test_words_of_the_axis_keep_a_distance_to_each_other_and_to_the_ends():
    for seconds in range(60, 400, 7):
        places = [place for place, _ in Axis(END - timedelta(seconds=seconds), END).ticks()]
        assert places
        assert all(7 <= place <= 93 for place in places)
        assert all(after - before > 14 for before, after in pairwise(places))


def test_declarations_and_gaps_that_would_hide_each_other_are_drawn_once():
    often = [at(n / 5_000) for n in range(5_000)]
    declared = [Declaration(0, DeclarationKind.VERIFIED, "org-acme", one, "page") for one in often]
    assert timeline([], AXIS, declarations=declared).count("<title>") == pytest.approx(
        1000 / 12, abs=2
    )
    gaps = gaps_drawn([(one, one + timedelta(minutes=20)) for one in often], AXIS)
    assert 900 < gaps.count("M") <= 1000
    assert len(gaps) < 30_000
    assert gaps_drawn([], AXIS) == ""


def test_the_curve_of_ten_thousand_openings_goes_through_the_same_places_in_less():
    waits = [60 * 1.001**n for n in range(10_000)]
    drawing = curve(curve_of(waits, waits[::2]), waits[::2], "all")
    assert len(drawing) < 150_000
    assert drawing.count('class="waiting"') == 1
    few = curve(curve_of([60, 600], [600]), [600], "few")
    assert re.search(r'class="waiting" d="M[\d.]+ [\d.]+v12"', few)
