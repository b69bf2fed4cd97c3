"""Pools: many keys of one file, shown and told of together. Pure."""

import re
from collections import Counter
from collections.abc import Collection, Iterable

from monitor.access.words import Code, State

#: Hexadecimal digits of a key's sha256 in its name; more where two keys of a pool share these.
DIGITS = 8

_KEY = re.compile(rf"(.+)-[0-9a-f]{{{DIGITS},64}}")
_ORDER = (State.AVAILABLE, State.PROPAGATING, State.UNVERIFIED, State.LOCKED, State.UNKNOWN)


def pool_of(key: str, pools: Collection[str]) -> str | None:
    """The pool among these that a key's name says it belongs to."""
    match = _KEY.fullmatch(key)
    return match[1] if match and match[1] in pools else None


def scope_of(pool: str) -> str:
    """What happens to a pool's keys is told together: the scope of its events."""
    return f"pool {pool}"


def summary(pool: str, standings: Iterable[tuple[State, Code | None]]) -> str:
    """`pool-a: 812 available, 40 unverified, 3 invalid credentials`.

    From each target's state and blocker; one that is blocked is counted by its blocker alone.
    """
    counts: Counter[State | Code] = Counter(blocker or state for state, blocker in standings)
    parts = [f"{counts[state]} {state}" for state in _ORDER if counts[state]]
    parts += [
        f"{count} {str(word).replace('_', ' ')}"
        for word, count in counts.most_common()
        if isinstance(word, Code)
    ]
    return f"{pool}: {', '.join(parts) or 'no targets'}"
