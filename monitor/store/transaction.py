"""Turns a change into rows, inside the writer's transaction.

The hot path is an unchanged answer: it updates one row of `targets` and one of `runs`. Such rows
are gathered over all changes of a transaction, each statement is compiled once and passed to the driver.
SQLAlchemy itself takes 60 µs for each statement, and most transactions of a small monitor hold one answer.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from functools import lru_cache
from typing import Any

import structlog
from sqlalchemy import Connection, Executable, Insert, bindparam, func, insert, text, update
from sqlalchemy.dialects import sqlite
from sqlalchemy.engine import Dialect
from sqlalchemy.sql.elements import ClauseElement

from monitor.access.events import Event, Notification, Recorded
from monitor.access.holds import Posting
from monitor.access.memory import TargetState, to_json
from monitor.access.silences import Silence, silenced_by
from monitor.store import postings, tables
from monitor.store.errors import MovedError, StoreError, TakenError
from monitor.store.record_forms import with_latency
from monitor.store.records import AnswerRecord, Change, NotificationState
from monitor.store.runs import (
    INSERT_RUN,
    REQUEST_IDS,
    UPDATE_RUN,
    OpenRun,
    RunKey,
    first_answer,
    further_answer,
    last_run,
)
from monitor.store.silence_rows import (
    hid_anything,
    hidden_before,
    not_ended,
    silenced_meanwhile,
)

log = structlog.get_logger()

_targets = tables.targets.c
_UPDATE_TARGET = (
    update(tables.targets)
    .where(_targets.id == bindparam("row"))
    .values(since=func.coalesce(bindparam("new_since", type_=_targets.since.type), _targets.since))
)

#: In a fleet: another worker, with other settings, may have made it a target of its own shard.
_UPDATE_OWN_TARGET = _UPDATE_TARGET.where(_targets.shard == bindparam("own"))

_TAKE_DECLARATION = update(tables.declarations).where(
    tables.declarations.c.id == bindparam("row"), tables.declarations.c.taken_at.is_(None)
)
# Made once: SQLAlchemy needs longer to build a statement than SQLite to execute it.
_INSERT_OPENING = insert(tables.openings)
_INSERT_EVENT = insert(tables.events)
_INSERT_NOTIFICATION = insert(tables.notifications)
#: The columns of an event that are its own.
_OF_EVENT = [
    column.name for column in tables.events.c if column.name not in ("id", "target_id", "facts")
]

# For a fleet only, so in the words of PostgreSQL.
_TURN = text("SELECT starts FROM fleet WHERE id = 1 FOR UPDATE")
_SHARDS_OF = text("SELECT id, shard FROM targets WHERE id = ANY(:ids)")
_DECLARED = text("UPDATE shards SET declared = greatest(declared, :last) WHERE id = ANY(:ids)")
_Row = Mapping[str, Any]

#: Removes secrets from a text or from nested values; applied last to every row.
Hide = Callable[[Any], Any]


@dataclass(frozen=True, slots=True)
class Known:
    """The part of a target's row that the writer needs."""

    id: int
    route: str
    shard: int | None


@dataclass(slots=True)
class FleetTerms:
    """What binds the transactions of a fleet's worker: its shards with their epochs, the month's budget."""

    shards: dict[int, int] = field(default_factory=dict)
    per_month: float = float("inf")
    #: monotonic times at which the present transaction, and the last that was committed, renewed the lease
    begun_at: float = 0.0
    renewed_at: float = 0.0


@dataclass(slots=True)
class Memo:
    """A cache of the writer: targets by name, and the open runs of each, as committed.

    `silences` are those whose end was not told yet, and `hides` is whether any ever hid something.
    """

    targets: dict[str, Known] = field(default_factory=dict)
    runs: dict[RunKey, OpenRun] = field(default_factory=dict)
    silences: tuple[Silence, ...] = ()
    hides: bool = False
    #: None for the one daemon
    fleet: FleetTerms | None = None


class Transaction:
    """One transaction of the writer, at the time `now`. Words of servers are written after `hide`."""

    def __init__(
        self, connection: Connection, memo: Memo, now: datetime, hide: Hide = lambda said: said
    ) -> None:
        self._connection = connection
        self._memo = memo
        #: what of the cache this transaction adds or replaces, once it is committed
        self._runs: dict[RunKey, OpenRun] = {}
        self._targets, self.silences, self._hides = memo.targets, memo.silences, memo.hides
        self.now = now
        self.hide = hide
        self._gathered: dict[Executable, list[_Row]] = {}
        self._fleet, self._is_in_turn = memo.fleet, False

    def flush(self) -> Connection:
        """Send the gathered rows. Reads on the returned connection then see every change put before."""
        gathered, self._gathered = self._gathered, {}
        for statement, rows in gathered.items():
            changed = _run_many(self._connection, statement, rows)
            if statement is _UPDATE_OWN_TARGET and changed < len(rows):
                self._let_go({row["row"] for row in rows})
                raise MovedError("a target is another worker's by other settings")
        return self._connection

    def _let_go(self, ids: set[int]) -> None:
        """Know those of these targets no more that have left their shards."""
        now = {
            row.id: row.shard for row in self._connection.execute(_SHARDS_OF, {"ids": list(ids)})
        }
        known = self._memo.targets
        for name in [
            name for name, one in known.items() if now.get(one.id, one.shard) != one.shard
        ]:
            del known[name]

    @property
    def shards(self) -> Mapping[int, int] | None:
        """The worker's shards, each with its epoch; None for the one daemon, which has no share but all."""
        return None if self._fleet is None else self._fleet.shards

    def in_turn(self) -> Connection:
        """`flush`; in a fleet, transactions that call this run one after the other from here on.

        So their events get numbers in the order of their commits, as who reads on from a number relies on,
        and each knows the silences that the others made.
        """
        connection = self.flush()
        if self._fleet is not None and not self._is_in_turn:
            self._is_in_turn = True
            connection.execute(_TURN)
            self.silences, self._hides = not_ended(connection), hid_anything(connection)
        return connection

    def register(self, known: dict[str, Known]) -> None:
        """Make these the known targets, in this transaction and later ones."""
        self._targets = known

    def committed(self) -> None:
        """Keep what the transaction added for the next ones."""
        memo = self._memo
        if memo.fleet is not None:
            memo.fleet.renewed_at = memo.fleet.begun_at
        memo.runs.update(self._runs)
        if self._targets is not memo.targets:
            memo.targets = self._targets
            ids = {known.id for known in memo.targets.values()}
            memo.runs = {key: run for key, run in memo.runs.items() if key[0] in ids}
        memo.silences, memo.hides = self.silences, self._hides

    def put(self, change: Change) -> list[Recorded]:
        """Write a change and return its recorded events. Raises StoreError for an unknown target.

        In a fleet that is another worker's: of the change only what it cost is written.
        """
        if self._fleet is not None and change.target and change.target not in self._targets:
            log.warning(
                "not_recorded",
                target=change.target,
                event_kinds=[str(event.kind) for event in change.events],
                why="it is another worker's, perhaps by other settings",
            )
            change = Change(posting=change.posting)
        if change.target is not None:
            target = self._targets.get(change.target)
            if target is None:
                raise StoreError(f"the target {change.target} is not registered")
            if change.memory:
                self._remember(target, change.memory)
            if change.answer:
                declared_at = change.memory.declared_at if change.memory else None
                self._observe(target, change.answer, declared_at)
            if change.opening:
                row = {"target_id": target.id} | asdict(change.opening)
                self._gather(_INSERT_OPENING, row)
        elif change.memory or change.answer or change.opening:
            raise StoreError("a memory, an answer or an opening needs its target")
        self.post(change.posting)
        if change.declaration is not None:
            self._gather(_TAKE_DECLARATION, {"row": change.declaration, "taken_at": self.now})
            if self._fleet is not None:
                own = [shard for shard in change.declared_in if shard in self._fleet.shards]
                values = {"last": change.declaration, "ids": own}
                self.flush().execute(_DECLARED, values)
        if change.inbox is not None:
            self.settle_inbox([change.inbox], change.reply)
        return [self.record(event) for event in change.events]

    def post(self, posting: Posting) -> None:
        """Write spending and holds.

        Raises OverMonthError when a fleet's other workers have taken what was left of the month.
        """
        if posting and self._fleet is not None:
            postings.add_to_months(self.in_turn(), posting, self._fleet.per_month)
        for statement, row in postings.statements(posting):
            self._gather(statement, row)

    def settle_inbox(self, ids: Sequence[int], reply: str | None = None) -> None:
        """Mark requests of other processes as taken, after they are carried out.

        Raises TakenError in a fleet, where another worker may have done it.
        """
        its = tables.inbox.c
        row = {"taken_at": self.now, "reply": reply}
        settled = update(tables.inbox).where(its.id.in_(ids)).values(row)
        if self._fleet is not None:
            settled = settled.where(its.taken_at.is_(None))
        if self.flush().execute(settled).rowcount < len(ids) and self._fleet is not None:
            raise TakenError("another worker has carried out the request")

    def _gather(self, statement: Executable, row: _Row) -> None:
        self._gathered.setdefault(statement, []).append(row)

    def _insert(self, statement: Insert, row: _Row) -> int:
        key = self._connection.execute(statement, row).inserted_primary_key
        assert key is not None  # noqa: S101  it is None only for several rows at once
        return int(key[0])

    def _remember(self, target: Known, memory: TargetState) -> None:
        row = {"row": target.id, "new_since": memory.since} | memory_columns(memory)
        if self._fleet is None:
            self._gather(_UPDATE_TARGET, row)
        else:
            self._gather(_UPDATE_OWN_TARGET, row | {"own": target.shard})

    def _observe(self, target: Known, answer: AnswerRecord, declared_at: datetime | None) -> None:
        run_key = (target.id, answer.kind)
        message = self.hide(answer.message)
        key = (target.route, answer.diagnosis, answer.status, answer.gate, message)
        run = (
            self._runs.get(run_key)
            or self._memo.runs.get(run_key)
            or last_run(self._connection, run_key)
        )
        if run and (
            run.key != key
            # the evidence counts answers since the declaration
            or (declared_at and run.last_at < declared_at <= answer.at)
        ):
            run = None
        request_ids = run.request_ids if run else ()
        if answer.request_id:
            request = (self.hide(answer.request_id), answer.at.isoformat(timespec="milliseconds"))
            request_ids = (*request_ids, request)[-REQUEST_IDS:]
        latencies = with_latency(run.latencies if run else {}, answer.latency_ms)
        row = {
            "last_at": answer.at,
            "request_ids": json.dumps(request_ids),
            "headers": json.dumps(self.hide(dict(answer.headers))),
            "latencies": json.dumps(latencies),
        }
        if run:
            row_id = run.id
            self._gather(UPDATE_RUN, row | further_answer(row_id, answer))
        else:
            row_id = self._insert(INSERT_RUN, row | first_answer(run_key, key, answer))
        self._runs[run_key] = OpenRun(row_id, key, answer.at, request_ids, latencies)

    def record(self, event: Event) -> Recorded:
        """Write an event, and for each of its channels a notification: pending, or silenced."""
        if self._fleet is not None:
            self.in_turn()
        silenced = {
            channel: silence.id
            for channel in event.channels
            if (silence := silenced_by(event, channel, self.silences, self.now))
        }
        self._hides |= bool(silenced)
        told = [channel for channel in event.channels if channel not in silenced]
        facts = self.hide(dict(event.facts))
        if event.target is not None:
            if self._hides and told:
                facts |= hidden_before(self._connection, event, told)
            facts |= silenced_meanwhile(event, told, self.silences, self.now)
        stored = json.dumps(facts)
        # equal to what is read back from the row
        event = replace(event, request_id=self.hide(event.request_id), facts=json.loads(stored))
        target = self._targets.get(event.target) if event.target else None
        row = {name: getattr(event, name) for name in _OF_EVENT}
        row |= {"target_id": target.id if target else None, "facts": stored}
        event = replace(event, id=self._insert(_INSERT_EVENT, row))
        # the shard whose worker delivers it: that of the target, else one of this worker
        shard = target.shard if target else None
        if target is None and self._fleet is not None:
            shard = min(self._fleet.shards, default=0)
        pending = {}
        for channel in event.channels:
            hidden = silenced.get(channel)
            row = {
                "event_id": event.id,
                "channel": channel,
                "state": NotificationState.SILENCED if hidden else NotificationState.PENDING,
                "attempts": 0,
                "created_at": self.now,
                "silence_id": hidden,
                "shard": shard,
            }
            id_ = self._insert(_INSERT_NOTIFICATION, row)
            if not hidden:
                pending[channel] = Notification(id_, event, attempts=0, created_at=self.now)
        return Recorded(event, pending, silenced)


def memory_columns(memory: TargetState) -> dict[str, Any]:
    """The columns of a target that follow from its memory, except `since`."""
    return {
        "state": memory.state,
        "blocker": memory.blocker,
        "last_probe_at": memory.last_probe_at,
        "last_diagnosis": memory.last_diagnosis,
        "next_probe_at": memory.next_probe_at,
        "held_by": memory.held_by,
        "memory": json.dumps(to_json(memory)),
    }


def _run_many(connection: Connection, statement: Executable, rows: Sequence[_Row]) -> int:
    """Run a statement that returns no rows once for each of `rows`, in the connection's transaction.

    Returns the number of rows that it changed.

    All rows name the same columns and parameters. Raises StoreError for a value that cannot be written,
    and the driver's own errors.
    """
    sql, bound = _compiled(statement, tuple(rows[0]), connection.dialect)
    driver = connection.connection.driver_connection
    assert driver is not None  # noqa: S101  it is None only once the connection was given back
    try:
        values = [bound(row) for row in rows]
    except (TypeError, ValueError) as error:
        raise StoreError(f"a value cannot be written: {type(error).__name__}") from error
    cursor = driver.cursor()
    cursor.executemany(sql, values)
    return int(cursor.rowcount)


@lru_cache(maxsize=32)
def _compiled(
    statement: ClauseElement, names: tuple[str, ...], dialect: Dialect
) -> tuple[str, Callable[[_Row], dict[str, Any]]]:
    """The statement's SQL for rows with these names, and what turns a row into the values to bind."""
    # placeholders with names, whatever the dialect is used to
    named = sqlite.dialect(paramstyle="named") if dialect.name == "sqlite" else dialect
    compiled = statement.compile(dialect=named, column_keys=list(names))
    # what the statement itself binds, such as the 1 in `answers + 1`
    constants = {name: value for name, value in compiled.params.items() if name not in names}
    writers = {
        name: writer
        for bind, name in compiled.bind_names.items()  # type: ignore[attr-defined]
        if (writer := bind.type.dialect_impl(dialect).bind_processor(dialect))
    }

    def bound(row: _Row) -> dict[str, Any]:
        values = {**constants, **row}
        for name, writer in writers.items():
            values[name] = writer(values[name])
        return values

    return str(compiled), bound
