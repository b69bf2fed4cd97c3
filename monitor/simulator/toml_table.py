"""A TOML table that is read word by word, so that a word nobody asked for is found."""

from collections.abc import Mapping
from datetime import date, datetime
from difflib import get_close_matches
from typing import Any, TypeVar, cast

from monitor.simulator.scenario import ScenarioError

T = TypeVar("T")

_KINDS: dict[type, str] = {
    str: "a string",
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    list: "a list",
    dict: "a table",
    date: "a date",
}


class TomlTable:
    """A TOML table that is read word by word and then must be empty."""

    def __init__(self, place: str, raw: Mapping[str, Any]) -> None:
        self.place = place
        self._left = dict(raw)
        self._known: set[str] = set()

    def take(self, name: str, kind: type[T], default: T | None = None) -> T:
        """The value of that kind; an absent one is the default, or an error without one."""
        value = self.maybe(name, kind)
        if value is not None:
            return value
        if default is None:
            raise ScenarioError(f"{self.place}.{name}", "missing", f"give {_KINDS[kind]}")
        return default

    def maybe(self, name: str, kind: type[T]) -> T | None:
        """The value of that kind, or None when absent."""
        value = self.raw(name)
        if value is None:
            return None
        if kind is float and type(value) is int and abs(value) < 10**12:
            value = float(value)
        # bool is an int and a datetime is a date, for Python; for a person they are not.
        if not isinstance(value, kind) or (
            type(value) in (bool, datetime) and type(value) is not kind
        ):
            raise self.wrong(name, value, f"give {_KINDS[kind]}")
        if isinstance(value, str) and not value:
            raise self.wrong(name, value, "give a text that is not empty, or leave the key out")
        return cast("T", value)

    def raw(self, name: str) -> Any:
        """Whatever stands there, or None."""
        self._known.add(name)
        return self._left.pop(name, None)

    def tables(self, name: str) -> list["TomlTable"]:
        """The tables of an array of tables."""
        items = self.take(name, list, [])
        return [self._sub(f"{name}[{i}]", item) for i, item in enumerate(items, 1)]

    def table(self, name: str) -> "TomlTable":
        """A sub-table, empty when absent."""
        return self._sub(name, self.take(name, dict, {}))

    def items(self) -> list[str]:
        """The names that are left."""
        return list(self._left)

    def strings(self, name: str) -> list[str]:
        """A list of strings, empty when absent."""
        values = self.take(name, list, [])
        for value in values:
            if not isinstance(value, str) or not value:
                raise self.wrong(name, value, "give a list of strings")
        return values

    def wrong(self, name: str, value: object, advice: str) -> ScenarioError:
        """The error for a value of this table; a secret is not quoted."""
        shown = "a value that is not shown" if name == "secret" else _quoted(value)
        return ScenarioError(f"{self.place}.{name}", f"found {shown}", advice)

    def finish(self) -> None:
        """Raises ScenarioError for the first word nobody asked for."""
        for name in self._left:
            near = get_close_matches(name, self._known, 1)
            known = ", ".join(sorted(self._known))
            advice = f"did you mean {near[0]}?" if near else f"known here: {known}"
            raise ScenarioError(f"{self.place}.{name}", "unknown key", advice)

    def _sub(self, name: str, raw: object) -> "TomlTable":
        if not isinstance(raw, dict):
            raise self.wrong(name, raw, "give a table")
        return TomlTable(f"{self.place}.{name}", raw)


def _quoted(value: object) -> str:
    """A value about as it stands in the file, cut."""
    return f"{value!s:.60}" if isinstance(value, date) else f"{value!r:.60}"
