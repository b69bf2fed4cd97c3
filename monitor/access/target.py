"""How capabilities, targets and pools are named: `MODEL:SURFACE`, `KEY/MODEL:SURFACE`, `POOL-DIGITS`.

And their shards: the portions in which the workers of a fleet share the targets. A shard has whole
organizations of a route, so siblings, the gaps of image probes and a key's day stay within one worker.
"""

import re
import zlib
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from monitor.access.words import Code, Contract, State, Surface

#: Hexadecimal digits of a key's sha256 in its name; more where two keys of a pool share these.
POOL_DIGITS = 8

_POOL_KEY = re.compile(rf"(.+)-[0-9a-f]{{{POOL_DIGITS},64}}")
_STATE_ORDER = (State.AVAILABLE, State.PROPAGATING, State.UNVERIFIED, State.LOCKED, State.UNKNOWN)

_SURFACES = frozenset(Surface)


@dataclass(frozen=True, slots=True)
class Capability:
    """A model on a surface."""

    model: str
    surface: Surface

    def __str__(self) -> str:
        return f"{self.model}:{self.surface}"


@dataclass(frozen=True, slots=True)
class Target:
    """One key × one capability: the unit that has a state.

    `organization` is the configured id, or None; `scope` then makes the key an organization of its own.
    """

    key: str
    capability: Capability
    route: str
    contract: Contract
    organization: str | None = None
    project: str | None = None

    @property
    def name(self) -> str:
        """The target as written by people: `KEY/MODEL:SURFACE`."""
        return f"{self.key}/{self.capability}"

    @property
    def scope(self) -> str:
        """Whom inference and declarations reach together: the organization, else the key alone."""
        return scope_of(self.key, self.organization)

    def __str__(self) -> str:
        return self.name


def scope_of(key: str, organization: str | None) -> str:
    """The `scope` of a key's targets."""
    return organization or f"key {key}"


def key_of(name: str) -> str:
    """The key in a target's name."""
    return name.partition("/")[0]


def split_capability(text: str) -> tuple[str, Surface | None]:
    """Split `MODEL` or `MODEL:SURFACE`; the surface is the text after the last `:` if it is a known word.

    Models' names may hold `/` and `:`, so `vendor/model:free` has no surface.
    """
    model, colon, last = text.rpartition(":")
    if colon and model and last in _SURFACES:
        return model, Surface(last)
    return text, None


def pool_in(key: str) -> str | None:
    """The pool that a key's name says it belongs to, if there is one of that name."""
    match = _POOL_KEY.fullmatch(key)
    return match[1] if match else None


def pool_name_of(key: str, pools: Collection[str]) -> str | None:
    """The pool among these that a key's name says it belongs to."""
    pool = pool_in(key)
    return pool if pool in pools else None


def pool_scope(pool: str) -> str:
    """What happens to a pool's keys is told together: the scope of its events."""
    return f"pool {pool}"


def pool_summary(pool: str, standings: Iterable[tuple[State, Code | None]]) -> str:
    """`pool-a: 812 available, 40 unverified, 3 invalid credentials`.

    From each target's state and blocker; one that is blocked is counted by its blocker alone.
    """
    counts: Counter[State | Code] = Counter(blocker or state for state, blocker in standings)
    parts = [f"{counts[state]} {state}" for state in _STATE_ORDER if counts[state]]
    parts += [
        f"{count} {str(word).replace('_', ' ')}"
        for word, count in counts.most_common()
        if isinstance(word, Code)
    ]
    return f"{pool}: {', '.join(parts) or 'no targets'}"


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
