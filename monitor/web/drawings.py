"""Drawings as SVG, made on the server: a target's timeline, and the curve of waits. Pure.

Colours and patterns come from the style sheet, by class. A state also has a height of its own, so that it is
never told by colour alone.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from html import escape
from itertools import chain
from operator import attrgetter
from typing import NamedTuple

from markupsafe import Markup

from monitor.access.wait_times import Step, share_by
from monitor.access.words import State
from monitor.store.records import Declaration, TargetStatus
from monitor.store.target_queries import Timelines, Transition

#: The timeline's own units; the page stretches it.
_WIDE, _HIGH = 1000.0, 24.0
_HEIGHTS = {
    State.AVAILABLE: 24.0,
    State.PROPAGATING: 16.0,
    State.UNVERIFIED: 9.0,
    State.LOCKED: 12.0,
    State.UNKNOWN: 4.0,
}
#: Units between two declarations that are drawn: the width of their mark.
_MARK = 12.0
#: The gaps without a daemon, in the one timeline of a page that draws them.
_GAPS = "gaps"
#: The shortest time that a timeline shows.
_SHORTEST = timedelta(minutes=1)

_CURVE_WIDE, _CURVE_HIGH, _LEFT, _BELOW = 640.0, 240.0, 44.0, 32.0


class Span(NamedTuple):
    """A stretch of time in which a target was in one state."""

    state: State
    start: datetime
    end: datetime


@dataclass(frozen=True, slots=True)
class Axis:
    """The time that is drawn, from `start` to `end` (UTC)."""

    start: datetime
    end: datetime

    def x(self, at: datetime) -> float:
        """The place of a time, 0 to 1000; what is outside is at the edge."""
        if at <= self.start:
            return 0.0
        if at >= self.end:
            return _WIDE
        return round((at - self.start) / (self.end - self.start) * _WIDE, 1)

    def ticks(self) -> list[tuple[float, str]]:
        """Places in percent, and words, for the axis: at round times."""
        length = self.end - self.start
        step = next((step for step in _STEPS if length / step <= 7), _STEPS[-1])
        form = "%H:%M:%S" if step < _MINUTE else "%H:%M" if step < _DAY else "%d %b"
        midnight = self.start.replace(hour=0, minute=0, second=0, microsecond=0)
        at = midnight + math.ceil((self.start - midnight) / step) * step
        made = []
        while at <= self.end:
            made.append((self.x(at) / 10, f"{at:{form}}"))
            at += step
        # words are as wide as a seventh of the narrowest axis: at the ends there is no room for half of them
        return [tick for tick in made if 7 <= tick[0] <= 93]


_MINUTE, _DAY = timedelta(minutes=1), timedelta(days=1)
_STEPS = tuple(
    timedelta(seconds=seconds)
    for seconds in (10, 30, 60, 300, 900, 3600, 14_400, 86_400, 432_000, 1_296_000, 7_776_000)
)


def timeline(
    spans: Sequence[Span],
    axis: Axis,
    *,
    declarations: Iterable[Declaration] = (),
    gaps: str = "",
    finest: float = 0.5,
) -> str:
    """A target's states on a real time axis, with declarations and the gaps in which no daemon lived.

    `gaps` is what `gaps_drawn` made, or a use of it. What is narrower than `finest` (of 1000 units) cannot be
    seen, and is drawn as a part of what follows: thousands of changes must not make a page of megabytes.
    """
    places: dict[State, list[str]] = {}
    begun, reached, end = None, axis.start, 0.0
    narrow = finest / _WIDE * (axis.end - axis.start)
    for number, one in enumerate(spans, 1):
        state, start, until = one
        begun = start if begun is None else begun
        is_last = number == len(spans)
        if until - begun < narrow and not is_last:
            continue
        x, end = end if begun == reached else axis.x(begun), axis.x(until)
        reached = until
        if is_last:  # the present one is seen however short it is
            x = max(min(x, end - finest), 0.0)
        high = _HEIGHTS[state]
        rectangle = f"M{x:g} {_HIGH - high:g}h{end - x:.4g}v{high:g}H{x:g}z"
        places.setdefault(state, []).append(rectangle)
        begun = None
    parts = [
        f'<path class="s-{state}" d="{"".join(rectangles)}"/>'
        for state, rectangles in places.items()
    ]
    parts.append(gaps)
    last = -_MARK
    for told in declarations:
        x = axis.x(told.at)
        if axis.start <= told.at <= axis.end and x - last >= _MARK:
            last = x
            parts.append(
                f'<path class="mark" d="M{x} 0v24m-6 -24h12l-6 7z"><title>{told.kind}</title></path>'
            )
    said = escape(in_words(spans))
    return (
        f'<svg class="timeline" viewBox="0 0 1000 24" preserveAspectRatio="none" role="img"'
        f' aria-label="{said}">{"".join(parts)}</svg>'
    )


def gaps_drawn(gaps: Iterable[tuple[datetime, datetime]], axis: Axis) -> str:
    """The stretches of time without a daemon: drawn once, and used by the other timelines of the page."""
    places, reached = [], 0.0
    for start, end in gaps:
        x, width = axis.x(start), axis.x(end) - axis.x(start)
        if width > 0 and x + width > reached:
            x, width = max(x, reached), max(width, 1.0)
            reached = x + width
            places.append(f"M{x:g} 0h{width:.4g}v24H{x:g}z")
    return f'<path id="{_GAPS}" class="gap" d="{"".join(places)}"/>' if places else ""


def in_words(spans: Sequence[Span]) -> str:
    """The timeline for who cannot see it: the last few states."""
    if not spans:
        return "nothing is known of this time"
    last = [f"{one.state} from {one.start:%Y-%m-%d %H:%M} UTC" for one in spans[-3:]]
    more = f"{len(spans) - 3} earlier changes, then " if len(spans) > 3 else ""
    return more + ", then ".join(last)


class Drawer:
    """Draws the timelines of one page. Its gaps without a daemon are drawn in the first only."""

    def __init__(
        self, lines: Timelines, since: datetime, now: datetime, *, finest: float = 0.5
    ) -> None:
        self._lines = lines
        self._finest = finest
        #: up to now, and not from before anything was recorded
        self.axis = Axis(max(since, min(lines.began or since, now - _SHORTEST)), now)
        self._gaps = gaps_drawn(lines.gaps, self.axis)

    def draw(self, status: TargetStatus) -> Markup:
        """A target's timeline as SVG."""
        lines, gaps = self._lines, self._gaps
        spans = _spans(
            lines.changes[status.target], status.state, status.since, self.axis, lines.began
        )
        ours = [lines.declared.get(name or "", ()) for name in (status.organization, status.key)]
        if gaps:
            self._gaps = f'<use href="#{_GAPS}"/>'
        made = timeline(
            spans, self.axis, gaps=gaps, finest=self._finest,
            declarations=sorted(chain(*ours), key=attrgetter("at")),
        )  # fmt: skip
        return Markup(made)  # noqa: S704  made of figures and words of ours


def _spans(
    transitions: Sequence[Transition],
    state: State,
    since: datetime,
    axis: Axis,
    began: datetime | None,
) -> list[Span]:
    """Before the first transition it was in the state that this one ended.

    Nothing is known of the time before `began`. A target that starts anew, over another route, has no
    transition to its first state.
    """
    if not transitions:
        return [Span(state, max(since, axis.start), axis.end)]
    if since > transitions[-1].at and state is not transitions[-1].after:
        transitions = [*transitions, Transition(since, None, state)]
    found: list[Span] = []
    first = transitions[0]
    known = max(axis.start, began or axis.start)
    if first.before and first.at > known:
        found.append(Span(first.before, known, first.at))
    for one, following in zip(transitions, [*transitions[1:], None], strict=True):
        end = following.at if following else axis.end
        if end > axis.start:
            found.append(Span(one.after, max(one.at, axis.start), end))
    return found


def curve(steps: Sequence[Step], waiting: Sequence[float], label: str) -> str:
    """The share that has opened by each wait (Kaplan and Meier), with who still waits marked on it.

    The axis of waits is logarithmic: minutes and days stand beside each other.
    """
    longest = max([step.wait for step in steps] + [*waiting, 60.0])

    def x(wait: float) -> float:
        part = math.log1p(wait / 20) / math.log1p(longest / 20)
        return _LEFT + part * (_CURVE_WIDE - _LEFT - 24)

    # places to a tenth of a unit: of thousands of openings each is drawn once
    heights = {f"{x(step.wait):.1f}": f"{_y(step.share):.1f}" for step in steps}
    line = [f"M{x(0):.1f} {_y(0):.1f}"]
    line += [f"H{place}V{height}" for place, height in heights.items()]
    line.append(f"H{x(longest):.1f}")
    marked = {f"{x(wait):.1f}": share_by(wait, steps) for wait in waiting}
    ticks = "".join(f"M{place} {_y(share) - 6:.1f}v12" for place, share in marked.items())
    grid = [
        f'<path class="grid" d="M{_LEFT} {_y(part):.1f}H{_CURVE_WIDE}"/>'
        f'<text x="{_LEFT - 6}" y="{_y(part) + 4:.1f}" text-anchor="end">{part:.0%}</text>'
        for part in (0.0, 0.25, 0.5, 0.75, 1.0)
    ] + [
        f'<path class="grid" d="M{x(at):.1f} {_y(0):.1f}V{_y(1):.1f}"/>'
        f'<text x="{x(at):.1f}" y="{_CURVE_HIGH - 12}" text-anchor="middle">{words}</text>'
        for at, words in _WAIT_TICKS
        if at <= longest * 1.2
    ]
    return (
        f'<svg class="curve" viewBox="0 0 {_CURVE_WIDE:g} {_CURVE_HIGH:g}" role="img"'
        f' aria-label="{escape(label)}">{"".join(grid)}<path class="line" d="{"".join(line)}"/>'
        f'<path class="waiting" d="{ticks}"/></svg>'
    )


_WAIT_TICKS = (
    (60.0, "1 min"), (300.0, "5 min"), (900.0, "15 min"), (3600.0, "1 h"), (14_400.0, "4 h"),
    (86_400.0, "1 d"), (604_800.0, "7 d"), (2_592_000.0, "30 d"),
)  # fmt: skip


def _y(share: float) -> float:
    return 8 + (1 - share) * (_CURVE_HIGH - _BELOW - 8)
