"""Why a probe is held back: an organization's image gap, a route's token bucket and breaker.

All times are seconds on the monotonic clock and come in as values.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import islice

from monitor.access.limits import Cadence
from monitor.access.words import Code, Hold

#: Probes use at most this share of a rate limit that the headers announce.
_SHARE = 0.5
#: Who was asked just now comes this share of the time between two trials later than who was never asked.
_TRIAL_SPREAD = 0.05
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
        #: when the last probe left, or a later 429 came
        self._last = float("-inf")
        self._limited_until = float("-inf")
        #: the gap by the limit that was announced last, and until when it counts
        self._announced, self._announced_until = 0.0, float("-inf")
        #: generations of the queue, counted; slots of an earlier generation are void
        self._order = self._order_first = 0

    def use(self, cadence: Cadence, now: float) -> None:
        """Keep the times of this cadence from now on. Slots reserved by another are void."""
        if cadence != self._cadence:
            self._cadence = cadence
            self._begin_anew(self._last, now)

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
        self._last, after = now, now + self._gap(now)
        self._next, self._next_first = max(self._next, after), max(self._next_first, after)

    def answered(self, code: Code, headers: Mapping[str, str], now: float) -> None:
        """Learn from an answer: for an hour a 429 widens the gap, and an announced limit sets the least.

        An announced limit ends, for it may have been false.
        """
        until = now + self._cadence.image_gap_limited_for.total_seconds()
        for name in _LIMIT_HEADERS:
            limit = headers.get(name, "")
            if limit.isascii() and limit.isdigit() and int(limit[:9]) > 0:
                self._announced, self._announced_until = 60.0 / (int(limit[:9]) * _SHARE), until
                break
        if code is Code.RATE_LIMITED:
            limited, self._limited_until = now < self._limited_until, until
            # while it lasts the places have this gap: given anew, some would never come to their turn
            if not limited:
                self._begin_anew(now, now)

    def _begin_anew(self, last: float, now: float) -> None:
        self._order += 1
        self._order_first += 1
        self._last, self._next = last, last + self._gap(now)
        self._next_first = self._next

    def _gap(self, now: float) -> float:
        limited = now < self._limited_until
        gap = self._cadence.image_gap_limited if limited else self._cadence.image_gap
        announced = self._announced if now < self._announced_until else 0.0
        return max(gap.total_seconds(), announced)

    def _held_by(self, now: float) -> Hold:
        return Hold.ANNOUNCED_LIMIT if self._gap(now) == self._announced else Hold.IMAGE_GAP


class TokenBucket:
    """At most `rate` probes a second over a route, with a burst of one second's worth."""

    def __init__(self, rate: float) -> None:
        #: seconds between two probes
        self.every = 1.0 / rate
        self._burst = max(rate, 1.0) * self.every
        self._next = float("-inf")

    def reserve(self, now: float) -> float:
        """Take the next free slot and return its time, `now` when it is at once."""
        self._next = max(self._next, now - self._burst + self.every)
        slot = max(now, self._next)
        self._next += self.every
        return slot


class Breaker:
    """Stops a route that refuses everybody, all but one trial a minute.

    It opens after `edge_limit` refusals by the route's edge in a row, or when `keys_limit` keys (all of
    them, where there are fewer) were answered 429 within a minute and nobody was served in between. After
    429s it holds the refused keys only: the limits may be theirs, and another key may be served.
    """

    edge_limit = 5
    keys_limit = 3

    def __init__(self, keys: int, trial_every: float) -> None:
        self._edges = 0
        #: the keys that were answered 429 since anybody was served, and when; the latest last
        self._limited: dict[str, float] = {}
        self._next_trial: float | None = None
        self.use(keys, trial_every, 0.0)

    def use(self, keys: int, trial_every: float, now: float) -> None:
        """Use these figures from now on; what was learnt stays."""
        self._needed = max(2, min(self.keys_limit, keys))
        self._trial_every = trial_every
        if self._next_trial is not None:
            self._next_trial = min(self._next_trial, now + trial_every)

    @property
    def open(self) -> bool:
        """True while all but trials are held back."""
        return self._next_trial is not None

    def ready_at(self, now: float, key: str, sent_at: float = float("-inf")) -> float:
        """When a probe of a target may go whose last one left at `sent_at`: `now` unless it is held back.

        Whoever comes first makes the trial. Therefore those who waited less come a little later, and one
        that was never asked comes first of all.
        """
        if self._next_trial is None or not self._holds(key):
            return now
        waited = max(self._next_trial - sent_at, 0.0) / self._trial_every
        return max(now, self._next_trial + self._trial_every * _TRIAL_SPREAD / (1.0 + waited))

    def sent(self, now: float, key: str) -> None:
        """A probe leaves; if the breaker holds its key, it is the trial, and the next one has to wait."""
        if self._next_trial is not None and self._holds(key):
            self._next_trial = now + self._trial_every

    def answered(self, key: str, code: Code | None, now: float) -> bool:
        """Learn from an answer. Returns whether it closes the breaker, as one from behind the edge does.

        No answer at all says nothing.
        """
        if code is Code.NETWORK_ERROR:
            return False
        if code is Code.EDGE_ERROR:
            self._edges += 1
        elif code is Code.RATE_LIMITED:
            self._limited.pop(key, None)
            self._limited[key] = now
        else:
            closes, self._next_trial = self.open, None
            self._edges = 0
            self._limited.clear()
            return closes
        if self._next_trial is None and (self._refuses_at_its_edge or self._limits_many(now)):
            self._next_trial = now + self._trial_every
        return False

    @property
    def _refuses_at_its_edge(self) -> bool:
        return self._edges >= self.edge_limit

    def _limits_many(self, now: float) -> bool:
        latest = list(islice(reversed(self._limited.values()), self._needed))
        return len(latest) == self._needed and now - latest[-1] <= self._trial_every

    def _holds(self, key: str) -> bool:
        return self._refuses_at_its_edge or key in self._limited
