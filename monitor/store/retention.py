"""Deletes old rows, so that the file grows with changes and not with time.

Transitions, events, notifications, openings and declarations are kept for ever.
"""

from datetime import datetime, timedelta

from sqlalchemy import Connection, delete, exists, func, select

from monitor.store import tables

#: How long closed runs of equal answers and settled requests are kept.
KEPT = timedelta(days=90)
#: How long the daily spending of keys is kept: more than a year, so that years can be compared.
SPENDING_KEPT = timedelta(days=400)

#: Runs checked in one step, so that the writer is delayed by milliseconds only.
_STEP = 500

_runs = tables.runs.alias("old")
_newer = tables.runs.alias("newer")
_inbox = tables.inbox.c
_spend = tables.spend.c
_holds = tables.holds.c


def prune(connection: Connection, after: int, now: datetime) -> tuple[int, int]:
    """Delete the runs that are too old among the next ones with ids above `after`.

    Returns the number of runs deleted and the next value of `after`: 0, the beginning, after the last run.
    The last run of a target and kind of probe stays, however old: an equal answer continues it.
    """
    window = list(
        connection.execute(
            select(_runs.c.id, _runs.c.last_at)
            .where(_runs.c.id > after)
            .order_by(_runs.c.id)
            .limit(_STEP)
        )
    )
    old = [row.id for row in window if row.last_at < now - KEPT]
    gone = 0
    if old:
        closed = exists().where(
            _newer.c.target_id == _runs.c.target_id,
            _newer.c.kind == _runs.c.kind,
            _newer.c.id > _runs.c.id,
        )
        found = connection.execute(select(_runs.c.id).where(_runs.c.id.in_(old), closed)).scalars()
        ids = list(found)
        gone = (
            connection.execute(delete(tables.runs).where(tables.runs.c.id.in_(ids))).rowcount
            if ids
            else 0
        )
    if len(window) == _STEP:
        return gone, window[-1].id
    _prune_the_rest(connection, now)
    return gone, 0


def _prune_the_rest(connection: Connection, now: datetime) -> None:
    # keep the newest request: its id must not be used again
    newest = select(func.max(_inbox.id)).scalar_subquery()
    connection.execute(delete(tables.inbox).where(_inbox.taken_at < now - KEPT, _inbox.id < newest))
    connection.execute(delete(tables.spend).where(_spend.day < (now - SPENDING_KEPT).date()))
    # holds of targets that never returned
    connection.execute(delete(tables.holds).where(_holds.day < (now - SPENDING_KEPT).date()))
