"""How long openings take: what is recorded of each, and how the waits compare. Pure.

Who still waits counts as having waited at least so long (Kaplan–Meier): leaving them out, or taking
their wait so far for the whole, would make every propagation seem quicker than it is. Access of one's
own and access over a provider's route are never put together.
"""

import math
from bisect import bisect_right
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from operator import attrgetter
from typing import Any

from monitor.access.events import Decision
from monitor.access.memory import TargetState
from monitor.access.target import Target
from monitor.access.words import Contract, EventKind, Reason, State, Surface

#: Messages compare a wait with earlier ones once there are so many openings; fewer say nothing.
ENOUGH = 3


class Began(StrEnum):
    """What the wait is counted from. Only the first two are waits for a verification to take effect."""

    DECLARED = "declared"
    #: nobody declared anything: the opening of another target of the organization
    SIBLING = "sibling"
    #: it had been open before, and closed again
    AGAIN = "again"
    #: unknown: the first granted answer came before anything was declared
    UNSEEN = "unseen"

    @property
    def measured(self) -> bool:
        """Whether the wait counts in the statistics."""
        return self in (Began.DECLARED, Began.SIBLING)


@dataclass(frozen=True, slots=True)
class _Wait:
    """Whose wait it is, and what it is counted from."""

    target: str
    contract: Contract
    route: str
    organization: str | None
    scope: str
    model: str
    surface: Surface
    began: Began


@dataclass(frozen=True, slots=True)
class Opening(_Wait):
    """The propagation record of one opening, made when it has settled. Times are UTC.

    `started_at` is what the wait is counted from (`began`), None when it is unseen. `probes`,
    `cost_usd` and `flickers` (runs of refusals after the first light) are of the time since the
    monitor took the target for propagating.
    """

    declared_at: datetime | None
    started_at: datetime | None
    first_light_at: datetime
    settled_at: datetime
    probes: int
    cost_usd: float
    flickers: int

    @property
    def wait_s(self) -> float | None:
        """Seconds from the start of the wait to the first light."""
        if self.started_at is None:
            return None
        return max((self.first_light_at - self.started_at).total_seconds(), 0.0)


@dataclass(frozen=True, slots=True)
class OngoingWait(_Wait):
    """A target that waits for its opening, since `started_at`, for `wait_s` seconds up to now."""

    started_at: datetime
    wait_s: float


@dataclass(frozen=True, slots=True)
class Summary:
    """The waits of one group, in seconds; a percentile is None while too few have opened.

    `model` and `scope` are None in the summary of a whole contract. `openings` and `waiting` are what
    the percentiles are made of; `unmeasured` openings are in none of them: nobody knows since when
    they had waited, or they had been open before.
    """

    contract: Contract
    model: str | None
    scope: str | None
    openings: int
    waiting: int
    unmeasured: int
    median_s: float | None
    p75_s: float | None
    p90_s: float | None
    p95_s: float | None


def started(memory: TargetState) -> tuple[Began, datetime | None]:
    """What a target's present wait is counted from, and since when."""
    declared, opened, clock = memory.declared_at, memory.opened_at, memory.clock_at
    if declared and (opened is None or opened < declared):
        return Began.DECLARED, declared
    if opened:
        return Began.AGAIN, clock
    light = memory.first_light_at
    if clock and (light is None or clock < light):
        return Began.SIBLING, clock
    return Began.UNSEEN, None


def waited(memory: TargetState, now: datetime) -> dict[str, Any]:
    """How long the wait for propagation has lasted, in seconds, and what it is counted from; as facts."""
    if memory.clock_at is None:
        return {}
    facts: dict[str, Any] = {"waited_s": max((now - memory.clock_at).total_seconds(), 0.0)}
    if memory.declared_at and memory.declared_at == memory.clock_at:
        facts["declared_at"] = memory.declared_at.isoformat()
    return facts


def refused_again(memory: TargetState) -> dict[str, Any]:
    """Since when, and by how many probes, a waiting target is refused after it was granted; as facts."""
    again = memory.flickers or started(memory)[0] is Began.AGAIN
    if not again or memory.streak is None:
        return {}
    return {"refused_since": memory.streak.first.isoformat(), "probes": memory.streak.count}


def _of(target: Target) -> dict[str, Any]:
    """The first fields of a wait, all but what it is counted from."""
    return {
        "target": target.name,
        "contract": target.contract,
        "route": target.route,
        "organization": target.organization,
        "scope": target.scope,
        "model": target.capability.model,
        "surface": target.capability.surface,
    }


def opening_of(
    target: Target, before: TargetState, decision: Decision, now: datetime
) -> Opening | None:
    """The record of the opening that settled with this decision (row 4), if one did."""
    if not any(
        event.kind is EventKind.AVAILABLE and event.reason is Reason.SETTLED
        for event in decision.events
    ):
        return None
    after = decision.memory
    began, since = started(before)
    return Opening(
        **_of(target),
        began=began,
        declared_at=before.declared_at if began is Began.DECLARED else None,
        started_at=since,
        first_light_at=after.first_light_at or now,
        settled_at=now,
        probes=after.wait_probes,
        cost_usd=after.wait_cost_usd,
        flickers=after.flickers,
    )


def waiting_of(target: Target, memory: TargetState, now: datetime) -> OngoingWait | None:
    """The target's wait so far, if it waits: also after the monitor gave up on what was declared.

    One with a first light that has not settled yet has waited until that.
    """
    if memory.state not in (State.PROPAGATING, State.UNVERIFIED):
        return None
    began, since = started(memory)
    if not began.measured or since is None:
        return None
    until = memory.first_light_at or now
    return OngoingWait(
        **_of(target),
        began=began,
        started_at=since,
        wait_s=max((until - since).total_seconds(), 0.0),
    )


@dataclass(frozen=True, slots=True)
class Step:
    """By this wait (seconds) this share (0 to 1) of all has opened."""

    wait: float
    share: float


def curve_of(waits: Iterable[float], still: Iterable[float]) -> list[Step]:
    """The shares that have opened, by Kaplan and Meier's estimate; a step at each wait that ended.

    `waits` ended with an opening; those in `still` have lasted so long and go on.
    """
    opened, going_on = Counter(waits), Counter(still)
    at_risk, shut, steps = opened.total() + going_on.total(), 1.0, []
    for wait in sorted(opened | going_on):
        # one that has waited just so long, and goes on, counts among those that could have opened
        shut *= 1 - opened[wait] / at_risk
        at_risk -= opened[wait] + going_on[wait]
        if opened[wait]:
            steps.append(Step(wait, 1 - shut))
    return steps


def percentile(share: float, steps: Iterable[Step]) -> float | None:
    """The wait within which `share` (0 < share < 1) of all open, by the steps of `curve_of`.

    None while the estimate does not reach the share: too many still wait.
    """
    # a product of fractions: five of ten must count as half
    return next((step.wait for step in steps if step.share >= share - 1e-9), None)


def share_by(wait: float, steps: Sequence[Step]) -> float:
    """The share (0 to 1) that has opened by this wait (seconds), by the steps of `curve_of`."""
    passed = bisect_right(steps, wait, key=attrgetter("wait"))
    return steps[passed - 1].share if passed else 0.0


#: Contract, model, scope; the last two are None for a whole contract.
_Group = tuple[Contract, str | None, str | None]


@dataclass(slots=True)
class _Sample:
    """The waits of one group: those that ended with an opening, those that go on, and the unmeasured."""

    waits: list[float] = field(default_factory=list)
    still: list[float] = field(default_factory=list)
    unmeasured: int = 0

    def add(self, one: Opening | OngoingWait) -> None:
        if isinstance(one, OngoingWait):
            self.still.append(one.wait_s)
        elif one.began.measured and (wait := one.wait_s) is not None:
            self.waits.append(wait)
        else:
            self.unmeasured += 1

    def summary(self, group: _Group) -> Summary:
        steps = curve_of(self.waits, self.still)
        at = [percentile(share, steps) for share in (0.5, 0.75, 0.9, 0.95)]
        return Summary(*group, len(self.waits), len(self.still), self.unmeasured, *at)


class Samples:
    """Openings and waits, one by one, in their groups: there may be more than anybody keeps."""

    def __init__(self, several: Iterable[Opening | OngoingWait] = ()) -> None:
        # each key of a pool is a group of its own, so there may be as many as openings
        self._groups = defaultdict[_Group, _Sample](_Sample)
        for one in several:
            self.add(one)

    def add(self, one: Opening | OngoingWait) -> None:
        """Count an opening, or a wait that goes on."""
        self._groups[one.contract, None, None].add(one)
        self._groups[one.contract, one.model, one.scope].add(one)

    def of(self, contract: Contract) -> tuple[Sequence[float], Sequence[float]]:
        """The measured waits of a contract in seconds: ended with an opening, and going on."""
        sample = self._groups.get((contract, None, None), _Sample())
        return sample.waits, sample.still

    def summaries(self) -> Iterator[Summary]:
        """A summary per contract, and one per contract, model and organization; direct routes first."""
        ordered = sorted(self._groups, key=lambda group: (group[0], group[1] or "", group[2] or ""))
        return (self._groups[group].summary(group) for group in ordered)


def typical_wait(contract: Contract, samples: Samples) -> tuple[float, int] | None:
    """Half of the openings of a contract took no longer than this (seconds), and how many they are.

    None while they are too few, or too many still wait.
    """
    waits, still = samples.of(contract)
    median = percentile(0.5, curve_of(waits, still))
    return None if len(waits) < ENOUGH or median is None else (median, len(waits))


def under(seconds: float) -> float:
    """A wait rounded up to what people say: "under 17 min" is then true of it."""
    unit = 1 if seconds < 60 else 60
    return float(math.ceil(seconds / unit) * unit)
