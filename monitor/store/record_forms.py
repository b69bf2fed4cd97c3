"""The records in rows of the database and in JSON."""

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass
from datetime import date, datetime
from enum import StrEnum
from functools import cache
from types import NoneType
from typing import TYPE_CHECKING, Any, TypeVar, get_args, get_origin, get_type_hints

from monitor.access.events import Event
from monitor.access.readable import rfc3339
from monitor.store.records import HistoryRow, Status, TargetStatus

if TYPE_CHECKING:  # the health check and `status` are to start without SQLAlchemy
    from sqlalchemy import RowMapping

    from monitor.store.connections import Row

T = TypeVar("T")


def value_of(form: Callable[..., T], row: "RowMapping | Row", **given: Any) -> T:
    """A dataclass of this form: its fields are `given`, or read from the columns of their names.

    Enumerations are stored as their words, mappings and tuples as JSON. Raises LookupError, ValueError or
    TypeError for what this program has not written.
    """
    columns = tuple(row.keys())
    readers, others = _columns_of(form, columns)
    # all at once: to find a column by its name takes longer than to read it
    stored = row.values() if isinstance(row, Mapping) else row
    read = dict(zip(columns, stored, strict=True))
    for name, reader in readers:
        read[name] = reader(read[name])
    for name in others:
        del read[name]
    return form(**(read | given) if given else read)


@cache
def _columns_of(
    form: Callable[..., Any], columns: tuple[str, ...]
) -> tuple[list[tuple[str, Callable[[Any], Any]]], list[str]]:
    """What reads those columns that are not stored as they are, and the columns that are no fields."""
    hints = get_type_hints(form)
    readers = [(name, _reader(hints[name])) for name in columns if name in hints]
    return (
        [(name, reader) for name, reader in readers if reader is not None],
        [name for name in columns if name not in hints],
    )


def _reader(hint: Any) -> Callable[[Any], Any] | None:
    if get_origin(hint) is Mapping:
        return json.loads
    if get_origin(hint) is tuple:
        return lambda stored: tuple(json.loads(stored))
    form, *optional = get_args(hint) or (hint,)
    if not (isinstance(form, type) and issubclass(form, StrEnum)):
        return None
    # looking a word up takes a fifth of the time of calling the enumeration
    words: dict[Any, Any] = {str(word): word for word in form}
    return (words | {None: None, "": None} if optional else words).__getitem__


_PLAIN = (str, int, float, NoneType)


def as_json(value: Any) -> Any:
    """The value as JSON values; times are RFC 3339 in UTC, to the millisecond."""
    if isinstance(value, _PLAIN):
        return value
    if isinstance(value, datetime):
        return rfc3339(value)
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, list | tuple):
        return [as_json(item) for item in value]
    if isinstance(value, Status):
        counts = ("pending", "dead", "silenced", "oldest_pending_s")
        return {
            "targets": as_json(value.targets),
            "notifications": {name: getattr(value, name) for name in counts},
            "silences": as_json(value.silences),
            "workers": as_json(value.workers),
        }
    if isinstance(value, HistoryRow):
        value = event_as_json(value.event) | {"notifications": value.notifications}
    elif names := _fields_of(value.__class__):
        unheld = isinstance(value, TargetStatus) and value.held_by is None
        value = {name: getattr(value, name) for name in names if not (unheld and name == "held_by")}
    return {
        name: item if isinstance(item, _PLAIN) else as_json(item) for name, item in value.items()
    }


@cache
def _fields_of(form: Any) -> tuple[str, ...]:
    """The names of a dataclass's fields; none of anything else."""
    return tuple(field.name for field in fields(form)) if is_dataclass(form) else ()


def event_as_json(event: Event) -> dict[str, Any]:
    """An event as the history shows it, without who was told."""
    return {
        "id": event.id,
        "kind": event.entry,
        "event": event.kind,
        "target": event.target,
        "from": event.before,
        "to": event.after,
        "at": as_json(event.at),
        "reason": event.reason,
        "diagnosis": event.diagnosis,
        "request_id": event.request_id,
    }


# --- latencies ---

# The latencies of a run are counted in buckets of growing width: little to store, and percentiles within 5 %.
# One count per bucket that occurred is stored as JSON: `{"50": 812, "51": 190}`.

#: Ratio of the middles of neighbouring buckets: the error of a percentile is at most half of the step.
_RATIO = 1.1
_LOG = math.log(_RATIO)
#: Longest latency in milliseconds; longer ones are counted in its bucket.
_LONGEST = 1e6

#: Answers by bucket: bucket n is around 1.1 ** n milliseconds.
Counts = Mapping[int, int]


def with_latency(counts: Counts, ms: float) -> dict[int, int]:
    """The counts with one more latency, in milliseconds."""
    bucket = round(math.log(min(ms, _LONGEST)) / _LOG) if ms > 1.0 else 0
    return {**counts, bucket: counts.get(bucket, 0) + 1}


def percentile(counts: Counts, share: float) -> float | None:
    """The latency in milliseconds that this share (0 to 1) of answers did not exceed; None without any."""
    wanted, seen = share * sum(counts.values()), 0
    for bucket in sorted(counts):
        seen += counts[bucket]
        if seen >= wanted:
            return round(float(_RATIO**bucket), 1)
    return None


def median_and_p95(counts: Counts) -> tuple[float | None, float | None]:
    """The median and the 95th percentile in milliseconds; None without any."""
    return percentile(counts, 0.5), percentile(counts, 0.95)


def latencies_of(text: str) -> dict[int, int]:
    """The counts in their stored form."""
    return {int(bucket): count for bucket, count in json.loads(text).items()}
