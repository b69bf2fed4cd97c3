"""Turns rows into values."""

import json
from datetime import datetime
from typing import Any

from sqlalchemy import Row

from monitor.access.happening import Happening
from monitor.access.words import (
    Code,
    Contract,
    EventKind,
    Gate,
    Hold,
    ProbeKind,
    Reason,
    State,
    Surface,
)
from monitor.store.latencies import from_text, percentile
from monitor.store.records import (
    AlertRow,
    DaemonRow,
    NotificationRow,
    NotificationState,
    Run,
    SpendRow,
    TargetStatus,
)

AnyRow = Row[*tuple[Any, ...]]


def happening_of(row: AnyRow) -> Happening:
    """The happening of a row with the columns of `happenings`."""
    return Happening(
        event=EventKind(row.event),
        reason=Reason(row.reason),
        at=row.at,
        target=row.target,
        scope=row.scope,
        route=row.route,
        before=State(row.before) if row.before else None,
        after=State(row.after) if row.after else None,
        diagnosis=_code(row.diagnosis),
        request_id=row.request_id,
        facts=json.loads(row.facts),
    )


def target_of(row: AnyRow) -> TargetStatus:
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
        blocker=_code(row.blocker),
        last_probe_at=row.last_probe_at,
        last_diagnosis=_code(row.last_diagnosis),
        next_probe_at=row.next_probe_at,
        spend_today_usd=row.spend_today_usd,
        held_by=Hold(row.held_by) if row.held_by else None,
    )


def notification_of(row: AnyRow) -> NotificationRow:
    """The notification of a row of `notifications`, as the history shows it."""
    return NotificationRow(
        row.channel, NotificationState(row.state), row.attempts, row.delivered_at
    )


def alert_of(row: AnyRow) -> AlertRow:
    """The alert of a row of `notifications` with `event` and `target` of its happening added."""
    return AlertRow(
        id=row.id,
        transition_id=row.happening_id,
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


def run_of(row: AnyRow) -> Run:
    """The run of a row of `runs` with the name of its `target` added."""
    requests = json.loads(row.request_ids)
    counts = from_text(row.latencies)
    median, late = percentile(counts, 0.5) or 0.0, percentile(counts, 0.95) or 0.0
    return Run(
        target=row.target,
        route=row.route,
        kind=ProbeKind(row.kind),
        diagnosis=_code(row.diagnosis),
        status=row.status,
        gate=Gate(row.gate) if row.gate else None,
        message=row.message,
        first_at=row.first_at,
        last_at=row.last_at,
        count=row.answers,
        request_ids=tuple(id_ for id_, _ in requests),
        request_times=tuple(datetime.fromisoformat(at) for _, at in requests),
        headers=json.loads(row.headers),
        latency_mean_ms=row.latency_sum_ms / row.answers,
        latency_min_ms=row.latency_min_ms,
        latency_max_ms=row.latency_max_ms,
        # the middle of a bucket may lie outside the measured range
        latency_median_ms=min(max(median, row.latency_min_ms), row.latency_max_ms),
        latency_p95_ms=min(max(late, row.latency_min_ms), row.latency_max_ms),
        reused=row.reused,
        fresh=row.fresh,
        connect_ms=row.connect_ms,
        tls_ms=row.tls_ms,
        first_byte_ms=row.first_byte_ms,
        cost_usd=row.cost_usd,
    )


def spend_of(row: AnyRow) -> SpendRow:
    """The spending of a row of `spend`."""
    return SpendRow(row.key, row.day, row.settled_usd, row.probes, bool(row.estimated))


def daemon_of(row: AnyRow) -> DaemonRow:
    """The daemon of the row of `daemon`."""
    return DaemonRow(
        row.pid, row.started_at, row.progress_at, row.stopped_at, json.loads(row.status)
    )


def _code(text: str | None) -> Code | None:
    return Code(text) if text else None
