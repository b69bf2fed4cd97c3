"""Whether a channel works, and when a failed message goes again: pure, in seconds of a monotonic clock."""

from collections.abc import Hashable

#: Waits between the tries of one message, in units of `retry_first`; then they double. Short at first: a
#: service that refuses one message in five, or restarts, takes the next try.
_STEPS = (1.0, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0, 8.0)

#: So many different messages must have failed since the last success, and so long must it be ago, before
#: the channel itself counts as down.
DOWN_GROUPS = 8
DOWN_AFTER = 5.0


def backoff(failures: int, first: float, most: float, spread: float) -> float:
    """Seconds until the next try after so many failures; `spread` from 0 to 1 moves it by up to an eighth."""
    steps = len(_STEPS)
    step = (
        _STEPS[failures - 1] if failures <= steps else _STEPS[-1] * 2.0 ** min(failures - steps, 32)
    )
    return min(first * step * (1 + (spread - 0.5) / 4), most)


class ChannelHealth:
    """What the tries of one channel tell of it.

    While it is down one message is tried at a time, and a new one may try early; the first success
    opens it for all. `hold` is the service's own word for how long it wants to be left alone.
    """

    def __init__(self, first: float, most: float) -> None:
        self._first, self._most = first, most
        self._failed: set[Hashable] = set()
        #: when the first failure since the last success was
        self._since = 0.0
        self._trials = 0
        self._trial_at = 0.0
        self._tried_at = 0.0
        self._held_until = 0.0
        self.down = False

    def ready_at(self, now: float) -> float:
        """When something may be sent; not later than `now` when it may be at once."""
        return max(self._held_until, self._trial_at if self.down else now)

    def succeeded(self) -> bool:
        """A message was taken; True when the channel had been down."""
        was, self.down = self.down, False
        self._failed.clear()
        self._trials = 0
        return was

    def failed(self, group: Hashable, now: float, spread: float) -> bool:
        """A message was not taken; True when that makes the channel count as down."""
        if not self._failed:
            self._since = now
        if len(self._failed) < DOWN_GROUPS:
            self._failed.add(group)
        became = (
            not self.down and len(self._failed) >= DOWN_GROUPS and now - self._since >= DOWN_AFTER
        )
        self.down |= became
        if self.down:
            self._trials += 1
            self._tried_at = now
            self._trial_at = now + backoff(self._trials, self._first, self._most, spread)
        return became

    def retry_soon(self, now: float) -> None:
        """Something new waits: a channel that is down is tried early, but not more often than at first."""
        if self.down:
            self._trial_at = min(self._trial_at, max(now, self._tried_at + DOWN_AFTER))

    def hold(self, until: float) -> None:
        """The service asked to be left alone until then."""
        self._held_until = max(self._held_until, until)
