"""Typed access to an event's facts, as text that is safe to show. Pure.

A missing or malformed fact is None, and its line is left out.
"""

import math
import re
import unicodedata
from collections.abc import Mapping
from datetime import UTC, date, datetime
from typing import Any

from monitor.access.events import Event
from monitor.access.target import split_capability
from monitor.access.words import Code, Contract, Gate, Owner

#: Most characters of a server's answer in a message; the history has all of it.
WORDS_CAP = 300
TITLE_CAP = 120
#: Most of the evidence bundle in a message; a Slack message has room for some 3,000 characters more.
BLOCK_CAP, BLOCK_LINES = 3000, 80

#: Text that a service acts upon or that people take for ours; a space in it prevents that: a mention of one
#: person or of all, a link behind other words, a picture, the id of a message.
_ACTIVE = re.compile(r"(?<![\w.])@(?=[\w*])|<(?=users/)|\](?=\()|\[(?=#\d)")


class Facts:
    """The facts of one event; `monitor.alerts.messages` lists the keys."""

    def __init__(self, event: Event, channel: str | None = None):
        self.event = event
        self._channel = channel
        self._values: Mapping[str, Any] = event.facts
        key, _, capability = (event.target or "").partition("/")
        model, surface = split_capability(capability)
        self.key = self.text("key") or (name(key) or None)
        self.model = self.text("model") or (name(model) or None)
        self.surface = self.text("surface") or (surface and str(surface))
        self.organization = self.text("organization")

    def text(self, key: str) -> str | None:
        """A name or a number as clean, short text."""
        value = self._values.get(key)
        if isinstance(value, bool) or not isinstance(value, str | int | float):
            return None
        return name(str(value)) or None

    def words(self, key: str) -> str | None:
        """A server's words, clean and capped."""
        value = self._values.get(key)
        return (clean(value) or None) if isinstance(value, str) else None

    def link(self, key: str) -> str:
        """An address that the monitor made: it has nothing that could end a link; empty for none."""
        value = self._values.get(key)
        if not isinstance(value, str) or not value.startswith(("https://", "http://")):
            return ""
        return value if value.isascii() and not set(value) & set(' <>|"`') else ""

    def block(self, key: str) -> str:
        """Several lines, each clean, capped together; empty for none."""
        value = self._values.get(key)
        return clean_block(value) if isinstance(value, str) else ""

    def number(self, key: str) -> float | None:
        """A finite number."""
        value = self._values.get(key)
        if isinstance(value, bool) or not isinstance(value, int | float):
            return None
        return float(value) if math.isfinite(value) else None

    def names(self, key: str, most: int = 5) -> tuple[str, ...]:
        """The last few of a list of names; one name counts as a list of one."""
        value = self._values.get(key)
        found = [value] if isinstance(value, str) else value
        if not isinstance(found, list | tuple):
            return ()
        return tuple(name(str(item)) for item in found[-most:] if item)

    def counts(self, key: str) -> str | None:
        """A mapping of words to numbers as `3 available, 1 locked`, without zeros."""
        value = self._values.get(key)
        if not isinstance(value, Mapping):
            return None
        parts = [f"{count} {name(str(word))}" for word, count in value.items() if count]
        return ", ".join(parts[:20]) or None

    def entries(self, key: str) -> list[Mapping[str, Any]]:
        """A list of mappings; their values are as they came."""
        value = self._values.get(key)
        return [one for one in value if isinstance(one, Mapping)] if isinstance(value, list) else []

    @property
    def hidden_before(self) -> list[int]:
        """The numbers of the target's earlier events that a silence kept from this channel, or from any."""
        value = self._values.get("hidden_before")
        if not isinstance(value, Mapping):
            return []
        lists = value.values() if self._channel is None else [value.get(self._channel)]
        found = (id_ for ids in lists if isinstance(ids, list) for id_ in ids)
        return sorted({id_ for id_ in found if type(id_) is int and id_})

    @property
    def silenced_until(self) -> datetime | None:
        """Until when a silence keeps other events of the target from this channel, or from any."""
        value = self._values.get("silenced")
        if not isinstance(value, Mapping):
            return None
        its = value.values() if self._channel is None else [value.get(self._channel)]
        found = [_time(one.get("until")) for one in its if isinstance(one, Mapping)]
        return max((at for at in found if at), default=None)

    def time(self, key: str) -> datetime | None:
        """An ISO 8601 time, aware."""
        return _time(self._values.get(key))

    def day(self, key: str) -> date | None:
        """An ISO 8601 date."""
        value = self._values.get(key)
        try:
            return date.fromisoformat(value[:10]) if isinstance(value, str) else None
        except ValueError:
            return None

    @property
    def provider(self) -> bool:
        """True on a provider route."""
        return self._values.get("contract") == Contract.PROVIDER

    @property
    def access(self) -> str:
        """What opened or shut. Success over a provider route is never OpenAI access."""
        if self.provider:
            return "provider access"
        return "OpenAI access" if self._values.get("contract") == Contract.DIRECT else "access"

    @property
    def access_first(self) -> str:
        """`access` as the first words of a sentence."""
        return self.access[0].upper() + self.access[1:]

    @property
    def gate(self) -> Gate | None:
        """Which gate refused."""
        return next((gate for gate in Gate if gate == self._values.get("gate")), None)

    @property
    def owner(self) -> Owner | None:
        """Whose problem it is."""
        return next((owner for owner in Owner if owner == self._values.get("owner")), None)

    @property
    def blocker(self) -> Code | None:
        """The blocker: the fact, else the diagnosis."""
        value = self._values.get("blocker")
        return next((code for code in Code if code == value), self.event.diagnosis)

    @property
    def capability(self) -> str:
        """`MODEL on SURFACE`, as far as they are known."""
        if self.model and self.surface:
            return f"{self.model} on {self.surface}"
        return self.model or "the model"

    @property
    def subject(self) -> str:
        """The subject of a title: the capability and key, else the organization or route."""
        if self.model:
            capability = f"{self.model}:{self.surface}" if self.surface else self.model
            return f"{capability} ({self.key})" if self.key else capability
        if self.organization or self.event.scope:
            return self.organization or name(self.event.scope or "")
        return f"route {name(self.event.route)}" if self.event.route else ""

    @property
    def who(self) -> str:
        """The subject of a declaration, as `declare` takes it: the organization, else the key."""
        return self.organization or self.key or "ORGANIZATION"

    @property
    def declare_command(self) -> str:
        """The command that tells the monitor of a completed verification."""
        return f"`access-monitor declare verified {self.who}`"

    @property
    def evidence_command(self) -> str:
        """The command that prints the evidence for support."""
        target = self.event.target
        return f"`access-monitor evidence {name(target) if target else 'TARGET'}`"


def _time(value: Any) -> datetime | None:
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value)
        except ValueError:
            return None
    return value if isinstance(value, datetime) and value.tzinfo else None


def moment(at: datetime) -> str:
    """A time in UTC, to the second, for people to read."""
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"


def clean(text: str, cap: int = WORDS_CAP) -> str:
    """Words from outside on one line, capped, without control, bidirectional or invisible characters.

    The result mentions nobody and does not look like a message id of ours.
    """
    # Cut before looking at each character: a server may send megabytes.
    kept = text[: cap * 8]
    if not kept.isprintable():
        kept = "".join(
            " " if char.isspace() else char
            for char in kept
            if char.isspace() or unicodedata.category(char)[0] != "C"
        )
    folded = _ACTIVE.sub(r"\g<0> ", " ".join(kept.split()))
    return folded if len(folded) <= cap else folded[: cap - 1].rstrip() + "…"


def clean_block(text: str) -> str:
    """Lines from outside, each clean; at most `BLOCK_LINES` lines and `BLOCK_CAP` characters."""
    lines = [clean(line) for line in text[: BLOCK_CAP * 2].splitlines()]
    block = "\n".join(lines[:BLOCK_LINES]).strip("\n")
    return block if len(block) <= BLOCK_CAP else block[: BLOCK_CAP - 1].rstrip() + "…"


def name(text: str) -> str:
    """A name from the settings, safe in prose: clean, and never a command."""
    return clean(text, 100).replace("`", "'")


def title(text: str, tag: str = "", *, most: int = TITLE_CAP) -> str:
    """One line of at most `most` characters for a mail's Subject; a cut keeps `tag` at its end."""
    room = max(most - len(tag) - 1, 1) if tag else most
    return f"{clean(text, room)} {tag}".rstrip()
