"""pydantic's errors in words that a person can act on, never showing a secret."""

import re
from datetime import date, datetime, time
from typing import Any

from pydantic_core import ErrorDetails

from monitor.config.problems import Path, shown, suggestion
from monitor.config.schema import section_at

_KEY = "[key]"  # how pydantic marks that a table's key is wrong, not what is under it

_WANTED = {
    "string_type": "text in quotes",
    "bool_type": "true or false",
    "int_type": "a whole number",
    "float_type": "a number",
    "tuple_type": "a list in [ ]",
    "frozen_set_type": "a list in [ ]",
    "dict_type": "a table",
    "dataclass_type": "a table",
    "date_type": "a date without quotes and without a time, as in 2026-12-11",
}
_BOUNDS = {
    "greater_than": ("gt", "must be more than"),
    "greater_than_equal": ("ge", "must not be less than"),
    "less_than": ("lt", "must be less than"),
    "less_than_equal": ("le", "must not be more than"),
}


def path_of(error: ErrorDetails) -> Path:
    """Where in the file the error is."""
    path = tuple(part for part in error["loc"] if part != _KEY)
    below: Path = error.get("ctx", {}).get("below", ())
    return (*path, *below)


def follows(error: ErrorDetails) -> bool:
    """Whether it only follows from another: nothing is left of a list, or a default cannot be made."""
    empty = error["type"] == "too_short" and not error["input"]
    return error["type"] in ("too_short", "default_factory_not_called") and not empty


def words_of(error: ErrorDetails) -> str:
    """What is wrong and what to do, after the value where it may be shown."""
    kind, value, context = error["type"], error["input"], error.get("ctx", {})
    path = path_of(error)
    if kind == "unexpected_keyword_argument":
        # Its value is not shown: nobody knows what it was meant to be.
        return f"unknown setting; {suggestion(str(path[-1]), section_at(path[:-1]))}"
    if kind == "missing":
        return f"is missing: {section_at(path[:-1])[str(path[-1])]['description']}"
    if kind in _WANTED:
        text = f"must be {_WANTED[kind]}, not {_kind(value)}"
    elif kind in _BOUNDS:
        name, phrase = _BOUNDS[kind]
        text = f"{phrase} {context[name]:g}"
    elif kind == "too_short":
        text = "must not be empty: leave it out for the default"
    elif kind == "finite_number":
        text = "must be a finite number"
    elif kind == "enum":
        # the schema may leave out a word that is always refused
        own = section_at(path[:-1]).get(str(path[-1]), {}).get("enum")
        words = own or re.findall("'([^']*)'", context["expected"])
        if not isinstance(value, str):
            text = f"must be one of: {', '.join(words)}"
        else:
            text = f"is not known; {suggestion(value, words)}"
    elif kind == "value_error":
        text = str(context["error"])
    else:
        text = error["msg"]
    if context.get("hidden") or context.get("below") or _KEY in error["loc"]:
        return text
    return f"{shown(value)}: {text}" if isinstance(value, str | int | float | date) else text


def _kind(value: Any) -> str:
    match value:
        case bool():
            return "true or false"
        case int() | float():
            return "a number"
        case str():
            return "text"
        case list():
            return "a list"
        case dict():
            return "a table"
        case datetime() | time():
            return "a time"
        case _:
            return "a date" if isinstance(value, date) else "that"
