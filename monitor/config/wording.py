"""pydantic's errors in words that a person can act on, never showing a secret."""

from datetime import date, datetime, time
from typing import Any, get_args, get_origin

from pydantic import BaseModel
from pydantic_core import ErrorDetails

from monitor.config.problems import Path, shown, suggestion

_KEY = "[key]"  # how pydantic marks that a table's key is wrong, not what is under it

_WANTED = {
    "string_type": "text in quotes",
    "bool_type": "true or false",
    "int_type": "a whole number",
    "float_type": "a number",
    "list_type": "a list in [ ]",
    "dict_type": "a table",
    "model_type": "a table",
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


def words_of(error: ErrorDetails, form: type[BaseModel]) -> str:
    """What is wrong and what to do, after the value where it may be shown."""
    kind, value, context = error["type"], error["input"], error.get("ctx", {})
    path = path_of(error)
    if kind == "extra_forbidden":
        # Its value is not shown: nobody knows what it was meant to be.
        return (
            f"unknown setting; {suggestion(str(path[-1]), _section(form, path[:-1]).model_fields)}"
        )
    if kind == "missing":
        field = _section(form, path[:-1]).model_fields.get(str(path[-1]))
        about = field.description if field else None
        return f"is missing: {about}" if about else "is missing"
    if kind in _WANTED:
        text = f"must be {_WANTED[kind]}, not {_kind(value)}"
    elif kind in _BOUNDS:
        name, phrase = _BOUNDS[kind]
        text = f"{phrase} {context[name]:g}"
    elif kind == "too_short":
        text = "must not be empty: leave it out for the default"
    elif kind == "finite_number":
        text = "must be a finite number"
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


def _section(form: type[BaseModel], path: Path) -> type[BaseModel]:
    """The model of the section at the path."""
    parts = iter(path)
    for part in parts:
        field = form.model_fields.get(str(part))
        inner = _model_in(field.annotation) if field else None
        if field and inner:
            form = inner
            if get_origin(field.annotation) is dict:
                next(parts, None)  # the name that the section has in the file
    return form


def _model_in(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((found for arg in get_args(annotation) if (found := _model_in(arg))), None)
