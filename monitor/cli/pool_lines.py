"""Pools in `status`: a line for each, and the targets that are out of the ordinary."""

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from monitor.access.target import pool_name_of, pool_summary
from monitor.access.words import Effect, State

if TYPE_CHECKING:
    from monitor.store.records import TargetStatus

#: Targets of pools that are listed at most; the rest is counted.
LISTED_MOST = 50
#: How long a change counts as recent.
_NEWS = timedelta(hours=1)


def pool_summaries(
    targets: "Sequence[TargetStatus]", pools: Collection[str], stale: timedelta, now: datetime
) -> "tuple[list[str], list[TargetStatus], int]":
    """A summary of each pool; the targets to list; how many more of pools are out of the ordinary.

    Out of the ordinary is what is blocked, locked, or changed within the hour, whose last answer told
    nothing, or whose next probe is late by `stale`: in this order. What is in no pool is listed before.
    """
    own: list[TargetStatus] = []
    by_pool: dict[str, list[TargetStatus]] = {name: [] for name in pools}
    for target in targets:
        pool = pool_name_of(target.key, pools)
        (by_pool[pool] if pool else own).append(target)
    lines = [
        pool_summary(pool, ((one.state, one.blocker) for one in its))
        for pool, its in by_pool.items()
    ]
    ranked = [
        (rank, target)
        for its in by_pool.values()
        for target in its
        if (rank := _rank(target, stale, now)) is not None
    ]
    ranked.sort(key=lambda one: one[0])
    listed = [target for _, target in ranked[:LISTED_MOST]]
    return lines, own + listed, len(ranked) - len(listed)


def _rank(target: "TargetStatus", stale: timedelta, now: datetime) -> int | None:
    """How far out of the ordinary a target is, 0 the farthest; None when it is not."""
    if target.blocker:
        return 0
    if target.state is State.LOCKED:
        return 1
    if target.state is not State.UNKNOWN and now - target.since < _NEWS:
        return 2
    answer, due = target.last_diagnosis, target.next_probe_at
    if (answer and answer.effect is Effect.INCONCLUSIVE) or (due and now - due >= stale):
        return 3
    return None
