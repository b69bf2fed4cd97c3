"""Why a probe is held back: an organization's image gap, a route's token bucket and breaker.

All times are seconds on the monotonic clock and come in as values.
"""

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass

from monitor.access.limits import Cadence
from monitor.access.words import Code, Hold

#: Probes use at most this share of a rate limit that the headers announce.
_SHARE = 0.5
_LIMIT_HEADERS = ("x-ratelimit-limit-images", "x-ratelimit-limit-requests")


@dataclass(frozen=True, slots=True)
class GapSlot:
    """A reserved slot in an organization's queue: when, and in which order of it."""

    at: float
    order: int
    #: ahead of targets that wait, because this one is settling
    first: bool
    #: why the slot is later than now
    held_by: Hold


class ImageGap:
    """The time kept between two probes of image surfaces of one organization.

    Failed calls count toward its rate limit, 5 a minute on the lowest tier, and the limit belongs to
    the people who work, not to us. A target that settles goes before those that wait: somebody waits
    for its answer, and they take new slots behind it.
    """

    def __init__(self, cadence: Cadence) -> None:
        self._cadence = cadence
        #: the next free slot, behind all that wait and behind those that settle
        self._next = float("-inf")
        self._next_first = float("-inf")
        self._limited_until = float("-inf")
        self._announced = 0.0
        #: generations of the queue, counted; slots of an earlier generation are void
        self._order = self._order_first = 0

    def reserve(self, now: float, *, first: bool = False) -> GapSlot:
        """Take the next free slot in the queue, at once when nobody probed lately.

        `first` is for a target that settles: its slot is before all others that wait.
        """
        gap = self._gap(now)
        if not first:
            at = max(now, self._next)
            self._next = at + gap
            return GapSlot(at, self._order, first, self._held_by(now))
        at = max(now, self._next_first)
        if at < self._next:
            self._order += 1
        self._next_first = self._next = at + gap
        return GapSlot(at, self._order_first, first, self._held_by(now))

    def holds(self, slot: GapSlot | None) -> bool:
        """Whether a reserved slot is still good: a 429, or one that went first, voids those before it."""
        if slot is None:
            return False
        return slot.order == (self._order_first if slot.first else self._order)

    def sent(self, now: float) -> None:
        """A probe leaves: not even one that goes first follows it sooner than the gap."""
        after = now + self._gap(now)
        self._next, self._next_first = max(self._next, after), max(self._next_first, after)

    def answered(self, code: Code, headers: Mapping[str, str], now: float) -> None:
        """Learn from an answer: a 429 widens the gap for an hour, an announced limit sets the least."""
        for name in _LIMIT_HEADERS:
            limit = headers.get(name, "")
            if limit.isascii() and limit.isdigit() and int(limit[:9]) > 0:
                self._announced = 60.0 / (int(limit[:9]) * _SHARE)
                break
        if code is Code.RATE_LIMITED:
            self._limited_until = now + self._cadence.image_gap_limited_for.total_seconds()
            self._order += 1
            self._order_first += 1
            self._next = self._next_first = now + self._gap(now)

    def _gap(self, now: float) -> float:
        limited = now < self._limited_until
        gap = self._cadence.image_gap_limited if limited else self._cadence.image_gap
        return max(gap.total_seconds(), self._announced)

    def _held_by(self, now: float) -> Hold:
        return Hold.ANNOUNCED_LIMIT if self._gap(now) == self._announced else Hold.IMAGE_GAP


class TokenBucket:
    """At most `rate` probes a second over a route, with a burst of one second's worth."""

    def __init__(self, rate: float) -> None:
        self._every = 1.0 / rate
        self._burst = max(rate, 1.0) * self._every
        self._next = float("-inf")

    def reserve(self, now: float) -> float:
        """Take the next free slot and return its time, `now` when it is at once."""
        self._next = max(self._next, now - self._burst + self._every)
        slot = max(now, self._next)
        self._next += self._every
        return slot


class Breaker:
    """Stops a route that refuses everybody, all but one trial a minute.

    It opens after `edge_limit` refusals by the route's edge in a row, or when `keys_limit` keys (all of
    them, where there are fewer) were answered 429 within a minute and nobody was served in between.
    """

    edge_limit = 5
    keys_limit = 3

    def __init__(self, keys: int, trial_every: float) -> None:
        self._needed = max(2, min(self.keys_limit, keys))
        self._trial_every = trial_every
        self._edges = 0
        #: the keys that were answered 429, and when
        self._limited: deque[tuple[str, float]] = deque(maxlen=64)
        self._next_trial: float | None = None

    @property
    def open(self) -> bool:
        """True while all but trials are held back."""
        return self._next_trial is not None

    def ready_at(self, now: float) -> float:
        """When a probe may go: `now` unless the breaker is open."""
        return now if self._next_trial is None else max(now, self._next_trial)

    def sent(self, now: float) -> None:
        """A probe leaves; while the breaker is open it is the trial, and the next one has to wait."""
        if self._next_trial is not None:
            self._next_trial = now + self._trial_every

    def answered(self, key: str, code: Code | None, now: float) -> None:
        """Learn from an answer. One from behind the edge closes the breaker; none at all says nothing."""
        if code is Code.NETWORK_ERROR:
            return
        if code is Code.EDGE_ERROR:
            self._edges += 1
        elif code is Code.RATE_LIMITED:
            self._limited.append((key, now))
        else:
            self._edges = 0
            self._limited.clear()
            self._next_trial = None
            return
        recent = {key for key, at in self._limited if now - at <= self._trial_every}
        if self._next_trial is None and (
            self._edges >= self.edge_limit or len(recent) >= self._needed
        ):
            self._next_trial = now + self._trial_every
