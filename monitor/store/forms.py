"""The forms of a value: rows are turned into values, and values into the JSON that commands print."""

import json
from collections.abc import Sequence
from dataclasses import asdict, fields
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any

from monitor.access.events import Event
from monitor.access.wait_times import Began, Opening
from monitor.access.words import (
    Code,
    Contract,
    DeclarationKind,
    EventKind,
    Hold,
    Reason,
    State,
    Surface,
)
from monitor.store.records import (
    AlertRow,
    DaemonRow,
    Declaration,
    HistoryRow,
    NotificationRow,
    NotificationState,
    RouteOfModel,
    Run,
    SpendRow,
    Status,
    TargetStatus,
)

if TYPE_CHECKING:  # the health check and `status` are to start without SQLAlchemy
    from sqlalchemy import Row

    AnyRow = Row[*tuple[Any, ...]]


def event_of(row: "AnyRow") -> Event:
    """The event of a row with the columns of `events`."""
    return Event(
        kind=EventKind(row.kind),
        reason=Reason(row.reason),
        at=row.at,
        target=row.target,
        scope=row.scope,
        route=row.route,
        before=State(row.before) if row.before else None,
        after=State(row.after) if row.after else None,
        diagnosis=code_of(row.diagnosis),
        request_id=row.request_id,
        facts=json.loads(row.facts),
        id=row.id,
    )


def target_of(row: "AnyRow") -> TargetStatus:
    """The status of a row of `targets` with the column `spend_today_usd` added."""
    return TargetStatus(
        target=row.name,
        key=row.key,
        organization=row.organization,
        project=row.project,
        route=row.route,
        contract=Contract(row.contract),
        model=row.model,
        surface=Surface(row.surface),
        state=State(row.state),
        since=row.since,
        blocker=code_of(row.blocker),
        last_probe_at=row.last_probe_at,
        last_diagnosis=code_of(row.last_diagnosis),
        next_probe_at=row.next_probe_at,
        spend_today_usd=row.spend_today_usd,
        held_by=Hold(row.held_by) if row.held_by else None,
    )


def notification_of(row: "AnyRow") -> NotificationRow:
    """The notification of a row of `notifications`, as the history shows it."""
    return NotificationRow(
        row.channel, NotificationState(row.state), row.attempts, row.delivered_at
    )


def alert_of(row: "AnyRow") -> AlertRow:
    """The alert of a row of `notifications` with `event` and `target` of its event added."""
    return AlertRow(
        id=row.id,
        transition_id=row.event_id,
        event=EventKind(row.event),
        target=row.target,
        channel=row.channel,
        state=NotificationState(row.state),
        attempts=row.attempts,
        created_at=row.created_at,
        next_attempt_at=row.next_attempt_at,
        delivered_at=row.delivered_at,
        dead_at=row.dead_at,
        last_error=row.last_error,
    )


def spend_of(row: "AnyRow") -> SpendRow:
    """The spending of a row of `spend`."""
    return SpendRow(row.key, row.day, row.settled_usd, row.probes, bool(row.estimated))


def daemon_of(row: "AnyRow") -> DaemonRow:
    """The daemon of the row of `daemon`."""
    return DaemonRow(
        row.pid, row.started_at, row.progress_at, row.stopped_at, json.loads(row.status)
    )


def declaration_of(row: "AnyRow") -> Declaration:
    """The declaration of a row of `declarations`."""
    return Declaration(row.id, DeclarationKind(row.kind), row.subject, row.at, row.source)


def opening_of(row: "AnyRow") -> Opening:
    """The propagation record of a row of `openings`."""
    return Opening(
        target=row.target,
        contract=Contract(row.contract),
        route=row.route,
        organization=row.organization,
        scope=row.scope,
        model=row.model,
        surface=Surface(row.surface),
        began=Began(row.began),
        declared_at=row.declared_at,
        started_at=row.started_at,
        first_light_at=row.first_light_at,
        settled_at=row.settled_at,
        probes=row.probes,
        cost_usd=row.cost_usd,
        flickers=row.flickers,
    )


def code_of(text: str | None) -> Code | None:
    """The diagnosis of a column that may be empty."""
    return Code(text) if text else None


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


def routes_as_json(routes: Sequence[RouteOfModel], *, since: datetime) -> dict[str, Any]:
    """The comparison of routes as `status --routes --format json` prints it."""
    return {"since": _value(since), "routes": [plain(asdict(route)) for route in routes]}


def _target(target: TargetStatus) -> dict[str, Any]:
    values = _fields(target)
    if target.held_by is None:
        del values["held_by"]
    return plain(values)


def _history(row: HistoryRow) -> dict[str, Any]:
    event = row.event
    return plain(
        {
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
