"""Two times: a steady one for durations, and the wall clock for people and the scheduler."""

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

#: A smaller difference between the wall clock and even time is the clock being disciplined, and is followed
#: silently; this much or more is a step.
STEP = timedelta(seconds=2)

#: Even seconds without a change of the wall clock after which it counts as standing still.
_STANDS = 0.5

# Unlike CLOCK_MONOTONIC it continues while the machine sleeps, so a night's sleep is no clock step.
_EVEN = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


def even_seconds() -> float:
    """Seconds that never step and continue during suspend."""
    return time.clock_gettime(_EVEN)


def _wall_now() -> datetime:
    return datetime.now(UTC)


class Clock:
    """UTC time that passes evenly between two calls of `step`, whatever happens to the wall clock.

    `stands` is true if the wall clock stood still at the last call; it is then not followed.
    """

    def __init__(
        self, wall: Callable[[], datetime] = _wall_now, even: Callable[[], float] = even_seconds
    ) -> None:
        self._wall = wall
        self._even = even
        self._anchor = self._seen = (wall(), even())
        self.stands = False

    def wall(self) -> datetime:
        """The wall clock, UTC."""
        return self._wall()

    def now(self) -> datetime:
        """The time, UTC."""
        at, even = self._anchor
        return at + timedelta(seconds=self._even() - even)

    def after(self, seconds: float) -> datetime:
        """The time that many seconds from now, UTC."""
        return self.now() + timedelta(seconds=seconds)

    def even(self) -> float:
        """Seconds for measuring durations; only differences are meaningful."""
        return self._even()

    def step(self) -> timedelta | None:
        """Follow the wall clock. Returns by how much it was stepped since the last call, or None."""
        wall, even = self._wall(), self._even()
        was, at = self._seen
        self.stands = wall == was and (even - at > _STANDS or self.stands)
        if self.stands:
            return None
        self._seen = (wall, even)
        difference = wall - self.now()
        self._anchor = (wall, even)
        return difference if abs(difference) >= STEP else None
