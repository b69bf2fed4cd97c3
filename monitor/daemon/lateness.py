"""Whether the monitor keeps up. If not, rounds get longer for all targets, and it is logged."""

import structlog

log = structlog.get_logger()

#: A probe is late above the first number of seconds, and in time again below the second. Between them
#: nothing changes, or rounds of two lengths would alternate.
_LATE, _IN_TIME = 1.0, 0.25
#: Seconds of lateness before it is logged: at a start and after a suspend many probes are due at once.
_PERSISTS = 5.0
#: Seconds with all probes in time after which the lateness is over.
_OVER = 10.0


class Lateness:
    """Records how late each probe is. Logs once when probes stay late, and once when that ends.

    `missed` counts the rounds that were not made: a probe that is late by one interval counts as one.
    """

    def __init__(self) -> None:
        self.missed = 0.0
        self._said = False
        #: even seconds of the first and the last late probe of this period, and `missed` before it
        self._first: float | None = None
        self._last = self._before = 0.0

    def made(self, late: float, every: float, now: float) -> bool:
        """A probe began `late` seconds after its time; its target's interval is `every` seconds.

        Returns whether the monitor is behind; the target's next probe must then be a whole interval away.
        """
        if late > _LATE or (self._first is not None and late > _IN_TIME):
            if self._first is None:
                self._first, self._before = now, self.missed
            self.missed += late / every
            self._last = now
            if not self._said and now - self._first >= _PERSISTS:
                self._said = True
                log.error(
                    "falling_behind",
                    late_s=round(late, 1),
                    why="more probes are due than can be made: rounds get longer, for all alike",
                )
        elif self._first is not None and now - self._last >= _OVER:
            if self._said:
                log.info(
                    "caught_up",
                    after_s=round(self._last - self._first, 1),
                    rounds_missed=round(self.missed - self._before, 1),
                )
            self._first, self._said = None, False
        return self._first is not None

    def words(self) -> tuple[str, ...]:
        """The text for the status line; empty while probes are in time."""
        return ("probes are late, rounds are longer than they should be",) if self._said else ()
