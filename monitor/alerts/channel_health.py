"""Whether a channel works, and when a failed message is retried. Pure; seconds of a monotonic clock."""

from collections.abc import Hashable
from math import inf

#: Waits between the attempts of one message, in units of `retry_first`; further waits double. The first are
#: short: a service that refuses one message in five, or restarts, takes the next attempt.
_STEPS = (1.0, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0, 8.0)

#: A channel counts as down when this many different messages have failed since the last success, and the
#: first of these failures is this many seconds old.
DOWN_GROUPS = 8
DOWN_AFTER = 5.0


class ChannelHealth:
    """Whether one channel works, judged by its attempts.

    While it is down, one message is tried at a time, and a new message may be tried early. The first
    success ends that.
    """

    def __init__(self, first: float, most: float) -> None:
        self._first, self._most = first, most
        self._failed: set[Hashable] = set()
        #: time of the first failure since the last success
        self._since = 0.0
        self._trials = 0
        self._trial_at = 0.0
        self._tried_at = 0.0
        self._held_until = 0.0
        #: why the last attempt failed
        self._reason = ""
        self.down = False
        #: the service wants no messages: none is sent until somebody asks for it
        self.gone = False

    @property
    def why(self) -> str:
        """Why a notification is given up untried while the channel is down."""
        if self.gone:
            why = "the channel wants no message any more, as it answered before"
        else:
            why = "the channel has not worked for too long"
        return f"{why}: {self._reason}" if self._reason else why

    def backoff(self, failures: int, spread: float) -> float:
        """Seconds until the next attempt. `spread` (0 to 1) changes them by up to an eighth."""
        doublings = min(max(failures - len(_STEPS), 0), 32)
        step = _STEPS[min(failures, len(_STEPS)) - 1] * 2.0**doublings
        return min(self._first * step * (1 + (spread - 0.5) / 4), self._most)

    def ready_at(self, now: float) -> float:
        """When a message may be sent; not later than `now` if at once."""
        return inf if self.gone else max(self._held_until, self._trial_at if self.down else now)

    def succeeded(self) -> bool:
        """A message was delivered. Returns True if the channel was down.

        A message that was under way when the service asked for no more does not end that.
        """
        was, self.down = self.down, self.gone
        self._failed.clear()
        self._trials = 0
        return was and not self.gone

    def failed(
        self,
        group: Hashable,
        now: float,
        spread: float,
        *,
        asked: float = 0.0,
        reason: str = "",
    ) -> bool:
        """A message failed, for this reason. Returns True if the channel counts as down from now on.

        `asked` are the seconds that the service asks to wait, infinity if it wants no messages any more. It
        counts alone.
        """
        self._reason = reason
        if asked == inf:
            became, self.down, self.gone = not self.down, True, True
            return became
        if asked:
            self._held_until = max(self._held_until, now + asked)
            return False
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
            self._trial_at = now + self.backoff(self._trials, spread)
        return became

    def retry_soon(self, now: float) -> None:
        """A new row waits: try a channel that is down early, `DOWN_AFTER` after the last attempt at best."""
        if self.down:
            self._trial_at = min(self._trial_at, max(now, self._tried_at + DOWN_AFTER))
