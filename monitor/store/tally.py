"""What the daemon counts for the metrics, in its row of the database, where a restart goes on.

The daemon writes it with each of its notes and at its stop. A killed daemon loses what it counted since its
last note. No count ever gets smaller; `keep` ends some.
"""

from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from itertools import accumulate
from typing import Any

#: The upper bounds of a probe's steps, in seconds; the longest probe takes 180.
DURATIONS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 180.0)
#: The upper bounds of how late probes are, in seconds: one is late from the second on.
LATENESS = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 15.0, 60.0, 300.0)

#: How the counts are named in the daemon's status.
COUNTED = "counted"


@dataclass(slots=True)
class Histogram:
    """How many values were at most each bound, and their sum. The last count is of those above all bounds."""

    bounds: tuple[float, ...]
    counts: list[int] = field(default_factory=list)
    total: float = 0.0

    def __post_init__(self) -> None:
        if len(self.counts) != len(self.bounds) + 1:  # none yet, or of a version with other bounds
            self.counts, self.total = [0] * (len(self.bounds) + 1), 0.0

    def add(self, value: float) -> None:
        """Count one value."""
        self.counts[bisect_left(self.bounds, value)] += 1
        self.total += value

    def merge(self, other: "Histogram") -> None:
        """Add the values of another one with the same bounds."""
        self.counts = [one + more for one, more in zip(self.counts, other.counts, strict=True)]
        self.total += other.total

    def cumulative(self) -> list[int]:
        """The number of values up to each bound, and last of all."""
        return list(accumulate(self.counts))

    def as_json(self) -> dict[str, Any]:
        """The counts as JSON values; the bounds are the program's."""
        return {"counts": self.counts, "sum": round(self.total, 6)}

    @staticmethod
    def of(bounds: tuple[float, ...], stored: Mapping[str, Any]) -> "Histogram":
        """The histogram that `as_json` described."""
        return Histogram(bounds, [int(count) for count in stored["counts"]], float(stored["sum"]))


def _counts() -> defaultdict[str, Counter[str]]:
    return defaultdict(Counter)


def _durations() -> defaultdict[str, defaultdict[str, Histogram]]:
    return defaultdict(lambda: defaultdict(lambda: Histogram(DURATIONS)))


@dataclass(slots=True)
class Tally:
    """Counts since the database began: probes, how long they took and how late they began, deliveries."""

    #: by route and diagnosis
    probes: defaultdict[str, Counter[str]] = field(default_factory=_counts)
    #: by route and step, in seconds
    durations: defaultdict[str, defaultdict[str, Histogram]] = field(default_factory=_durations)
    lateness: Histogram = field(default_factory=lambda: Histogram(LATENESS))
    #: by channel and result
    notifications: defaultdict[str, Counter[str]] = field(default_factory=_counts)

    def probed(
        self, route: str, diagnosis: str, late: float, milliseconds: Mapping[str, float | None]
    ) -> None:
        """Count a probe that ended, begun `late` seconds after its time, with the steps that are known."""
        self.probes[route][diagnosis] += 1
        self.lateness.add(late)
        steps = self.durations[route]
        for step, took in milliseconds.items():
            if took is not None:
                steps[step].add(took / 1000.0)

    def notified(self, channel: str, result: str, number: int) -> None:
        """Count what became of notifications: an attempt, giving up, or a silence."""
        self.notifications[channel][result] += number

    def keep(self, routes: Collection[str], channels: Collection[str]) -> None:
        """Forget other routes and channels: what is counted must not grow with each new name."""
        for by_name, known in (
            (self.probes, routes), (self.durations, routes), (self.notifications, channels),
        ):  # fmt: skip
            for name in set(by_name).difference(known):
                del by_name[name]

    def as_json(self) -> dict[str, Any]:
        """The counts as JSON values of their own: counting goes on meanwhile."""
        return {
            "probes": {route: dict(counts) for route, counts in self.probes.items()},
            "durations": {
                route: {step: its.as_json() for step, its in steps.items()}
                for route, steps in self.durations.items()
            },
            "lateness": self.lateness.as_json(),
            "notifications": {name: dict(counts) for name, counts in self.notifications.items()},
        }

    def add(self, other: "Tally") -> None:
        """Count what another daemon has counted, too."""
        for own, its in ((self.probes, other.probes), (self.notifications, other.notifications)):
            for name, counts in its.items():
                own[name].update(counts)
        for route, steps in other.durations.items():
            for step, histogram in steps.items():
                self.durations[route][step].merge(histogram)
        self.lateness.merge(other.lateness)

    @staticmethod
    def of(status: Mapping[str, Any]) -> "Tally":
        """The counts in a daemon's status; none where they cannot be read: they are no reason to fail."""
        made, stored = Tally(), status.get(COUNTED, {})
        try:
            for of, by_name in ((made.probes, "probes"), (made.notifications, "notifications")):
                for name, counts in stored.get(by_name, {}).items():
                    of[name].update({word: int(count) for word, count in counts.items()})
            for route, steps in stored.get("durations", {}).items():
                for step, its in steps.items():
                    made.durations[route][step] = Histogram.of(DURATIONS, its)
            if "lateness" in stored:
                made.lateness = Histogram.of(LATENESS, stored["lateness"])
        except (AttributeError, LookupError, TypeError, ValueError):
            return Tally()
        return made
