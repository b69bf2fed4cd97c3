"""Turns a change into rows, inside the writer's transaction.

The hot path is an unchanged answer: it updates one row of `targets` and one of `runs`. Such rows
are gathered over all changes of a transaction and sent in one call per statement.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from typing import Any

from sqlalchemy import (
    Connection,
    Executable,
    Insert,
    bindparam,
    delete,
    func,
    insert,
    select,
    update,
)
from sqlalchemy.dialects.sqlite import insert as upsert

from monitor.access.holds import Posting
from monitor.access.memory import TargetState, to_json
from monitor.access.words import ProbeKind
from monitor.store import inbox, tables
from monitor.store.compiled_statements import run_many
from monitor.store.errors import StoreError
from monitor.store.latencies import Counts, added, from_text, to_text
from monitor.store.records import (
    AnswerRecord,
    Change,
    NotificationState,
    PendingNotification,
    Recorded,
    Told,
)

#: Request ids kept per run: enough for a support ticket.
_REQUEST_IDS = 5

_targets = tables.targets.c
_UPDATE_TARGET = (
    update(tables.targets)
    .where(_targets.id == bindparam("row"))
    .values(since=func.coalesce(bindparam("new_since", type_=_targets.since.type), _targets.since))
)

_runs = tables.runs.c
_UPDATE_RUN = (
    update(tables.runs)
    .where(_runs.id == bindparam("row"))
    .values(
        answers=_runs.answers + 1,
        latency_sum_ms=_runs.latency_sum_ms + bindparam("ms"),
        latency_min_ms=func.min(_runs.latency_min_ms, bindparam("ms")),
        latency_max_ms=func.max(_runs.latency_max_ms, bindparam("ms")),
        connect_ms=func.coalesce(bindparam("connect"), _runs.connect_ms),
        tls_ms=func.coalesce(bindparam("tls"), _runs.tls_ms),
        first_byte_ms=func.coalesce(bindparam("first_byte"), _runs.first_byte_ms),
        cost_usd=_runs.cost_usd + bindparam("cost"),
        reused=_runs.reused + bindparam("over_old"),
        fresh=_runs.fresh + bindparam("over_new"),
    )
)

_spend = tables.spend.c
_INSERT_SPEND = upsert(tables.spend)
_SPEND = _INSERT_SPEND.on_conflict_do_update(
    index_elements=["key", "day"],
    set_={
        "settled_usd": _spend.settled_usd + _INSERT_SPEND.excluded.settled_usd,
        "probes": _spend.probes + _INSERT_SPEND.excluded.probes,
        "estimated": func.max(_spend.estimated, _INSERT_SPEND.excluded.estimated),
    },
)

_INSERT_HOLD = insert(tables.holds)
_FREE_HOLD = delete(tables.holds).where(tables.holds.c.id == bindparam("row"))

_TAKE_DECLARATION = update(tables.declarations).where(
    tables.declarations.c.id == bindparam("row"), tables.declarations.c.taken_at.is_(None)
)
_INSERT_OPENING = insert(tables.openings)

# Made once: SQLAlchemy needs longer to build a statement than SQLite to execute it.
_INSERT_RUN = insert(tables.runs)
_INSERT_HAPPENING = insert(tables.happenings)
_INSERT_NOTIFICATION = insert(tables.notifications)
_LAST_RUN = (
    select(tables.runs)
    .where(_runs.target_id == bindparam("target"), _runs.kind == bindparam("kind"))
    .order_by(_runs.id.desc())
    .limit(1)
)


@dataclass(frozen=True, slots=True)
class Known:
    """The part of a target's row that the writer needs."""

    id: int
    route: str


@dataclass(frozen=True, slots=True)
class OpenRun:
    """The run that an equal answer continues."""

    id: int
    key: tuple[Any, ...]
    last_at: datetime
    #: the last request ids, each with its time as text
    request_ids: tuple[tuple[str, str], ...]
    latencies: Counts


RunKey = tuple[int, ProbeKind]

#: Removes secrets from a text or from nested values; applied last to every row.
Hide = Callable[[Any], Any]


@dataclass(slots=True)
class Memo:
    """A cache of the writer: targets by name, and the open runs of each.

    Additions of a transaction are kept only when it commits.
    """

    targets: dict[str, Known] = field(default_factory=dict)
    runs: dict[RunKey, OpenRun] = field(default_factory=dict)
    new_targets: dict[str, Known] = field(default_factory=dict)
    new_runs: dict[RunKey, OpenRun] = field(default_factory=dict)

    def committed(self) -> None:
        """Keep the additions of the transaction."""
        self.targets.update(self.new_targets)
        self.runs.update(self.new_runs)
        self.rolled_back()

    def rolled_back(self) -> None:
        """Drop the additions of the transaction."""
        self.new_targets.clear()
        self.new_runs.clear()

    def target(self, name: str) -> Known | None:
        """The target with this name, or None if it was never registered."""
        return self.new_targets.get(name) or self.targets.get(name)

    def run(self, run_key: RunKey) -> OpenRun | None:
        """The open run of a target and kind of probe, if it is in the cache."""
        return self.new_runs.get(run_key) or self.runs.get(run_key)


class Transaction:
    """One transaction of the writer, at the time `now`. Words of servers are written after `hide`."""

    def __init__(
        self, connection: Connection, memo: Memo, now: datetime, hide: Hide = lambda said: said
    ) -> None:
        self._connection = connection
        self._memo = memo
        self.now = now
        self.hide = hide
        self._gathered: dict[Executable, list[Mapping[str, Any]]] = {}

    def flush(self) -> Connection:
        """Send the gathered rows. Reads on the returned connection then see every change put before."""
        gathered, self._gathered = self._gathered, {}
        for statement, rows in gathered.items():
            run_many(self._connection, statement, rows)
        return self._connection

    def register(self, name: str, known: Known) -> None:
        """Make a target known to later changes of this transaction."""
        self._memo.new_targets[name] = known

    def put(self, change: Change) -> list[Recorded]:
        """Write a change and return its recorded happenings. Raises StoreError for an unknown target."""
        if change.target is not None:
            target = self._memo.target(change.target)
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
        if change.inbox is not None:
            inbox.settle(self.flush(), [change.inbox], self.now, change.reply)
        return [self._tell(told) for told in change.told]

    def post(self, posting: Posting) -> None:
        """Add the posting to the spending of keys, insert new holds, and delete released ones."""
        for spend in posting.spends:
            row = {
                "key": spend.key,
                "day": spend.day,
                "settled_usd": spend.usd,
                "probes": spend.probes,
                "estimated": spend.estimated,
            }
            self._gather(_SPEND, row)
        for hold in posting.held:
            self._gather(_INSERT_HOLD, asdict(hold))
        for id_ in posting.freed:
            self._gather(_FREE_HOLD, {"row": id_})

    def _gather(self, statement: Executable, row: Mapping[str, Any]) -> None:
        self._gathered.setdefault(statement, []).append(row)

    def _insert(self, statement: Insert, row: Mapping[str, Any]) -> int:
        key = self._connection.execute(statement, row).inserted_primary_key
        assert key is not None  # noqa: S101  it is None only for several rows at once
        return int(key[0])

    def _remember(self, target: Known, memory: TargetState) -> None:
        row = {"row": target.id, "new_since": memory.since} | memory_columns(memory)
        self._gather(_UPDATE_TARGET, row)

    def _observe(self, target: Known, answer: AnswerRecord, declared_at: datetime | None) -> None:
        run_key = (target.id, answer.kind)
        # the route is part of the key: a provider's answer never continues a run of OpenAI's
        message = self.hide(answer.message)
        key = (target.route, answer.diagnosis, answer.status, answer.gate, message)
        run = self._memo.run(run_key) or self._last_run(run_key)
        goes_on = run is not None and run.key == key
        if run and declared_at and run.last_at < declared_at <= answer.at:
            goes_on = False  # the evidence counts answers since the declaration
        request_ids = run.request_ids if run and goes_on else ()
        if answer.request_id:
            request = (self.hide(answer.request_id), answer.at.isoformat(timespec="milliseconds"))
            request_ids = (*request_ids, request)[-_REQUEST_IDS:]
        latencies = added(run.latencies if run and goes_on else {}, answer.latency_ms)
        common = {
            "last_at": answer.at,
            "request_ids": json.dumps(request_ids),
            "headers": json.dumps(self.hide(dict(answer.headers))),
            "latencies": to_text(latencies),
        }
        if run and goes_on:
            row_id = run.id
            self._gather(_UPDATE_RUN, common | _continued(row_id, answer))
        else:
            row_id = self._insert_run(run_key, key, common, answer)
        self._memo.new_runs[run_key] = OpenRun(row_id, key, answer.at, request_ids, latencies)

    def _insert_run(
        self, run_key: RunKey, key: tuple[Any, ...], common: Mapping[str, Any], answer: AnswerRecord
    ) -> int:
        route, diagnosis, status, gate, message = key
        row = dict(common) | {
            "target_id": run_key[0],
            "route": route,
            "kind": run_key[1],
            "diagnosis": diagnosis,
            "status": status,
            "gate": gate,
            "message": message,
            "first_at": answer.at,
            "answers": 1,
            "latency_sum_ms": answer.latency_ms,
            "latency_min_ms": answer.latency_ms,
            "latency_max_ms": answer.latency_ms,
            "connect_ms": answer.connect_ms,
            "tls_ms": answer.tls_ms,
            "first_byte_ms": answer.first_byte_ms,
            "cost_usd": answer.cost_usd,
            "reused": answer.reused is True,
            "fresh": answer.reused is False,
        }
        return self._insert(_INSERT_RUN, row)

    def _last_run(self, run_key: RunKey) -> OpenRun | None:
        row = self._connection.execute(
            _LAST_RUN, {"target": run_key[0], "kind": run_key[1]}
        ).one_or_none()
        if row is None:
            return None
        key = (row.route, row.diagnosis, row.status, row.gate, row.message)
        request_ids = tuple((id_, at) for id_, at in json.loads(row.request_ids))
        return OpenRun(row.id, key, row.last_at, request_ids, from_text(row.latencies))

    def _tell(self, told: Told) -> Recorded:
        happening = told.happening
        facts = json.dumps(self.hide(dict(happening.facts)))
        # equal to what is read back from the row
        happening = replace(
            happening, request_id=self.hide(happening.request_id), facts=json.loads(facts)
        )
        target = self._memo.target(happening.target) if happening.target else None
        row = {
            "kind": happening.kind,
            "event": happening.event,
            "target_id": target.id if target else None,
            "target": happening.target,
            "scope": happening.scope,
            "route": happening.route,
            "before": happening.before,
            "after": happening.after,
            "at": happening.at,
            "reason": happening.reason,
            "diagnosis": happening.diagnosis,
            "request_id": happening.request_id,
            "facts": facts,
        }
        happening_id = self._insert(_INSERT_HAPPENING, row)
        pending = {}
        for channel in told.channels:
            row = {
                "happening_id": happening_id,
                "channel": channel,
                "state": NotificationState.PENDING,
                "attempts": 0,
                "created_at": self.now,
            }
            pending[channel] = PendingNotification(
                id=self._insert(_INSERT_NOTIFICATION, row),
                happening_id=happening_id,
                happening=happening,
                attempts=0,
                created_at=self.now,
            )
        return Recorded(happening_id, pending)


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


def _continued(run: int, answer: AnswerRecord) -> dict[str, Any]:
    return {
        "row": run,
        "ms": answer.latency_ms,
        "connect": answer.connect_ms,
        "tls": answer.tls_ms,
        "first_byte": answer.first_byte_ms,
        "cost": answer.cost_usd,
        "over_old": answer.reused is True,
        "over_new": answer.reused is False,
    }
