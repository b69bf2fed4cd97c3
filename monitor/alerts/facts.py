"""Typed access to an event's facts. A missing or malformed fact is None, and its line is left out."""

import math
from collections.abc import Mapping
from datetime import UTC, date, datetime
from typing import Any

from monitor.access.events import Event
from monitor.access.target import split_capability
from monitor.access.words import Code, Contract, Gate, Owner
from monitor.alerts.clean import clean, clean_block, name


class Facts:
    """The facts of one event; `monitor.alerts.messages` lists the keys."""

    def __init__(self, event: Event):
        self.event = event
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

    def time(self, key: str) -> datetime | None:
        """An ISO 8601 time, aware."""
        value = self._values.get(key)
        if isinstance(value, str):
            try:
                value = datetime.fromisoformat(value)
            except ValueError:
                return None
        return value if isinstance(value, datetime) and value.tzinfo else None

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


def moment(at: datetime) -> str:
    """A time in UTC, to the second, for people to read."""
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"
