"""The forms of a value: rows are turned into values, and values into the JSON that commands print."""

import json
from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass
from datetime import UTC, date, datetime
from enum import StrEnum
from functools import cache
from typing import TYPE_CHECKING, Any, TypeVar, get_args, get_origin, get_type_hints

from monitor.store.records import HistoryRow, Status, TargetStatus

if TYPE_CHECKING:  # the health check and `status` are to start without SQLAlchemy
    import sqlite3

    from sqlalchemy import RowMapping

T = TypeVar("T")


def value_of(form: Callable[..., T], row: "RowMapping | sqlite3.Row", **given: Any) -> T:
    """A dataclass of this form: its fields are `given`, or read from the columns of their names.

    Enumerations are stored as their words and mappings as JSON. Raises ValueError or TypeError for what
    this program has not written.
    """
    readers, columns = _readers(form), row.keys()
    read = {name: readers[name](row[name]) for name in columns if name in readers}
    return form(**(read | given))


@cache
def _readers(form: Callable[..., Any]) -> dict[str, Callable[[Any], Any]]:
    return {name: _reader(hint) for name, hint in get_type_hints(form).items()}


def _reader(hint: Any) -> Callable[[Any], Any]:
    if get_origin(hint) is Mapping:
        return json.loads
    word, *optional = get_args(hint) or (hint,)
    if not (isinstance(word, type) and issubclass(word, StrEnum)):
        return lambda stored: stored
    return (lambda stored: word(stored) if stored else None) if optional else word


def as_json(value: Any) -> Any:
    """The value as JSON values; times are RFC 3339 in UTC, to the millisecond."""
    if value is None or isinstance(value, str | int | float):
        return value
    if isinstance(value, datetime):
        text = value.astimezone(UTC).isoformat(timespec="milliseconds")
        return text.replace("+00:00", "Z")
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, list | tuple):
        return [as_json(item) for item in value]
    if isinstance(value, Status):
        counts = {name: getattr(value, name) for name in ("pending", "dead", "oldest_pending_s")}
        return {"targets": as_json(value.targets), "notifications": counts}
    if isinstance(value, HistoryRow):
        value = _history(value)
    elif is_dataclass(value):
        unheld = isinstance(value, TargetStatus) and value.held_by is None
        names = (field.name for field in fields(value))
        value = {name: getattr(value, name) for name in names if not (unheld and name == "held_by")}
    return {name: as_json(item) for name, item in value.items()}


def _history(row: HistoryRow) -> dict[str, Any]:
    event = row.event
    return {
        "id": event.id,
        "kind": event.entry,
        "event": event.kind,
        "target": event.target,
        "from": event.before,
        "to": event.after,
        "at": event.at,
        "reason": event.reason,
        "diagnosis": event.diagnosis,
        "request_id": event.request_id,
        "notifications": row.notifications,
    }
