"""The recorder: the only writer of the database, an asynchronous facade over one thread."""

import asyncio
import json
import os
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import ExitStack, suppress
from datetime import UTC, date, datetime, time
from typing import Any, TypeVar

import structlog
from sqlalchemy import (
    ColumnElement,
    Connection,
    Select,
    any_,
    func,
    literal,
    select,
    update,
)
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.dialects.postgresql import insert as upsert  # SQLite takes it, too

from monitor.access.databases import Database, Server
from monitor.access.holds import Reservation
from monitor.access.memory import TargetState
from monitor.access.silences import Silence
from monitor.access.target import Target
from monitor.access.wait_times import Opening
from monitor.access.words import DeclarationKind, EventKind
from monitor.store import runs, tables, targets
from monitor.store.database import (
    as_store_errors,
    damage,
    keep_log_short,
    migrate,
    writing_engine,
)
from monitor.store.errors import HEAD, GoneError, StoreError, damage_report
from monitor.store.fleet import Fleet, FleetOwnership
from monitor.store.inbox import WAITING_MOST
from monitor.store.outbox import Outbox, release_leases
from monitor.store.ownership import FileOwnership, Ownership, ServerOwnership
from monitor.store.record_forms import value_of
from monitor.store.records import Change, DaemonRow, Declaration, InboxItem, SpendRow
from monitor.store.silence_rows import hid_anything, not_ended
from monitor.store.silences import Silences
from monitor.store.tally import COUNTED, Tally
from monitor.store.transaction import Hide, Memo, Transaction
from monitor.store.write_queue import MOST, WriteQueue
from monitor.store.writer import Writer

log = structlog.get_logger()

#: Bounds for the pages after which the write-ahead log is copied into the database; 1000 is SQLite's default.
_LOG_LEAST, _LOG_MOST = 128, 1000

T = TypeVar("T")


class Recorder:
    """Writes what the monitor learns. Besides it only `inbox.submit` writes. Made by `Recorder.open`.

    Every method is one unit of work: atomic, and durable when it returns. All go through `queue`, in the
    order of the calls, and raise StoreError when the database refuses the work or is closed.
    """

    def __init__(
        self,
        queue: WriteQueue,
        ownership: Ownership,
        before: DaemonRow | None,
        *,
        silences: Iterable[Silence],
        tally: Tally,
    ) -> None:
        #: the shared work, for a worker of a fleet
        self.fleet = Fleet(queue, ownership) if isinstance(ownership, FleetOwnership) else None
        #: for results, which are kept while the database refuses them
        self.queue = queue
        self.outbox = Outbox(queue)
        self.silences = Silences(queue, silences)
        self._ownership = ownership
        #: the last commit before the inbox was found empty
        self._inbox_empty_at: int | None = None
        self._pruned_to = 0
        self._closed = False
        #: the previous daemon of this database; without `stopped_at` it was killed
        self.before = before
        #: what is counted for the metrics, from where the previous daemon left off
        self.tally = tally
        #: the status written last
        self._status: Mapping[str, Any] = {}
        self._said_refusing = False

    @classmethod
    async def open(
        cls,
        database: Database,
        *,
        clock: Callable[[], datetime],
        hide: Hide = lambda said: said,
        most: int = MOST,
        worker: str | None = None,
    ) -> "Recorder":
        """Lock the database, make or migrate it, and release the leases of an earlier process.

        With the name of a `worker` it joins a fleet instead, and shares the database with others.

        `clock` returns aware UTC and `hide` removes secrets from words of servers; both are called in the
        writer's thread. `most` is the limit of the write queue. Raises StoreError when another instance has
        the database, a newer version migrated it, it is damaged, or its file system cannot keep a WAL.
        """
        ownership, connection, memo, before, tally = await asyncio.to_thread(
            _open, database, clock(), worker
        )
        writer = Writer(connection, memo, clock, ownership, hide)
        queue = WriteQueue(writer, most=most)
        return cls(queue, ownership, before, silences=memo.silences, tally=tally)

    async def aclose(self) -> None:
        """Write what waits, record the stop, and release the file for another instance."""
        if self._closed:
            return
        self._closed = True
        try:
            with suppress(GoneError):  # it is another's now
                await self.queue.aclose(self._note("stopped_at"))
        finally:
            self._ownership.release()

    def require_own(self) -> None:
        """Raise GoneError when the database is no longer this recorder's.

        A file was deleted or replaced: `aclose` then saves its contents. Or another daemon has taken it.
        """
        self._ownership.require()

    async def prune(self, now: datetime) -> int:
        """Delete the next portion of what is too old; see `runs`. Returns the number of runs deleted."""
        gone, self._pruned_to = await self._do(
            lambda connection: runs.prune(connection, self._pruned_to, now)
        )
        return gone

    # --- results ---

    async def write(self, changes: Sequence[Change]) -> list[int]:
        """Write changes in one transaction. Returns the ids of their events, in order."""
        return await self.queue.write(changes)

    async def spend_since(self, day: date, keys: Collection[str] | None = None) -> list[SpendRow]:
        """The spending of every key, or of these, on each UTC day from `day` on."""
        its = tables.spend.c
        query = select(tables.spend).where(its.day >= day, *_among(its.key, keys))
        return await self._all(SpendRow, query.order_by(its.day, its.key))

    async def holds(self, keys: Collection[str] | None = None) -> list[Reservation]:
        """The holds on budgets of every key, or of these, oldest first."""
        its = tables.holds.c
        query = select(tables.holds).where(*_among(its.key, keys)).order_by(its.id)
        return await self._all(Reservation, query)

    async def register(self, active: Sequence[Target], *, again: bool = False) -> None:
        """Make these the active targets; see `targets.register` for those that start anew.

        Waiting writes are written first: an old answer must not follow the row that replaces its target.
        `again`: they were so before, and may be no more, as others were registered in a reload that failed;
        it is kept while the database refuses it.
        """

        def register(transaction: Transaction) -> None:
            targets.register(transaction, active)
            # With few targets the log stays small; with many it is seldom copied into the database.
            pages = min(max(len(active) // 4, _LOG_LEAST), _LOG_MOST)
            keep_log_short(transaction.flush(), pages)

        await (self.queue.keep_work(register) if again else self.queue.do(register, after_all=True))

    async def load_memories(self) -> dict[str, TargetState]:
        """The memories of the active targets that are this process's, by name."""
        return await self.queue.do(lambda work: targets.load_memories(work.flush(), work.shards))

    async def progress(self, status: Mapping[str, Any]) -> None:
        """Record that the daemon is alive, its status (JSON values), and what it counted."""
        self._status = status
        await self.queue.do(self._note("progress_at"), proves=True)

    def _note(self, what: str) -> Callable[[Transaction], None]:
        """Notes the status, what is counted until now, and a time."""
        text = json.dumps({**self._status, COUNTED: self.tally.as_json()})
        own = update(tables.daemon).where(tables.daemon.c.id == self._ownership.number)

        def note(work: Transaction) -> None:
            work.flush().execute(own.values({what: work.now, "status": text}))

        return note

    def say_refusing(self) -> None:
        """Tell other processes when the database begins or ceases to refuse results.

        It may refuse this, too, so it goes elsewhere.
        """
        refusing = self.queue.refusing is not None
        if refusing != self._said_refusing:
            self._ownership.note(refusing=refusing)
            self._said_refusing = refusing

    async def openings(self) -> list[Opening]:
        """The newest propagation records, oldest first."""
        return await self._do(targets.latest_openings)

    # --- inbox and declarations ---

    async def inbox(self) -> list[InboxItem]:
        """The requests of other processes that are not settled yet, in order."""
        # A read waits for its turn in the writer's thread; the daemon asks every second.
        last = self._ownership.commits()
        if last is not None and last == self._inbox_empty_at:
            return []
        if last is None and not await asyncio.to_thread(self._ownership.has_requests):
            return []
        its = tables.inbox.c
        # the condition of the partial index, which has only these rows
        waiting = select(tables.inbox).where(its.taken_at.is_(None)).order_by(its.id)
        found = await self._all(InboxItem, waiting.limit(WAITING_MOST))
        self._inbox_empty_at = None if found else last
        return found

    async def settle_inbox(self, ids: Sequence[int], reply: str | None = None) -> None:
        """Mark requests as taken, with a reply for who waits for it.

        Call it after they are carried out: a crash in between repeats them.
        """
        await self.queue.do(lambda work: work.settle_inbox(ids, reply))

    async def declare(
        self, kind: DeclarationKind, subject: str, at: datetime, source: str
    ) -> int | None:
        """Store a declaration. Returns its id, or None if the same one is stored already."""
        table = tables.declarations
        statement = upsert(table).on_conflict_do_nothing().returning(table.c.id)
        row = {"kind": kind, "subject": subject, "at": at, "source": source}
        return await self.queue.do(
            lambda work: work.in_turn().execute(statement, row).scalar_one_or_none()
        )

    async def events_since(self, at: datetime) -> dict[str, int]:
        """The number of each event of a target, a route or the budget since `at`, by the event's word."""
        its = tables.events.c
        query = (
            select(its.kind, func.count())
            .where(its.at >= at, its.kind.not_in([EventKind.STARTED, EventKind.STOPPING]))
            .group_by(its.kind)
            .order_by(its.kind)
        )
        return await self._do(
            lambda connection: {str(event): count for event, count in connection.execute(query)}
        )

    async def offline_since(self) -> datetime | None:
        """When `offline` was recorded; None if `online` was since then."""
        its = tables.events.c
        kinds = [EventKind.OFFLINE, EventKind.ONLINE]
        # they have no target: the index of targets and times finds them
        found = select(its.kind, its.at).where(its.target.is_(None), its.kind.in_(kinds))
        query = found.order_by(its.id.desc()).limit(1)
        last = await self._do(lambda connection: connection.execute(query).first())
        return last.at if last and last.kind == EventKind.OFFLINE else None

    async def untaken_declarations(self) -> list[Declaration]:
        """Declarations that no `Change` has taken yet, earliest first."""
        untaken = tables.declarations.c.taken_at.is_(None)
        return await self._do(lambda connection: targets.declarations(connection, untaken))

    async def declarations_after(self, last: int) -> list[Declaration]:
        """Declarations with higher numbers, in the order of these."""
        later = tables.declarations.c.id > last
        found = await self._do(lambda connection: targets.declarations(connection, later))
        return sorted(found, key=lambda one: one.id)

    async def newest_declarations(self) -> dict[str, Declaration]:
        """The latest declaration of each organization and key, by subject."""
        return {one.subject: one for one in await self._do(targets.declarations)}

    async def facts_since(self, kind: EventKind, day: date) -> list[dict[str, Any]]:
        """The facts of each event of this kind since the beginning of the UTC day `day`."""
        table = tables.events
        since = datetime.combine(day, time(), UTC)
        query = select(table.c.facts).where(table.c.kind == kind, table.c.at >= since)
        return await self._do(
            lambda connection: [json.loads(row.facts) for row in connection.execute(query)]
        )

    async def _all(self, form: Callable[..., T], query: Select[Any]) -> list[T]:
        return await self._do(
            lambda connection: [value_of(form, row) for row in connection.execute(query).mappings()]
        )

    async def _do(self, work: Callable[[Connection], T]) -> T:
        return await self.queue.do(lambda transaction: work(transaction.flush()))


def _among(
    key: ColumnElement[Any], keys: Collection[str] | None
) -> tuple[ColumnElement[bool], ...]:
    """That a row is of one of these keys, on a server: one array, as a statement has 65,535 parameters."""
    return () if keys is None else (key == any_(literal(list(keys), ARRAY(tables.TEXT))),)


def _open(
    database: Database, now: datetime, worker: str | None
) -> tuple[Ownership, Connection, Memo, DaemonRow | None, Tally]:
    if not isinstance(database, Server):
        ownership: Ownership = FileOwnership(database)
    else:
        ownership = FleetOwnership(database, worker) if worker else ServerOwnership(database)
    with ExitStack() as undo:
        undo.callback(ownership.release)
        found = migrate(database)
        if found != HEAD:
            log.info("database_migrated", before=found, after=HEAD)
        with as_store_errors(database):
            connection = writing_engine(database).connect()
            undo.callback(connection.close)
            if words := damage(connection):  # what is written to it would be lost sooner or later
                raise StoreError(damage_report(database, words))
            with connection.begin():
                ownership.take(connection)
                own = select(tables.daemon).where(tables.daemon.c.id == ownership.number)
                row = connection.execute(own).mappings().one_or_none()
                before = value_of(DaemonRow, row) if row else None
                counted = Tally.of(before.status if before else {})
                if isinstance(ownership, FleetOwnership):
                    for status in ownership.forgotten(connection):
                        counted.add(Tally.of(json.loads(status)))
                start = {
                    "id": ownership.number,
                    "pid": os.getpid(),
                    "started_at": now,
                    "progress_at": now,
                    "stopped_at": None,
                    "status": json.dumps(
                        {} if counted == Tally() else {COUNTED: counted.as_json()}
                    ),
                }
                noted = upsert(tables.daemon).values(start)
                connection.execute(noted.on_conflict_do_update(index_elements=["id"], set_=start))
                terms = ownership.terms
                if terms is None:
                    release_leases(connection)
                memo = Memo(
                    fleet=terms,
                    targets=targets.load_known(connection, None if terms is None else ()),
                    silences=not_ended(connection),
                    hides=hid_anything(connection),
                )
            ownership.opened()
        undo.pop_all()
    return ownership, connection, memo, before, counted
