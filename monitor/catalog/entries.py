"""Reading one entry of `models.toml`, or of the settings' `[catalog.models.NAME]`, strictly."""

import difflib
import math
from collections.abc import Callable, Mapping
from dataclasses import fields, replace
from datetime import date, datetime
from enum import StrEnum
from typing import Any, TypeVar

from monitor.access.words import Gate, Surface
from monitor.catalog.model import Model, Price

_Word = TypeVar("_Word", bound=StrEnum)

#: The gate each surface usually has (FACTS of the gate's answers); chat and responses have one only
#: for some models, so an entry must say so.
USUAL_GATES: Mapping[Surface, Gate] = {
    Surface.IMAGES: Gate.MODEL,
    Surface.EDITS: Gate.MODEL,
    Surface.IMAGE_TOOL: Gate.MODEL,
    Surface.STREAM: Gate.STREAM,
    Surface.SUMMARY: Gate.SUMMARY,
}


class _ProblemError(Exception):
    """What is wrong with a value; told with its entry and field."""


class CatalogError(ValueError):
    """An entry that cannot be used. `entry` is the model's name, `field` is empty for the whole."""

    def __init__(self, entry: str, field: str, problem: str) -> None:
        self.entry = entry
        self.field = field
        self.problem = problem
        super().__init__(f"model {entry!r}{', ' + field if field else ''}: {problem}")


def read_entry(name: str, entry: object, known: Model | None = None) -> Model:
    """The model that `entry` describes; with `known`, only what the entry names is changed.

    Raises CatalogError naming the entry and the field.
    """
    if not name or name != name.strip() or not name.isprintable():
        raise CatalogError(
            name, "", "the name is empty or has blanks around it or control characters"
        )
    if not isinstance(entry, Mapping):
        raise CatalogError(name, "", f"must be a table, not {_kind(entry)}")
    values: dict[str, Any] = {}
    for key, value in entry.items():
        reader = _READERS.get(key)
        if reader is None:
            raise CatalogError(name, str(key), f"is not known{_nearest(str(key), _READERS)}")
        try:
            values[key] = reader(value)
        except _ProblemError as problem:
            raise CatalogError(name, key, str(problem)) from None
    if known is None:
        if "surfaces" not in values:
            raise CatalogError(name, "surfaces", "is missing")
        known = Model(
            name=name,
            surfaces=values["surfaces"],
            gates={s: USUAL_GATES[s] for s in values["surfaces"] if s in USUAL_GATES},
            price=None,
            shutdown=None,
            family=name,
            source="settings",
            checked=None,
        )
    model = replace(known, **values)
    for surface in values.get("gates", ()):
        if surface not in model.surfaces:
            raise CatalogError(name, f"gates.{surface}", "is not among the model's surfaces")
    return model


def _kind(value: object) -> str:
    return {dict: "a table", list: "a list", str: "text", bool: "true or false"}.get(
        type(value), "a number" if isinstance(value, int | float) else type(value).__name__
    )


def _nearest(word: str, words: Mapping[str, object]) -> str:
    near = difflib.get_close_matches(word, words, n=1)
    return f"; did you mean {near[0]!r}?" if near else f"; known are {', '.join(words)}"


def _word(kind: type[_Word], value: object) -> _Word:
    words = {str(word): word for word in kind}
    if not isinstance(value, str):
        raise _ProblemError(f"must be text, not {_kind(value)}")
    if value not in words:
        raise _ProblemError(f"{value!r} is not known{_nearest(value, words)}")
    return words[value]


def _text(value: object) -> str:
    if not isinstance(value, str) or not value.strip():
        raise _ProblemError("must be text that is not empty")
    return value


def _surfaces(value: object) -> tuple[Surface, ...]:
    if not isinstance(value, list | tuple) or not value:
        raise _ProblemError("must be a list of at least one surface, the usual one first")
    surfaces = tuple(_word(Surface, item) for item in value)
    if len(set(surfaces)) < len(surfaces):
        raise _ProblemError("names a surface twice")
    return surfaces


def _gates(value: object) -> Mapping[Surface, Gate]:
    if not isinstance(value, Mapping):
        raise _ProblemError(f"must be a table of surfaces and gates, not {_kind(value)}")
    return {_word(Surface, surface): _word(Gate, gate) for surface, gate in value.items()}


def _price(value: object) -> Price:
    if not isinstance(value, Mapping) or not value:
        raise _ProblemError("must be a table of dollars per million tokens")
    kinds = {spec.name: None for spec in fields(Price)}
    for kind, dollars in value.items():
        if kind not in kinds:
            raise _ProblemError(f"{kind!r} is not known{_nearest(str(kind), kinds)}")
        if isinstance(dollars, bool) or not isinstance(dollars, int | float):
            raise _ProblemError(f"{kind} must be a number, not {_kind(dollars)}")
        if not math.isfinite(dollars) or dollars < 0:
            raise _ProblemError(f"{kind} must be 0 or more, not {dollars}")
    return Price(**{kind: float(dollars) for kind, dollars in value.items()})


def _date(value: object) -> date:
    if isinstance(value, datetime) or not isinstance(value, date):
        raise _ProblemError("must be a date such as 2026-12-11, without quotes and without a time")
    return value


def _flag(value: object) -> bool:
    if not isinstance(value, bool):
        raise _ProblemError(f"must be true or false, not {_kind(value)}")
    return value


def _count(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value <= 0:
        raise _ProblemError("must be a whole number above 0")
    return value


_READERS: Mapping[str, Callable[[object], Any]] = {
    "surfaces": _surfaces,
    "gates": _gates,
    "price": _price,
    "shutdown": _date,
    "family": _text,
    "source": _text,
    "checked": _date,
    "any_size": _flag,
    "square_tokens": _count,
}
