"""A fleet on one database: its workers' fences, the shards that each has, and what all go by.

A worker lives while its transactions come: each renews its lease of `fences.LEASE` seconds, by the server's
clock, and checks its epoch and those of its shards. Who finds a lease over ends that worker's epoch and frees
its shards in one transaction, so a worker that comes back too late records nothing more.
"""

import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date

from sqlalchemy import Connection, text, update

from monitor.access.databases import Server
from monitor.access.target import SHARDS, balance
from monitor.store import fences, postings, tables, targets
from monitor.store.outbox import release_leases
from monitor.store.ownership import ServerOwnership
from monitor.store.transaction import FleetTerms, Transaction
from monitor.store.write_queue import WriteQueue

_LEASE = f"interval '{fences.LEASE} seconds'"
#: Workers that were not seen for so long are forgotten.
_FORGOTTEN = "interval '7 days'"

_MAKE_FLEET = text("INSERT INTO fleet (id, starts) VALUES (1, 0) ON CONFLICT DO NOTHING")
_COUNT_START = text("UPDATE fleet SET starts = starts + 1 WHERE id = 1 RETURNING starts")
# declarations that a single daemon took concern nobody any more
_MAKE_SHARDS = text("""
    INSERT INTO shards (id, epoch, declared)
    SELECT number, 0, coalesce(
        (SELECT min(id) - 1 FROM declarations WHERE taken_at IS NULL),
        (SELECT max(id) FROM declarations), 0)
    FROM generate_series(0, :most) number ON CONFLICT DO NOTHING
""")
_OF_NAME = text("""
    SELECT id, holder, extract(epoch FROM clock_timestamp() - seen_at) AS age
    FROM fences WHERE name = :name FOR UPDATE
""")
_NEW = text("""
    INSERT INTO fences (id, epoch, sequence, seen_at, name)
    SELECT greatest(max(id), 1) + 1, 0, 0, clock_timestamp(), :name FROM fences RETURNING id
""")
# Who joins was not cut off, and need not wait for others as long as who was.
_WATCH = text(f"""
    UPDATE fences SET watching_since = seen_at - {_LEASE} WHERE id = :id
""")  # noqa: S608 - a constant
# Who was cut off for longer than a lease may not yet judge the others: they may have been, too.
_ENTER = text(f"""
    UPDATE fences SET sequence = sequence + 1, seen_at = clock_timestamp(),
        watching_since = CASE WHEN seen_at < clock_timestamp() - {_LEASE} THEN clock_timestamp()
            ELSE watching_since END
    WHERE id = :id AND epoch = :epoch
    RETURNING sequence, (
        SELECT string_agg(id || ':' || epoch, ',' ORDER BY id) FROM shards WHERE worker_id = :id
    ) AS shards
""")  # noqa: S608 - a constant
_WORKERS = text(f"""
    SELECT id, name, holder, offline, seen_at < clock_timestamp() - {_LEASE} AS late,
        watching_since < clock_timestamp() - 2 * {_LEASE} AS watching
    FROM fences WHERE id <> 1 AND holder IS NOT NULL ORDER BY id
""")  # noqa: S608 - a constant
_END_LATE = text(f"""
    UPDATE fences SET epoch = epoch + 1, holder = NULL WHERE id IN (
        SELECT id FROM fences WHERE id = :id AND holder = :holder
            AND (:dead OR seen_at < clock_timestamp() - {_LEASE}) FOR UPDATE SKIP LOCKED
    ) RETURNING id
""")  # noqa: S608 - a constant
_TAKE = text("""
    UPDATE shards SET worker_id = :me, epoch = epoch + 1 WHERE id IN (
        SELECT id FROM shards WHERE id = ANY(:ids) AND worker_id IS NOT DISTINCT FROM :of
        FOR UPDATE SKIP LOCKED
    ) RETURNING id, epoch
""")
_NOTE_ENDED = text("""
    UPDATE daemon SET stopped_at = progress_at WHERE id = ANY(:ids) AND stopped_at IS NULL
""")
_SHARDS = text("""
    SELECT id, worker_id, epoch, declared,
        EXISTS (SELECT 1 FROM targets WHERE shard = shards.id AND active) AS populated
    FROM shards ORDER BY id
""")
_NEWS = text("""
    SELECT retries, (SELECT coalesce(max(id), 0) FROM declarations) AS declared,
        EXISTS (SELECT 1 FROM fences WHERE offline AND holder IS NULL) AS left_offline
    FROM fleet
""")
_OFFLINE = text("UPDATE fences SET offline = :offline WHERE id = :id")
_OTHERS_OFFLINE = text(
    "SELECT count(*) FROM fences WHERE offline AND holder IS NOT NULL AND id <> :id"
)
_FORGET_OFFLINE = text("""
    UPDATE fences SET offline = false WHERE id IN (
        SELECT id FROM fences WHERE offline AND (holder IS NULL OR id = :id) FOR UPDATE SKIP LOCKED
    )
""")
_FORGET = text(f"""
    DELETE FROM fences WHERE id <> 1 AND holder IS NULL AND seen_at < clock_timestamp() - {_FORGOTTEN}
""")  # noqa: S608 - a constant

_FORGOTTEN_ROWS = text("""
    DELETE FROM daemon WHERE id <> 1 AND id NOT IN (SELECT id FROM fences) RETURNING status
""")

_shards = tables.shards.c
_FREE = update(tables.shards).values(worker_id=None, epoch=_shards.epoch + 1)


@dataclass(frozen=True, slots=True)
class Standing:
    """What a worker has after a beat, and what it is to do."""

    #: its shards, each with the last declaration that it has taken
    shards: Mapping[int, int]
    #: the number of workers that share the work
    workers: int
    #: own shards that others are to have
    hand_over: tuple[int, ...]
    #: names of workers whose lease was found over
    ended: tuple[str, ...]
    #: what is booked and held in the month, in US dollars
    committed_usd: float
    #: the newest declaration
    declared: int
    #: how often dead notifications were made pending again, by any worker
    retries: int
    #: so many other workers reach the routes; so many do not
    others_online: int
    others_offline: int
    #: none is offline any more, as the last ones that were are gone; one worker learns it, once
    left_offline: bool


class FleetOwnership(ServerOwnership):
    """The right of a worker to write for its shards, as long as its epoch and theirs stay."""

    def __init__(self, server: Server, name: str) -> None:
        super().__init__(server)
        self.name = name
        self._taken = f"others have taken over what the worker {name} had; it records nothing more"
        #: of its fence, and of its row in `daemon`
        self.number = 0
        #: how many workers have started before; its holds have numbers of its own by this
        self.start = 0
        self.terms: FleetTerms = FleetTerms()
        #: the shards by a transaction whose outcome is learned at the next one
        self._perhaps: dict[int, int] | None = None

    def take(self, connection: Connection) -> None:
        """Join the fleet. Raises LockedError while the one daemon or a worker of this name lives."""
        fences.limit_waits(connection)
        fences.require_no_daemon(self._server, connection)
        connection.execute(_MAKE_SHARDS, {"most": SHARDS - 1})
        found = connection.execute(_OF_NAME, {"name": self.name}).one_or_none()
        if found:
            who = f"another worker named {self.name}"
            fences.require_dead(self._server, who, found.holder, found.age, fences.LEASE)
            self.number = found.id
        else:
            self.number = connection.execute(_NEW, {"name": self.name}).scalar_one()
        self._epoch = fences.take(connection, self.number)
        connection.execute(_WATCH, {"id": self.number})
        connection.execute(
            _FORGET_OFFLINE, {"id": self.number}
        )  # of before the start nothing is told
        connection.execute(_FREE.where(_shards.worker_id == self.number))
        connection.execute(_FORGET)
        # last, as in all transactions: who holds this row may wait for no other one
        connection.execute(_MAKE_FLEET)
        self.start = connection.execute(_COUNT_START).scalar_one()

    def forgotten(self, connection: Connection) -> list[str]:
        """What workers had noted that are forgotten now; their counts go on with this one."""
        return list(connection.execute(_FORGOTTEN_ROWS).scalars())

    def enter(self, connection: Connection) -> int:
        """Check the epoch, and those of the shards."""
        self.terms.begun_at = time.monotonic()
        found = self._entered(connection, _ENTER)
        shards = _of_text(found.shards)
        if shards == self._perhaps:
            self.terms.shards = shards
        elif shards != self.terms.shards:
            raise self._lose()
        self._perhaps = None
        return int(found.sequence)

    def change(self, shards: dict[int, int]) -> None:
        """These will be the shards, if the present transaction is committed."""
        self._perhaps = shards


class Fleet:
    """What a worker does in the database as one of a fleet. Each method is one unit of work."""

    def __init__(self, queue: WriteQueue, ownership: FleetOwnership) -> None:
        self._queue = queue
        self._ownership = ownership
        #: numbers of holds from here on are this worker's own
        self.first_hold = ownership.start << 32

    def limit(self, usd_a_month: float) -> None:
        """No reservation takes what all have committed above this, from now on."""
        self._ownership.terms.per_month = usd_a_month

    @property
    def holds_lease(self) -> bool:
        """Whether no other worker can have found the lease over, so that none of its shards is another's."""
        return time.monotonic() - self._ownership.terms.renewed_at < fences.LEASE

    async def beat(self, month: date, *, offline: bool) -> Standing:
        """Find workers that are gone, and take the free shards of this worker's share.

        `offline` is whether this machine reaches no route.
        """
        return await self._queue.do(lambda work: self._beat(work, month, offline=offline))

    async def hand_over(self, shards: Collection[int]) -> None:
        """Let others have these shards, after all that waits is written."""
        gone = list(shards)

        def hand_over(work: Transaction) -> None:
            connection, owned = work.flush(), self._ownership.terms.shards
            own = _shards.worker_id == self._ownership.number
            connection.execute(_FREE.where(_shards.id.in_(gone), own))
            left = {shard: epoch for shard, epoch in owned.items() if shard not in gone}
            self._ownership.change(left)
            work.register(targets.load_known(connection, left))

        await self._queue.do(hand_over, after_all=True)

    def _beat(self, work: Transaction, month: date, *, offline: bool) -> Standing:
        connection, me = work.flush(), self._ownership.number
        workers = connection.execute(_WORKERS).all()
        own = next((one for one in workers if one.id == me), None)
        ended = []
        for one in workers:
            dead = one.id != me and fences.is_dead(one.holder)
            if dead or (one.id != me and one.late and own and own.watching):
                values = {"id": one.id, "holder": one.holder, "dead": dead}
                if connection.execute(_END_LATE, values).one_or_none():
                    ended.append(one)
                else:  # its row is locked: the next beat finds it free
                    fences.cut_off(connection, one.id)
        if ended:
            connection.execute(_NOTE_ENDED, {"ids": [one.id for one in ended]})
        living = [one for one in workers if one not in ended]
        others = [one for one in living if one.id != me]
        online = [one.id for one in others if not one.offline] + ([] if offline else [me])
        willing = sorted(online) or [one.id for one in living]
        rows = connection.execute(_SHARDS).all()
        known = {one.id for one in living}
        owners = {row.id: row.worker_id if row.worker_id in known else None for row in rows}
        # by the database, as all see it; the settings of workers may differ for a while
        plan = balance(owners, {row.id for row in rows if row.populated}, willing, me)
        shards = {row.id: row.epoch for row in rows if row.worker_id == me}
        if plan.take:
            taken = self._take(connection, {row.id: row.worker_id for row in rows}, plan.take)
            shards |= taken
            self._ownership.change(shards)
            release_leases(connection, list(taken))
        committed = postings.committed(connection, month)
        if committed is None:
            committed = postings.sum_up(work.in_turn(), month)
        others_offline = sum(one.offline for one in others)
        if own and own.offline != offline:
            # of two that come back at once each would leave it to the other to tell
            work.in_turn().execute(_OFFLINE, {"id": me, "offline": offline})
            others_offline = connection.execute(_OTHERS_OFFLINE, {"id": me}).scalar_one()
        news = connection.execute(_NEWS).one()
        left_offline = news.left_offline and not offline and not others_offline
        if left_offline:
            left_offline = connection.execute(_FORGET_OFFLINE, {"id": me}).rowcount > 0
        return Standing(
            shards={row.id: row.declared for row in rows if row.id in shards},
            workers=max(len(willing), 1),
            # while none is online no other would do better
            hand_over=plan.hand_over if online else (),
            ended=tuple(one.name for one in ended),
            committed_usd=committed,
            declared=news.declared,
            retries=news.retries,
            others_online=sum(not one.offline for one in others),
            others_offline=others_offline,
            left_offline=left_offline,
        )

    def _take(
        self, connection: Connection, owners: Mapping[int, int | None], wanted: Sequence[int]
    ) -> dict[int, int]:
        by_owner: dict[int | None, list[int]] = {}
        for shard in wanted:
            by_owner.setdefault(owners[shard], []).append(shard)
        taken: dict[int, int] = {}
        for owner, ids in by_owner.items():
            values = {"me": self._ownership.number, "ids": ids, "of": owner}
            taken |= {row.id: row.epoch for row in connection.execute(_TAKE, values)}
        return taken


def _of_text(listed: str | None) -> dict[int, int]:
    pairs = (one.partition(":") for one in (listed or "").split(",") if one)
    return {int(shard): int(epoch) for shard, _, epoch in pairs}
