"""The figures that settings may change: cadence, confirmation, deadlines, budget."""

from dataclasses import dataclass
from datetime import timedelta


@dataclass(frozen=True, slots=True)
class Cadence:
    """How often a target is probed, by situation; see the table in docs/money.md."""

    #: gated, within `eager_for` of the first probe, a declaration, first light, a sibling's opening or a
    #: relapse
    eager: timedelta = timedelta(seconds=25)
    eager_for: timedelta = timedelta(hours=1)
    propagating: timedelta = timedelta(minutes=3)
    propagating_until: timedelta = timedelta(hours=48)
    propagating_late: timedelta = timedelta(minutes=30)
    unverified: timedelta = timedelta(minutes=5)
    unverified_until: timedelta = timedelta(days=7)
    unverified_late: timedelta = timedelta(minutes=30)
    #: granted, settling
    settling: timedelta = timedelta(seconds=60)
    #: available, and the last full answer was not granted
    deciding: timedelta = timedelta(seconds=60)
    listing: timedelta = timedelta(minutes=15)
    full_probe: timedelta = timedelta(hours=24)
    locked: timedelta = timedelta(hours=6)
    blocked: timedelta = timedelta(minutes=15)
    #: an invalid key or a deactivated account doubles from `blocked` up to this
    blocked_most: timedelta = timedelta(hours=24)
    #: past the model's shutdown date
    retired: timedelta = timedelta(days=7)
    #: first wait after an inconclusive answer; doubles up to the situation's own interval
    inconclusive: timedelta = timedelta(seconds=30)
    #: between two probes of image surfaces of one organization
    image_gap: timedelta = timedelta(seconds=20)
    image_gap_limited: timedelta = timedelta(seconds=60)
    #: how long after a 429 `image_gap_limited` holds
    image_gap_limited_for: timedelta = timedelta(hours=1)
    #: between two trials over a route that refuses everybody
    trial: timedelta = timedelta(seconds=60)


@dataclass(frozen=True, slots=True)
class Confirmation:
    """How many answers, over what time, make a state."""

    confirmations: int = 2
    confirmation_span: timedelta = timedelta(seconds=60)
    #: refusals in a row that end an opening, settled or not
    relapse_confirmations: int = 3
    #: a relapse later than this after the opening is a revocation
    relapse_within: timedelta = timedelta(hours=24)
    locked_confirmations: int = 2
    unlock_confirmations: int = 3
    blocker_confirmations: int = 2
    #: complete answers without the word that was asked for before `unproven` is told
    unproven_confirmations: int = 3


@dataclass(frozen=True, slots=True)
class Deadlines:
    """When it is told that something has not happened."""

    overdue: tuple[timedelta, ...] = (
        timedelta(minutes=45),
        timedelta(hours=2),
        timedelta(hours=24),
        timedelta(hours=72),
    )
    give_up_after: timedelta = timedelta(days=7)
    stale: timedelta = timedelta(minutes=30)
    retiring: timedelta = timedelta(days=14)


@dataclass(frozen=True, slots=True)
class Budget:
    """The most that may be spent, in US dollars; days and months are UTC."""

    per_key_per_day: float = 0.10
    per_month: float = 5.0


@dataclass(frozen=True, slots=True)
class Delivery:
    """How notifications are delivered and retried."""

    #: further changes of one organization within this time share a message; first lights within a quarter
    group_within: timedelta = timedelta(seconds=20)
    retry_first: timedelta = timedelta(seconds=1)
    retry_most: timedelta = timedelta(minutes=15)
    #: a notification not delivered by this age is given up: it becomes `dead`
    give_up_after: timedelta = timedelta(hours=24)
    #: one attempt at one service
    timeout: timedelta = timedelta(seconds=10)
    #: messages that are sent to one channel at once, where its service sets no pace
    parallel: int = 8
