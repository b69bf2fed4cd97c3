"""Queries from any process, also while the daemon writes.

Each opens a read-only connection, reads as of one moment, and returns at most `limit` rows where it has a
limit. All raise StoreError when there is no database yet or it cannot be read.
"""

from datetime import date, datetime
from itertools import groupby
from pathlib import Path

from sqlalchemy import ColumnElement, func, select

from monitor.access.words import DeclarationKind, ProbeKind
from monitor.store import inbox, tables
from monitor.store.connections import reading
from monitor.store.records import (
    AlertRow,
    DaemonRow,
    Declaration,
    HistoryRow,
    NotificationState,
    Run,
    SpendRow,
)
from monitor.store.rows import (
    alert_of,
    daemon_of,
    happening_of,
    notification_of,
    run_of,
    spend_of,
)

#: Most rows of a result, the newest, unless the caller asks for more.
LIMIT = 1000

_targets = tables.targets.c
_runs = tables.runs.c
_happenings = tables.happenings.c
_notifications = tables.notifications.c
_spend = tables.spend.c


def daemon(path: Path) -> DaemonRow | None:
    """The daemon that has the database, or had it last."""
    with reading(path) as connection:
        row = connection.execute(select(tables.daemon)).one_or_none()
        return daemon_of(row) if row else None


def declared(path: Path) -> dict[str, Declaration]:
    """The latest declaration of each organization and key, by subject; those still in the inbox included."""
    table = tables.declarations
    with reading(path) as connection:
        rows = connection.execute(select(table).order_by(table.c.at, table.c.id))
        told = [
            Declaration(row.id, DeclarationKind(row.kind), row.subject, row.at, row.source)
            for row in rows
        ]
        for item in inbox.waiting(connection):
            if item.kind == "declare" and (found := inbox.read_declaration(item.payload)):
                kind, subject, at = found
                told.append(Declaration(item.id, kind, subject, at, "inbox"))
    return {one.subject: one for one in sorted(told, key=lambda one: one.at)}


def history(
    path: Path, target: str | None = None, *, since: datetime | None = None, limit: int = LIMIT
) -> list[HistoryRow]:
    """The newest `limit` happenings, oldest first, of the targets that a name or pattern selects.

    A pattern has `*`, `?` or `[…]`, as in the settings.
    """
    newest = select(_happenings.id).order_by(_happenings.at.desc(), _happenings.id.desc())
    if target is not None:
        newest = newest.where(_of_target(target))
    if since is not None:
        newest = newest.where(_happenings.at >= since)
    newest = newest.limit(limit)
    with reading(path) as connection:
        happenings = connection.execute(
            select(tables.happenings)
            .where(_happenings.id.in_(newest))
            .order_by(_happenings.at, _happenings.id)
        ).all()
        notifications = connection.execute(
            select(tables.notifications)
            .where(_notifications.happening_id.in_(newest))
            .order_by(_notifications.happening_id, _notifications.channel)
        )
        told = {
            happening_id: tuple(notification_of(row) for row in rows)
            for happening_id, rows in groupby(notifications, lambda row: row.happening_id)
        }
        return [HistoryRow(row.id, happening_of(row), told.get(row.id, ())) for row in happenings]


def names(path: Path) -> list[str]:
    """The names of all targets, past and present."""
    with reading(path) as connection:
        return list(connection.execute(select(_targets.name).order_by(_targets.name)).scalars())


def alerts(
    path: Path,
    state: NotificationState | None = None,
    *,
    limit: int = LIMIT,
    before: int | None = None,
) -> list[AlertRow]:
    """Notifications of a state, or all, oldest first: the newest `limit` of those with ids below `before`."""
    newest = (
        select(tables.notifications, _happenings.event, _happenings.target)
        .join_from(tables.notifications, tables.happenings)
        .where(*_listed(state, before))
        .order_by(_notifications.id.desc())
        .limit(limit)
    )
    with reading(path) as connection:
        return [alert_of(row) for row in reversed(connection.execute(newest).all())]


def alerts_before(path: Path, state: NotificationState | None, before: int) -> int:
    """The number of notifications, all or those in a state, with ids below `before`."""
    counted = select(func.count()).select_from(tables.notifications).where(*_listed(state, before))
    with reading(path) as connection:
        return connection.execute(counted).scalar_one()


def dead_alerts(path: Path) -> set[int]:
    """The ids of all notifications that were given up."""
    dead = select(_notifications.id).where(_notifications.state == NotificationState.DEAD)
    with reading(path) as connection:
        return set(connection.execute(dead).scalars())


def _listed(state: NotificationState | None, before: int | None) -> list[ColumnElement[bool]]:
    wanted = [] if state is None else [_notifications.state == state]
    return wanted if before is None else [*wanted, _notifications.id < before]


def runs(
    path: Path, target: str, kind: ProbeKind = ProbeKind.FULL, *, limit: int = 20
) -> list[Run]:
    """The runs of equal answers of one target, oldest first."""
    newest = (
        select(tables.runs, _targets.name.label("target"))
        .join_from(tables.runs, tables.targets)
        .where(_targets.name == target, _runs.kind == kind)
        .order_by(_runs.id.desc())
        .limit(limit)
    )
    with reading(path) as connection:
        return [run_of(row) for row in reversed(connection.execute(newest).all())]


def spend(path: Path, day: date) -> list[SpendRow]:
    """The spending of each key on a UTC day."""
    query = select(tables.spend).where(_spend.day == day).order_by(_spend.key)
    with reading(path) as connection:
        return [spend_of(row) for row in connection.execute(query)]


def spent_by_key(path: Path) -> dict[str, tuple[float, int, bool]]:
    """By key: the total spending with holds included, the number of probes, whether it is an estimate.

    Empty if there is no database.
    """
    if not path.exists():
        return {}
    with reading(path) as connection:
        found = {
            row.key: (row.usd, row.probes, bool(row.estimated))
            for row in connection.execute(
                select(
                    _spend.key,
                    func.sum(_spend.settled_usd).label("usd"),
                    func.sum(_spend.probes).label("probes"),
                    func.max(_spend.estimated).label("estimated"),
                ).group_by(_spend.key)
            )
        }
        holds = tables.holds.c
        for key, usd, count in connection.execute(
            select(holds.key, func.sum(holds.usd), func.count()).group_by(holds.key)
        ):
            before, probes, estimated = found.get(key, (0.0, 0, False))
            found[key] = before + usd, probes + count, estimated
        return found


def _of_target(name: str) -> ColumnElement[bool]:
    if not any(sign in name for sign in "*?["):
        return _happenings.target == name
    # GLOB differs from fnmatch only in the sign of a negated set
    return _happenings.target.op("GLOB", is_comparison=True)(name.replace("[!", "[^"))
