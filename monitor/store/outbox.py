"""The outbox: claim with a lease, send, mark. A crash in between sends again."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, bindparam, func, or_, select, update

from monitor.access.events import Event, Notification
from monitor.store import tables
from monitor.store.records import NotificationState, value_of

_rows = tables.notifications
_its = _rows.c
_PENDING = _its.state == NotificationState.PENDING
_THESE = _its.id.in_(bindparam("ids", expanding=True))

# The statements that run for every message are made once: see `transaction`.
_READ = (
    select(tables.events, _its.id.label("notification_id"), _its.attempts, _its.created_at)
    .join_from(_rows, tables.events)
    .where(_PENDING, _its.channel == bindparam("of"), _its.event_id > bindparam("after"))
    .order_by(_its.event_id)
    .limit(bindparam("most"))
)
_CLAIM = (
    update(_rows)
    .where(
        _THESE,
        _PENDING,
        or_(
            _its.lease_until.is_(None),
            _its.lease_until <= bindparam("now", type_=_its.lease_until.type),
        ),
    )
    .values(lease_until=bindparam("until"), attempts=_its.attempts + 1)
    .returning(_its.id)
)
_STILL_PENDING = select(_its.id).where(_THESE, _PENDING)
_DELIVERED = (
    update(_rows)
    .where(_THESE)
    .values(
        state=NotificationState.DELIVERED,
        delivered_at=bindparam("at"),
        lease_until=None,
        dead_at=None,
        next_attempt_at=None,
        last_error=None,
    )
)


def pending(connection: Connection, channel: str, limit: int, after: int = 0) -> list[Notification]:
    """A channel's pending notifications of events above `after`, in order; leased ones included."""
    rows = connection.execute(_READ, {"of": channel, "after": after, "most": limit})
    return [
        Notification(
            id=row["notification_id"],
            event=value_of(Event, row),
            attempts=row["attempts"],
            created_at=row["created_at"],
        )
        for row in rows.mappings()
    ]


def dead_letter_others(connection: Connection, channels: Sequence[str], at: datetime) -> int:
    """Mark the pending notifications of all other channels as dead: no worker would ever send them.

    Returns their number.
    """
    done = connection.execute(
        update(_rows)
        .where(_PENDING, _its.channel.not_in(channels))
        .values(
            state=NotificationState.DEAD,
            dead_at=at,
            lease_until=None,
            last_error="the channel is no longer in the settings",
        )
    )
    return done.rowcount


def waiting(connection: Connection) -> dict[str, int]:
    """The number of pending and of dead notifications; a state with none is left out."""
    rows = connection.execute(
        select(_its.state, func.count())
        .where(_its.state.in_([NotificationState.PENDING, NotificationState.DEAD]))
        .group_by(_its.state)
    )
    return {str(state): count for state, count in rows}


def claim(
    connection: Connection, ids: Sequence[int], until: datetime, now: datetime
) -> tuple[list[int], list[int]]:
    """Lease the rows that are pending and free. Returns their ids, and the ids leased by another process.

    Rows in neither are no longer pending. The attempt is counted here, so that an attempt that kills the
    process counts too.
    """
    claimed = set(
        connection.execute(_CLAIM, {"ids": list(ids), "until": until, "now": now}).scalars()
    )
    rest = [id_ for id_ in ids if id_ not in claimed]
    leased = set(connection.execute(_STILL_PENDING, {"ids": rest}).scalars()) if rest else set()
    return [id_ for id_ in ids if id_ in claimed], [id_ for id_ in rest if id_ in leased]


def release(connection: Connection, ids: Sequence[int]) -> None:
    """Release the leases of pending rows."""
    _mark(connection, ids)


def delivered(connection: Connection, ids: Sequence[int], at: datetime) -> None:
    """Mark rows as delivered, even if they were given up meanwhile."""
    connection.execute(_DELIVERED, {"ids": list(ids), "at": at})


def failed(
    connection: Connection, ids: Sequence[int], error: str, next_attempt_at: datetime
) -> None:
    """Release the lease after a failed attempt; the next one is due at `next_attempt_at`."""
    _mark(connection, ids, next_attempt_at=next_attempt_at, last_error=error)


def dead(connection: Connection, ids: Sequence[int], error: str, at: datetime) -> None:
    """Give up rows that are still pending: they stay listed as undeliverable."""
    _mark(
        connection,
        ids,
        state=NotificationState.DEAD,
        dead_at=at,
        next_attempt_at=None,
        last_error=error,
    )


def retry(connection: Connection, ids: Sequence[int] | None, now: datetime) -> int:
    """Make dead notifications pending again, all or these. Returns their number.

    Their age counts from now, or old notifications would be given up again at once.
    """
    statement = update(_rows).where(_its.state == NotificationState.DEAD)
    if ids is not None:
        statement = statement.where(_its.id.in_(ids))
    return connection.execute(
        statement.values(
            state=NotificationState.PENDING,
            attempts=0,
            created_at=now,
            dead_at=None,
            next_attempt_at=None,
            lease_until=None,
        )
    ).rowcount


def release_leases(connection: Connection) -> int:
    """Release all leases, which an earlier process left behind. Returns their number."""
    return connection.execute(
        update(_rows).where(_PENDING, _its.lease_until.is_not(None)).values(lease_until=None)
    ).rowcount


def shift(connection: Connection, step: timedelta) -> None:
    """Move the times of pending rows by the step of the clock, so that no row gets older by it."""
    times = [_its.created_at, _its.next_attempt_at, _its.lease_until]
    rows = [
        {"row": row.id}
        | {f"new_{time.name}": _moved(getattr(row, time.name), step) for time in times}
        for row in connection.execute(select(_its.id, *times).where(_PENDING))
    ]
    if rows:
        new = {time: bindparam(f"new_{time.name}", type_=time.type) for time in times}
        connection.execute(update(_rows).where(_its.id == bindparam("row")).values(new), rows)


def _moved(at: datetime | None, step: timedelta) -> datetime | None:
    return at + step if at else None


def _mark(connection: Connection, ids: Sequence[int], **values: Any) -> None:
    """Release the leases of rows that are still pending, and set `values`."""
    statement = update(_rows).where(_its.id.in_(ids), _PENDING)
    connection.execute(statement.values(lease_until=None, **values))
