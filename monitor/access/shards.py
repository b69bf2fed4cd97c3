"""Shards: the portions in which the workers of a fleet share the targets.

A shard has whole organizations of a route, so siblings, the gaps of image probes and a key's day stay within
one worker. Pure: no clock, no database.
"""

import zlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

#: The number of shards, the same in every fleet: a row of a target has the number of its shard.
SHARDS = 64


def shard_of(route: str, scope: str) -> int:
    """The shard of an organization's targets on a route; `scope` is that of `Target`."""
    # CRC-32 is the same on each machine, and spreads names that differ little
    return zlib.crc32(f"{route}\n{scope}".encode()) % SHARDS


@dataclass(frozen=True, slots=True)
class Balance:
    """What a worker does for its share: free shards that it takes, and own ones that it hands over."""

    take: tuple[int, ...] = ()
    hand_over: tuple[int, ...] = ()


def balance(
    owners: Mapping[int, int | None], populated: Collection[int], workers: Sequence[int], me: int
) -> Balance:
    """What worker `me` takes and hands over, so that all `workers` have equal shares.

    `owners` has each shard's worker, None where it is free; `populated` are those with targets. A share is
    the number of shards divided by that of workers, rounded up, of those with targets and of the others
    each for itself. So every shard is taken, and none moves once the shares are equal. A worker that is not
    among `workers` takes none and hands all over.
    """
    take: list[int] = []
    hand_over: list[int] = []
    for kind in (True, False):
        those = sorted(shard for shard in owners if (shard in populated) is kind)
        share = -(-len(those) // len(workers)) if me in workers else 0
        own = [shard for shard in those if owners[shard] == me]
        free = [shard for shard in those if owners[shard] is None]
        take += free[: max(share - len(own), 0)]
        hand_over += own[share:]
    return Balance(tuple(take), tuple(hand_over))
