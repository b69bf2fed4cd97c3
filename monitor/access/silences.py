"""What people do not want to be told for a time: of what, where, and which events. Pure.

A pattern is a text of one of five forms, with `*`, `?` and `[…]` as in the settings:

| pattern | what it is of |
| --- | --- |
| `KEY/MODEL:SURFACE` | targets; whatever holds a `/` is of this form |
| `organization:ID` | the targets of an organization |
| `pool:NAME` | the targets of a pool, which the names of its keys tell |
| `channel:NAME` | what a channel is told |
| `event:KIND` | one kind of event |

Targets, organizations and pools say whom, channels where, events what. Of one of these any pattern may
match; of several each must. A silence that does not say whom is of everything.
"""

import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from fnmatch import translate
from functools import lru_cache

from monitor.access.events import Event
from monitor.access.target import key_of, pool_in
from monitor.access.words import DEAD_KEY, Code, EventKind, Owner

#: The longest silence, and how many may be in force at a time.
LONGEST = timedelta(days=90)
IN_FORCE_MOST = 200
#: Most patterns of a silence, most characters of each, and of the reason.
PATTERNS_MOST, PATTERN_CAP, REASON_CAP = 20, 500, 200

#: Events that pass unless a pattern of events names them: what was waited for, with what becomes of it, and
#: what says why no alert can come.
_PASSES = frozenset(
    {
        EventKind.FIRST_LIGHT,
        EventKind.SHUT_AGAIN,
        EventKind.UNPROVEN,
        EventKind.AVAILABLE,
        EventKind.STALE,
        EventKind.OFFLINE,
        EventKind.ONLINE,
        EventKind.BUDGET,
    }
)
#: Blockers come and go; those of a key pass, too.
_OF_BLOCKERS = frozenset({EventKind.BLOCKED, EventKind.UNBLOCKED})


class Part(StrEnum):
    """What a pattern is of; the value stands before its colon. `TARGET` has none."""

    TARGET = "target"
    ORGANIZATION = "organization"
    POOL = "pool"
    CHANNEL = "channel"
    EVENT = "event"


_WORDS = frozenset(Part) - {Part.TARGET}


def part_of(pattern: str) -> tuple[Part, str]:
    """What a pattern is of, and the rest of its text. Raises ValueError for what is no pattern."""
    word, colon, rest = pattern.partition(":")
    if "/" in pattern and word != Part.ORGANIZATION:
        return Part.TARGET, pattern
    if not colon or not rest or word not in _WORDS:
        raise ValueError("is no pattern of a silence")
    return Part(word), rest


@lru_cache(maxsize=8192)
def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(translate(pattern))


def matches(name: str, pattern: str) -> bool:
    """Whether a name matches a pattern of the settings' form; capitals and small letters differ.

    A name that is written out matches, though it holds the signs of a pattern: `vendor/[fast]model`.
    """
    return name == pattern or _compiled(pattern).match(name) is not None


@dataclass(frozen=True, slots=True)
class Silence:
    """What a person silenced, why, and until when (UTC). It is in force until it is ended."""

    id: int
    patterns: tuple[str, ...]
    reason: str
    by: str
    created_at: datetime
    expires_at: datetime
    ended_at: datetime | None = None

    def in_force(self, now: datetime) -> bool:
        """Whether it silences at this time."""
        return self.ended_at is None and now < self.expires_at

    def covers(self, event: Event, channel: str) -> bool:
        """Whether it silences an event for a channel, while it is in force."""
        if event.kind is EventKind.SILENCE_ENDED:
            return False  # a silence owes it
        kinds = self._of(Part.EVENT)
        named = any(matches(event.kind, kind) for kind in kinds)
        if (kinds or _passes(event)) and not named:
            return False
        return self.concerns(event, channel)

    def concerns(self, event: Event, channel: str) -> bool:
        """Whether it is of the event's target, or of all it concerns, for this channel, whatever the kind."""
        channels, organization = self._of(Part.CHANNEL), event.facts.get("organization")
        if channels and not any(matches(channel, name) for name in channels):
            return False
        if event.concerned:
            return all(self.touches(one.name, one.organization) for one in event.concerned)
        return self.touches(event.target, organization if isinstance(organization, str) else None)

    def touches(self, target: str | None, organization: str | None) -> bool:
        """Whether it is of this target, at least for some channels and events.

        What has no target is touched only by a silence that does not say whom.
        """
        targets, organizations = self._of(Part.TARGET), self._of(Part.ORGANIZATION)
        pools = self._of(Part.POOL)
        if not targets and not organizations and not pools:
            return True
        pool = pool_in(key_of(target)) if pools and target is not None else None
        return (
            (target is not None and any(matches(target, one) for one in targets))
            or (
                organization is not None
                and any(matches(organization, one) for one in organizations)
            )
            or (pool is not None and any(matches(pool, one) for one in pools))
        )

    def _of(self, part: Part) -> tuple[str, ...]:
        return _parts(self.patterns).get(part, ())


@lru_cache(maxsize=1024)
def _parts(patterns: tuple[str, ...]) -> dict[Part, tuple[str, ...]]:
    found: dict[Part, tuple[str, ...]] = {}
    for pattern in patterns:
        part, rest = part_of(pattern)
        found[part] = (*found.get(part, ()), rest)
    return found


def _passes(event: Event) -> bool:
    if event.kind in _PASSES:
        return True
    if event.kind not in _OF_BLOCKERS:
        return False
    named = event.facts.get("blocker")
    code = next((code for code in Code if code == named), event.diagnosis)
    return code is not None and (code in DEAD_KEY or code.owner is Owner.KEY)


def silenced_by(
    event: Event, channel: str, silences: Iterable[Silence], now: datetime
) -> Silence | None:
    """The silence that keeps an event from a channel at this time: of several the one that lasts longest."""
    found = [one for one in silences if one.in_force(now) and one.covers(event, channel)]
    return max(found, key=lambda one: (one.expires_at, one.id), default=None)


def fault_of(
    patterns: Collection[str], reason: str, expires_at: datetime, now: datetime
) -> str | None:
    """Why this cannot be a silence from `now` on, in words for people; None if it can."""
    if not 1 <= len(patterns) <= PATTERNS_MOST:
        return f"a silence has 1 to {PATTERNS_MOST} patterns"
    for pattern in patterns:
        if len(pattern) > PATTERN_CAP or not pattern.isprintable():
            return f"a pattern has at most {PATTERN_CAP} printable characters"
        try:
            part_of(pattern)
        except ValueError as error:
            return f"{pattern[:PATTERN_CAP]!r} {error}"
    if not reason.strip() or len(reason) > REASON_CAP or not reason.isprintable():
        return f"a silence needs a reason of 1 to {REASON_CAP} printable characters"
    if expires_at <= now:
        return "a silence must end after it begins"
    if expires_at - now > LONGEST:
        return f"a silence lasts at most {LONGEST.days} days: {expires_at:%Y-%m-%d} is later"
    return None
