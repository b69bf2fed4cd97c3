"""The JSON forms of what the queries return, as the command line prints them."""

from dataclasses import asdict
from datetime import UTC, date, datetime
from typing import Any

from monitor.store.records import AlertRow, DaemonRow, HistoryRow, Run, SpendRow, Status


def as_json(row: Status | HistoryRow | AlertRow | SpendRow | Run | DaemonRow) -> dict[str, Any]:
    """The value as JSON values; times are RFC 3339 in UTC, to the millisecond."""
    if isinstance(row, Status):
        return {
            "targets": [_plain(asdict(target)) for target in row.targets],
            "notifications": {"pending": row.pending, "dead": row.dead},
        }
    if isinstance(row, HistoryRow):
        return _history(row)
    return _plain(asdict(row))


def _history(row: HistoryRow) -> dict[str, Any]:
    happening = row.happening
    return _plain(
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
            "notifications": [_plain(asdict(told)) for told in row.notifications],
        }
    )


def _plain(values: dict[str, Any]) -> dict[str, Any]:
    return {name: _value(value) for name, value in values.items()}


def _value(value: Any) -> Any:
    if isinstance(value, datetime):
        text = value.astimezone(UTC).isoformat(timespec="milliseconds")
        return text.replace("+00:00", "Z")
    if isinstance(value, date):
        return value.isoformat()
    return value
