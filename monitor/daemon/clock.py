"""Two times: a steady one for durations, and the wall clock for people and the scheduler."""

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

#: A difference between the wall clock and even time from which it counts as a step. Less is the
#: clock being disciplined, and is followed silently.
STEP = timedelta(seconds=2)

#: Even seconds without a move of the wall clock, from which it stands still.
_STANDS = 0.5

# Unlike CLOCK_MONOTONIC it goes on while the machine sleeps, so a night's sleep is no clock step.
_EVEN = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


def even_seconds() -> float:
    """Seconds that never step and go on during suspend."""
    return time.clock_gettime(_EVEN)


def _wall_now() -> datetime:
    return datetime.now(UTC)


class Clock:
    """UTC time that passes evenly between two calls of `step`, whatever is done to the wall clock.

    `stands` says whether the wall clock stood still at the last of them: it is not followed then.
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
        """Seconds to measure durations with; only differences mean something."""
        return self._even()

    def step(self) -> timedelta | None:
        """Follow the wall clock; return by how much it was stepped since the last call, if it was."""
        wall, even = self._wall(), self._even()
        was, at = self._seen
        self.stands = wall == was and (even - at > _STANDS or self.stands)
        if self.stands:
            return None
        self._seen = (wall, even)
        difference = wall - self.now()
        self._anchor = (wall, even)
        return difference if abs(difference) >= STEP else None
