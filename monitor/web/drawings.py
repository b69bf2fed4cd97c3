"""Drawings as SVG, made on the server: a target's timeline, and the curve of waits. Pure.

Colours and patterns come from the style sheet, by class. A state also has a height of its own, so that it is
never told by colour alone.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from html import escape

from monitor.access.wait_times import Step
from monitor.access.words import DeclarationKind, State

#: The timeline's own units; the page stretches it.
_WIDE, _HIGH = 1000.0, 24.0
_HEIGHTS = {
    State.AVAILABLE: 24.0,
    State.PROPAGATING: 16.0,
    State.UNVERIFIED: 9.0,
    State.LOCKED: 12.0,
    State.UNKNOWN: 4.0,
}
#: Segments of one drawing; what is shorter than a pixel is left out before.
_SEGMENTS_MOST = 400

_CURVE_WIDE, _CURVE_HIGH, _LEFT, _BELOW = 640.0, 240.0, 44.0, 32.0


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch of time in which a target was in one state."""

    state: State
    start: datetime
    end: datetime


@dataclass(frozen=True, slots=True)
class Mark:
    """A declaration at a time."""

    kind: DeclarationKind
    at: datetime


@dataclass(frozen=True, slots=True)
class Axis:
    """The time that is drawn, from `start` to `end` (UTC)."""

    start: datetime
    end: datetime

    def x(self, at: datetime) -> float:
        """The place of a time, 0 to 1000; what is outside is at the edge."""
        share = (at - self.start) / (self.end - self.start)
        return round(min(max(share, 0.0), 1.0) * _WIDE, 1)

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
        return [tick for tick in made if 4 < tick[0] < 98]  # at the ends there is no room for words


_MINUTE, _DAY = timedelta(minutes=1), timedelta(days=1)
_STEPS = tuple(
    timedelta(seconds=seconds)
    for seconds in (10, 30, 60, 300, 900, 3600, 14_400, 86_400, 432_000, 1_296_000, 7_776_000)
)


def timeline(
    spans: Sequence[Span],
    axis: Axis,
    *,
    marks: Iterable[Mark] = (),
    gaps: Iterable[tuple[datetime, datetime]] = (),
) -> str:
    """A target's states on a real time axis, with declarations and the gaps in which no daemon lived."""
    drawn = [(axis.x(one.start), axis.x(one.end), one.state) for one in spans]
    parts = [
        f'<rect class="s-{state}" x="{x}" y="{_HIGH - _HEIGHTS[state]:g}" width="{end - x:.1f}"'
        f' height="{_HEIGHTS[state]:g}"/>'
        for x, end, state in drawn[-_SEGMENTS_MOST:]
        if end - x > 0
    ]
    for start, end in gaps:
        x, width = axis.x(start), axis.x(end) - axis.x(start)
        if width > 0:
            parts.append(
                f'<rect class="gap" x="{x}" y="0" width="{max(width, 1):.1f}" height="24"/>'
            )
    for mark in marks:
        if axis.start <= mark.at <= axis.end:
            x = axis.x(mark.at)
            parts.append(
                f'<path class="mark" d="M{x} 0v24m-6 -24h12l-6 7z"><title>{mark.kind}</title></path>'
            )
    said = escape(in_words(spans))
    return (
        f'<svg class="timeline" viewBox="0 0 1000 24" preserveAspectRatio="none" role="img"'
        f' aria-label="{said}">{"".join(parts)}</svg>'
    )


def in_words(spans: Sequence[Span]) -> str:
    """The timeline for who cannot see it: the last few states."""
    if not spans:
        return "nothing is known of this time"
    last = [f"{one.state} from {one.start:%Y-%m-%d %H:%M} UTC" for one in spans[-3:]]
    more = f"{len(spans) - 3} earlier changes, then " if len(spans) > 3 else ""
    return more + ", then ".join(last)


def curve(steps: Sequence[Step], waiting: Sequence[float], label: str) -> str:
    """The share that has opened by each wait (Kaplan and Meier), with who still waits marked on it.

    The axis of waits is logarithmic: minutes and days stand beside each other.
    """
    longest = max([step.wait for step in steps] + [*waiting, 60.0])
    scale = _Waits(longest)
    line, share, ticks = [f"M{scale.x(0):.1f} {_y(0):.1f}"], 0.0, []
    for step in steps:
        x = scale.x(step.wait)
        line.append(f"H{x:.1f}V{_y(step.share):.1f}")
    line.append(f"H{scale.x(longest):.1f}")
    for wait in waiting[:500]:
        share = max((step.share for step in steps if step.wait <= wait), default=0.0)
        ticks.append(f'<path class="waiting" d="M{scale.x(wait):.1f} {_y(share) - 6:.1f}v12"/>')
    grid = [
        f'<path class="grid" d="M{_LEFT} {_y(part):.1f}H{_CURVE_WIDE}"/>'
        f'<text x="{_LEFT - 6}" y="{_y(part) + 4:.1f}" text-anchor="end">{part:.0%}</text>'
        for part in (0.0, 0.25, 0.5, 0.75, 1.0)
    ] + [
        f'<path class="grid" d="M{scale.x(at):.1f} {_y(0):.1f}V{_y(1):.1f}"/>'
        f'<text x="{scale.x(at):.1f}" y="{_CURVE_HIGH - 12}" text-anchor="middle">{words}</text>'
        for at, words in _WAIT_TICKS
        if at <= longest * 1.2
    ]
    return (
        f'<svg class="curve" viewBox="0 0 {_CURVE_WIDE:g} {_CURVE_HIGH:g}" role="img"'
        f' aria-label="{escape(label)}">{"".join(grid)}<path class="line" d="{"".join(line)}"/>'
        f"{''.join(ticks)}</svg>"
    )


_WAIT_TICKS = (
    (60.0, "1 min"), (300.0, "5 min"), (900.0, "15 min"), (3600.0, "1 h"), (14_400.0, "4 h"),
    (86_400.0, "1 d"), (604_800.0, "7 d"), (2_592_000.0, "30 d"),
)  # fmt: skip


class _Waits:
    def __init__(self, longest: float) -> None:
        self._most = _log(longest)

    def x(self, wait: float) -> float:
        return _LEFT + _log(wait) / self._most * (_CURVE_WIDE - _LEFT - 24)


def _log(seconds: float) -> float:
    return math.log1p(seconds / 20)


def _y(share: float) -> float:
    return 8 + (1 - share) * (_CURVE_HIGH - _BELOW - 8)
