"""The outbox: claim with a lease, send, mark. A crash in between sends again."""

from collections import Counter
from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, bindparam, func, or_, select, update

from monitor.access.events import Event, Notification
from monitor.access.memory import ClockStep
from monitor.store import tables
from monitor.store.record_forms import value_of
from monitor.store.records import NotificationState
from monitor.store.transaction import Transaction
from monitor.store.write_queue import WriteQueue

Ids = Sequence[int]

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
#: last in its transaction: who holds this row may wait for no other one
_COUNT_RETRY = update(tables.fleet).values(retries=tables.fleet.c.retries + 1)
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


def _own(shards: Collection[int] | None) -> tuple[ColumnElement[bool], ...]:
    """The condition for what a process delivers: in a fleet that of its shards, else all."""
    return () if shards is None else (func.coalesce(_its.shard, 0).in_(shards),)


class Outbox:
    """The notifications, as the workers of the channels use them. Each method is one unit of work.

    All raise StoreError when the database refuses the work or is closed.
    """

    def __init__(self, queue: WriteQueue) -> None:
        self._queue = queue

    async def pending(self, channel: str, limit: int, after: int = 0) -> list[Notification]:
        """A channel's pending notifications of events above `after`, in order; leased ones included."""
        values = {"of": channel, "after": after, "most": limit}
        return await self._queue.do(
            lambda work: [
                value_of(Notification, row, id=row["notification_id"], event=value_of(Event, row))
                for row in work.flush().execute(_READ.where(*_own(work.shards)), values).mappings()
            ]
        )

    async def waiting(self) -> dict[str, int]:
        """The number of pending and of dead notifications; a state with none is left out."""
        query = (
            select(_its.state, func.count())
            .where(_its.state.in_([NotificationState.PENDING, NotificationState.DEAD]))
            .group_by(_its.state)
        )
        return await self._queue.do(
            lambda work: {str(state): count for state, count in work.flush().execute(query)}
        )

    async def claim(self, ids: Ids, until: datetime) -> tuple[list[int], list[int]]:
        """Lease the rows that are pending and free. Returns their ids, and the ids leased by another process.

        Rows in neither are no longer pending. The attempt is counted here, so that an attempt that kills
        the process counts too.
        """

        def claim(work: Transaction) -> tuple[list[int], list[int]]:
            connection = work.flush()
            values = {"ids": list(ids), "until": until, "now": work.now}
            claimed = set(connection.execute(_CLAIM, values).scalars())
            rest = [id_ for id_ in ids if id_ not in claimed]
            pending = connection.execute(_STILL_PENDING, {"ids": rest}).scalars() if rest else ()
            leased = set(pending)
            return [id_ for id_ in ids if id_ in claimed], [id_ for id_ in rest if id_ in leased]

        return await self._queue.do(claim)

    async def release(self, ids: Ids) -> None:
        """Release the leases of pending rows that were claimed but not tried."""
        await self._mark(ids)

    async def release_own(self) -> None:
        """Release all leases of this process: it has stopped sending."""
        await self._queue.do(lambda work: release_leases(work.flush(), work.shards))

    async def delivered(self, ids: Ids, at: datetime) -> None:
        """Mark rows as delivered, even if they were given up meanwhile."""
        values = {"ids": list(ids), "at": at}
        await self._queue.do(lambda work: work.flush().execute(_DELIVERED, values), urgent=False)

    async def failed(self, ids: Ids, error: str, next_attempt_at: datetime) -> None:
        """Release the lease after a failed attempt; the next one is due at `next_attempt_at`."""
        await self._mark(ids, error, next_attempt_at=next_attempt_at)

    async def dead(self, ids: Ids, error: str, at: datetime) -> None:
        """Give up rows that are still pending: they stay listed as undeliverable."""
        await self._mark(ids, error, state=NotificationState.DEAD, dead_at=at, next_attempt_at=None)

    async def dead_letter_others(self, channels: Sequence[str], at: datetime) -> Counter[str]:
        """Mark the pending notifications of all other channels as dead: no worker would ever send them.

        Returns their number by channel.
        """
        others = update(_rows).where(_PENDING, _its.channel.not_in(channels))
        values = {
            "state": NotificationState.DEAD,
            "dead_at": at,
            "lease_until": None,
            "last_error": "the channel is no longer in the settings",
        }
        marked = others.values(values).returning(_its.channel)
        return await self._queue.do(
            lambda work: Counter(work.flush().execute(marked.where(*_own(work.shards))).scalars())
        )

    async def retry(self, channels: Sequence[str], ids: Ids | None = None) -> int:
        """Make dead notifications of these channels pending again, all or these. Returns their number.

        Their age counts from now, or old notifications would be given up again at once.
        """
        dead = _its.state == NotificationState.DEAD
        statement = update(_rows).where(dead, _its.channel.in_(channels))
        if ids is not None:
            statement = statement.where(_its.id.in_(ids))
        values = {
            "state": NotificationState.PENDING,
            "attempts": 0,
            "dead_at": None,
            "next_attempt_at": None,
            "lease_until": None,
        }

        def retry(work: Transaction) -> int:
            revived = statement.values(values | {"created_at": work.now})
            number = work.flush().execute(revived).rowcount
            if work.shards is not None:
                work.flush().execute(_COUNT_RETRY)
            return number

        return await self._queue.do(retry)

    async def shift_pending(self, step: ClockStep) -> None:
        """Move the times of pending rows by the step of the clock, so that no row gets older by it.

        A row that is newer than the clock before the step is an earlier run's, and stays. It is done once,
        also when the database refuses it for a while.
        """
        times = [_its.created_at, _its.next_attempt_at, _its.lease_until]
        new = {time: bindparam(f"new_{time.name}", type_=time.type) for time in times}
        pending = select(_its.id, *times).where(_PENDING, _its.created_at <= step.until)

        def shift(work: Transaction) -> None:
            connection = work.flush()
            rows = [
                {"row": id_}
                | {
                    f"new_{time.name}": at and at + step.by
                    for time, at in zip(times, old, strict=True)
                }
                for id_, *old in connection.execute(pending.where(*_own(work.shards)))
            ]
            if rows:
                connection.execute(
                    update(_rows).where(_its.id == bindparam("row")).values(new), rows
                )

        await self._queue.keep_work(shift)

    async def _mark(self, ids: Ids, error: str | None = None, **values: Any) -> None:
        """Release the leases of rows that are still pending, and set `values`."""
        statement = (
            update(_rows).where(_its.id.in_(ids), _PENDING).values(lease_until=None, **values)
        )

        def mark(work: Transaction) -> None:
            said = {} if error is None else {"last_error": work.hide(error)}
            work.flush().execute(statement.values(said))

        await self._queue.do(mark)


def release_leases(connection: Connection, shards: Collection[int] | None = None) -> None:
    """Release all leases, or those in the shards, which an earlier process left behind."""
    held = update(_rows).where(_PENDING, _its.lease_until.is_not(None), *_own(shards))
    connection.execute(held.values(lease_until=None))
