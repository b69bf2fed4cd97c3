"""The figures that settings may change: cadence, confirmation, deadlines, budget, delivery."""

from dataclasses import dataclass, field
from datetime import timedelta
from itertools import pairwise
from typing import Annotated

from pydantic import AfterValidator

from monitor.access.fields import Count, Dollars, Duration, refuse, setting


def _increasing(value: tuple[timedelta, ...]) -> tuple[timedelta, ...]:
    """Deadlines, each later than the one before."""
    if any(later <= earlier for earlier, later in pairwise(value)):
        raise refuse("must be in increasing order, each later than the one before")
    return value


@dataclass(frozen=True, slots=True)
class Cadence:
    """How often a target is probed, by situation."""

    eager: Duration = setting(
        timedelta(seconds=25),
        "Gated, soon after the first probe, a declaration, a sibling's opening or a relapse",
    )
    eager_for: Duration = setting(timedelta(hours=1), "How long the eager interval lasts")
    propagating: Duration = setting(timedelta(minutes=3), "Propagating after that")
    propagating_until: Duration = setting(
        timedelta(hours=48), "How long propagating holds; then propagating_late"
    )
    propagating_late: Duration = setting(
        timedelta(minutes=30), "Propagating for longer than propagating_until"
    )
    unverified: Duration = setting(timedelta(minutes=5), "Unverified after that")
    unverified_until: Duration = setting(
        timedelta(days=7), "How long unverified holds; then unverified_late"
    )
    unverified_late: Duration = setting(
        timedelta(minutes=30), "Unverified for longer than unverified_until"
    )
    settling: Duration = setting(timedelta(seconds=60), "Granted, and being confirmed")
    deciding: Duration = setting(
        timedelta(seconds=60), "Available, and the last full answer was not granted"
    )
    listing: Duration = setting(
        timedelta(minutes=15),
        "Available: between two listings, which cost nothing and tell of the key only",
    )
    full_probe: Duration = setting(
        timedelta(hours=24),
        "Available: between two full probes, which prove access and cost their price",
    )
    locked: Duration = setting(timedelta(hours=6), "Locked")
    blocked: Duration = setting(timedelta(minutes=15), "Blocked by something other than the gate")
    blocked_most: Duration = setting(
        timedelta(hours=24),
        "An invalid key or a deactivated account doubles from blocked up to this",
    )
    retired: Duration = setting(timedelta(days=7), "Past the model's shutdown date")
    inconclusive: Duration = setting(
        timedelta(seconds=30),
        "First wait after an inconclusive answer; doubles up to the situation's interval",
    )
    image_gap: Duration = setting(
        timedelta(seconds=20), "Between two probes of images of one organization"
    )
    image_gap_limited: Duration = setting(timedelta(seconds=60), "The same after a 429")
    image_gap_limited_for: Duration = setting(
        timedelta(hours=1),
        "How long image_gap_limited, or a limit that an answer's headers announce, holds",
    )
    trial: Duration = setting(
        timedelta(seconds=60),
        "Between two trials over a route that refuses: docs/money.md#a-route-that-refuses",
    )


@dataclass(frozen=True, slots=True)
class Confirmation:
    """How many answers, over what time, make a state."""

    confirmations: Count = setting(2, "Granted answers that make a target available")
    confirmation_span: Duration = setting(timedelta(seconds=60), "The time they must span")
    relapse_confirmations: Count = setting(
        3, "Gated or locked answers in a row that end an opening"
    )
    relapse_within: Duration = setting(
        timedelta(hours=24), "A relapse later than this after the opening counts as a revocation"
    )
    locked_confirmations: Count = setting(2, "Locked answers in a row that make a target locked")
    unlock_confirmations: Count = setting(
        3, "Gated answers in a row that end being locked by an answer"
    )
    blocker_confirmations: Count = setting(2, "Answers with the same blocker before it is told")
    unproven_confirmations: Count = setting(
        3, "Answers without the word asked for before they are told"
    )


@dataclass(frozen=True, slots=True)
class Deadlines:
    """When it is told that something has not happened."""

    overdue: Annotated[tuple[Duration, ...], AfterValidator(_increasing)] = setting(
        (
            timedelta(minutes=45),
            timedelta(hours=2),
            timedelta(hours=24),
            timedelta(hours=72),
        ),
        "Propagating for this long, each told once; an empty list for never",
    )
    give_up_after: Duration = setting(
        timedelta(days=7), "Propagating with gated answers for this long: unverified again"
    )
    stale: Duration = setting(
        timedelta(minutes=30), "Nothing conclusive for this long, and for three intervals"
    )
    retiring: Duration = setting(timedelta(days=14), "This long before a model's shutdown")


@dataclass(frozen=True, slots=True)
class Rules:
    """The figures that the state table uses."""

    confirmation: Confirmation = field(default_factory=Confirmation)
    deadlines: Deadlines = field(default_factory=Deadlines)


@dataclass(frozen=True, slots=True)
class Budget:
    """The most that may be spent, in US dollars; days and months are UTC."""

    per_key_per_day: Dollars = setting(0.10, "For each key and day")
    per_month: Dollars = setting(5.0, "For all keys together, each month")


@dataclass(frozen=True, slots=True)
class Delivery:
    """How notifications are delivered and retried."""

    group_within: Duration = setting(
        timedelta(seconds=20),
        "Later changes of one organization share a message; first lights wait a quarter",
    )
    retry_first: Duration = setting(
        timedelta(seconds=1),
        "First wait after a failed delivery; grows to eight times this, then doubles",
    )
    retry_most: Duration = setting(timedelta(minutes=15), "The longest wait between two attempts")
    give_up_after: Duration = setting(
        timedelta(hours=24),
        "A notification that is not delivered within this time is listed as dead",
    )
    timeout: Duration = setting(timedelta(seconds=10), "One attempt at one service")
    parallel: Count = setting(
        8, "Messages sent to one channel at once; fewer by mail and where a service sets a pace"
    )

    def left(self, age: timedelta) -> timedelta:
        """For how long a process tries a notification that is this old when it takes it up.

        An hour at least: while no process lived, nothing was tried.
        """
        return max(self.give_up_after - age, min(self.give_up_after, timedelta(hours=1)))
