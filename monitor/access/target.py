"""How capabilities, targets and pools are named: `MODEL:SURFACE`, `KEY/MODEL:SURFACE`, `POOL-DIGITS`."""

import re
from collections import Counter
from collections.abc import Collection, Iterable
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


def pool_name_of(key: str, pools: Collection[str]) -> str | None:
    """The pool among these that a key's name says it belongs to."""
    match = _POOL_KEY.fullmatch(key)
    return match[1] if match and match[1] in pools else None


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
