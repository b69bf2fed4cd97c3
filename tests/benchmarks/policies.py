"""Four policies that watch for an opening, and ours is the real one. Times are seconds.

Each is shown the same openings: an organization that was refused before completes its verification at
time 0, and its one target opens at `opening`, or never. Answers take no time here, and the gate, once
open, stays open.
"""

import math
from bisect import bisect_left
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from random import Random

from reference import HORIZON

from monitor.access.cadence import next_probe, phase_of
from monitor.access.events import Answered, Declared
from monitor.access.limits import Cadence
from monitor.access.memory import TargetState
from monitor.access.states import advance
from monitor.access.words import Code, DeclarationKind, State

_START = datetime(2026, 11, 20, 14, 5, tzinfo=UTC)
_SHUT, _OPEN = Code.VERIFICATION_REQUIRED, Code.ACCESS_GRANTED


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one policy made of one opening; `delay` is None when it was not noticed, or never came."""

    delay: float | None
    #: before the opening, or up to the horizon
    before: int
    #: granted, and therefore paid for
    granted: int


#: An opening and its number to an outcome.
Policy = Callable[[float | None, int], Outcome]


def copied_loop(opening: float | None, _number: int) -> Outcome:
    """Twenty tries, 60 s apart, the first at once; then it gives up."""
    return at_times([60.0 * i for i in range(20)], opening)


def every(seconds: float, seed: int) -> Policy:
    """For ever at one interval, begun at any moment of it."""
    random = Random(seed)

    def probe(opening: float | None, _number: int) -> Outcome:
        phase = random.random() * seconds
        end = HORIZON if opening is None else opening
        before = max(math.ceil((end - phase) / seconds), 0)
        at = phase + before * seconds
        if opening is None or at > HORIZON:
            return Outcome(None, before, 0)
        return Outcome(at - opening, before, 1)

    return probe


def at_times(times: Sequence[float], opening: float | None) -> Outcome:
    """Probes at fixed times after the verification."""
    before = bisect_left(times, HORIZON if opening is None else opening)
    if opening is None or before == len(times):
        return Outcome(None, before, 0)
    return Outcome(times[before] - opening, before, 1)


def ours(cadence: Cadence, *, declared: bool) -> Policy:
    """The monitor's own state table and cadence, told of the verification at time 0, or not told.

    It was first refused a day before. As in the daemon a declaration is followed by a probe at once,
    and image probes of one organization keep their gap.
    """
    gap = cadence.image_gap
    day_before = _START - timedelta(days=1)
    refused = advance(TargetState(since=day_before), Answered(_SHUT), day_before).memory

    def probe(opening: float | None, number: int) -> Outcome:
        phase = phase_of(f"key-{number}/gpt-image-2:images")
        memory, now = refused, _START
        if declared:
            memory = advance(memory, Declared(DeclarationKind.VERIFIED, _START), now).memory
        else:
            # its grid has been running for a day: the first point after time 0
            now = next_probe(memory, now - cadence.unverified / 2, cadence, phase=phase).at
        opens = None if opening is None else _START + timedelta(seconds=opening)
        horizon = _START + timedelta(seconds=HORIZON)
        before = granted = 0
        delay: float | None = None
        while now <= horizon and memory.state is not State.AVAILABLE:
            light = opens is not None and now >= opens
            if light and opens and delay is None:
                delay = (now - opens).total_seconds()  # first light is told at once
            before += not light
            granted += light
            memory = advance(memory, Answered(_OPEN if light else _SHUT), now).memory
            now = max(next_probe(memory, now, cadence, phase=phase).at, now + gap)
        return Outcome(delay, before, granted)

    return probe
