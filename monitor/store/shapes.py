"""The JSON forms of query results, as the command line prints them."""

from collections.abc import Sequence
from dataclasses import asdict, fields
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any

from monitor.store.records import (
    AlertRow,
    DaemonRow,
    HistoryRow,
    NotificationRow,
    Run,
    SpendRow,
    Status,
    TargetStatus,
)

if TYPE_CHECKING:  # it imports SQLAlchemy
    from monitor.store.comparing import RouteOfModel


def as_json(row: Status | HistoryRow | AlertRow | SpendRow | Run | DaemonRow) -> dict[str, Any]:
    """The value as JSON values; times are RFC 3339 in UTC, to the millisecond."""
    if isinstance(row, Status):
        return {
            "targets": [_target(target) for target in row.targets],
            "notifications": {
                "pending": row.pending,
                "dead": row.dead,
                "oldest_pending_s": row.oldest_pending_s,
            },
        }
    if isinstance(row, HistoryRow):
        return _history(row)
    return plain(asdict(row))


def routes_as_json(routes: "Sequence[RouteOfModel]", *, since: datetime) -> dict[str, Any]:
    """The comparison of routes as `status --routes --format json` prints it."""
    return {"since": _value(since), "routes": [plain(asdict(route)) for route in routes]}


def _target(target: TargetStatus) -> dict[str, Any]:
    values = _fields(target)
    if target.held_by is None:
        del values["held_by"]
    return plain(values)


def _history(row: HistoryRow) -> dict[str, Any]:
    happening = row.happening
    return plain(
        {
            "id": row.id,
            "kind": happening.kind,
            "event": happening.event,
            "target": happening.target,
            "from": happening.before,
            "to": happening.after,
            "at": happening.at,
            "reason": happening.reason,
            "diagnosis": happening.diagnosis,
            "request_id": happening.request_id,
            "notifications": [plain(_fields(told)) for told in row.notifications],
        }
    )


def _fields(row: TargetStatus | NotificationRow) -> dict[str, Any]:
    """`asdict` for values without nested dataclasses, but faster: there are thousands of rows."""
    return {field.name: getattr(row, field.name) for field in fields(row)}


def plain(values: dict[str, Any]) -> dict[str, Any]:
    """A value's fields as JSON values."""
    return {name: _value(value) for name, value in values.items()}


def _value(value: Any) -> Any:
    if isinstance(value, datetime):
        text = value.astimezone(UTC).isoformat(timespec="milliseconds")
        return text.replace("+00:00", "Z")
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, dict):
        return plain(value)
    if isinstance(value, tuple):
        return [_value(item) for item in value]
    return value
