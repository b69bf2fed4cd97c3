"""What people type to say what they silence, read as the patterns of `monitor.access.silences`."""

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from glob import escape

from monitor.access.silences import PATTERN_CAP, Part, matches, part_of
from monitor.access.words import EventKind
from monitor.config.problems import shown, suggestion

_SIGNS = re.compile(r"[*?[]")


@dataclass(frozen=True, slots=True)
class Names:
    """What there is to be silenced: names of targets, pools and channels, and organizations' ids."""

    targets: Collection[str]
    organizations: Collection[str]
    pools: Collection[str]
    channels: Collection[str]

    @property
    def keys(self) -> set[str]:
        """The names of the keys, those of pools included."""
        return {target.partition("/")[0] for target in self.targets}


def patterns_of(words: Sequence[str], names: Names) -> tuple[str, ...]:
    """The patterns that words mean, each once.

    A word is a target, a pattern of targets, a key, a pool, an organization, or `channel:NAME`,
    `event:KIND`, `organization:ID`, `pool:NAME`. Raises ValueError, with the nearest that there is, for a
    word that means nothing here.
    """
    return tuple(dict.fromkeys(_pattern(word, names) for word in words))


def _pattern(word: str, names: Names) -> str:
    if len(word) > PATTERN_CAP:
        raise ValueError(f"a pattern has at most {PATTERN_CAP} characters; {shown(word)} has more")
    try:
        part, rest = part_of(word)
    except ValueError:
        return _named(word, names)
    if part is Part.TARGET:
        return _of_targets(word, names)
    if part is not Part.ORGANIZATION and word in names.keys:
        return f"{word}/*"  # a key's name may hold a colon
    known: dict[Part, Collection[str]] = {
        Part.ORGANIZATION: names.organizations,
        Part.POOL: names.pools,
        Part.CHANNEL: names.channels,
        Part.EVENT: list(EventKind),
    }
    if any(matches(name, rest) for name in known[part]):
        return word
    raise ValueError(f"no {part} is named {shown(rest)}; {suggestion(rest, known[part])}")


def _of_targets(word: str, names: Names) -> str:
    # the surface may be left out, also of a model whose name holds the signs of a pattern
    for pattern in (word, f"{word}:*", f"{escape(word)}:*"):
        if any(matches(name, pattern) for name in names.targets):
            return pattern
    raise ValueError(f"no target is named {shown(word)}; {suggestion(word, names.targets)}")


def _named(word: str, names: Names) -> str:
    """The pattern of a bare word: a key, an organization, a pool, or a pattern of keys."""
    keys = names.keys
    if word in keys:
        return f"{word}/*"
    if word in names.organizations:
        return f"{Part.ORGANIZATION}:{word}"
    if word in names.pools:
        return f"{Part.POOL}:{word}"
    if _SIGNS.search(word) and any(matches(key, word) for key in keys):
        return f"{word}/*"
    known = {*keys, *names.organizations, *names.pools, *names.targets}
    raise ValueError(
        f"no key, pool, organization or target is named {shown(word)}; {suggestion(word, known)}"
    )
