"""Everything that is known of one target, as its page shows it and support may ask for it."""

import json
from dataclasses import dataclass
from datetime import datetime

from monitor.access.databases import Database
from monitor.access.memory import TargetState, from_json
from monitor.access.words import Code, ProbeKind
from monitor.store.connections import Connection, Row, reading, stored
from monitor.store.errors import StoreError
from monitor.store.latencies import from_text, percentile
from monitor.store.record_forms import value_of
from monitor.store.records import Declaration, Run, TargetStatus

#: Most runs, and most other targets, in a record.
_RUNS = 40
_BESIDE = 20

_OF_TARGET = "target_id = :id AND route = :route"
_SINCE = f"{_OF_TARGET} AND kind = '{ProbeKind.FULL}' AND last_at >= :since"
_ACCEPTED = f"kind = '{ProbeKind.LISTING}' AND diagnosis IS NULL"
_GRANTED = f"kind = '{ProbeKind.FULL}' AND diagnosis = '{Code.ACCESS_GRANTED}'"


@dataclass(frozen=True, slots=True)
class Granted:
    """Another target of the same organization and route, and its last granted answer, if any."""

    status: TargetStatus
    at: datetime | None
    request_id: str | None


@dataclass(frozen=True, slots=True)
class TargetRecord:
    """A target, its declarations, and its answers since `start`, oldest first.

    `start` is the time of the declaration in force, else of the change to the present state; `declared`
    says which. A run that began before `start` and continued after it is included whole. `runs_left_out`
    counts older runs beyond the limit. `identity` is the last listing that accepted key, organization and
    project.
    """

    status: TargetStatus
    memory: TargetState
    declarations: tuple[Declaration, ...]
    start: datetime
    declared: bool
    runs: tuple[Run, ...]
    runs_left_out: int
    identity: Run | None
    beside: tuple[Granted, ...]


def target_record(database: Database, target: str, *, for_support: bool = True) -> TargetRecord:
    """The record of the active target with this name; `identity` and `beside` only `for_support`.

    Raises StoreError when the database cannot be read, or no daemon has watched the target yet.
    """
    with reading(database) as connection:
        row = connection.execute(
            "SELECT * FROM targets WHERE name = ? AND active", (target,)
        ).fetchone()
        if row is None:
            raise StoreError(
                f"{database}: nothing is known of {target} yet; `run` has not watched it"
            )
        memory = from_json(json.loads(row["memory"]))
        start = memory.declared_at or row["since"]
        values = {"id": row["id"], "route": row["route"], "since": stored(start), "limit": _RUNS}
        runs = connection.execute(
            f"""
            SELECT *, count(*) OVER () AS of_all FROM runs WHERE {_SINCE}
            ORDER BY id DESC LIMIT :limit
            """,
            values,
        ).fetchall()
        declarations = connection.execute(
            "SELECT * FROM declarations WHERE subject IN (?, ?) ORDER BY at, id",
            (row["organization"] or row["key"], row["key"]),
        )
        return TargetRecord(
            status=_status(row),
            memory=memory,
            declarations=tuple(value_of(Declaration, one) for one in declarations),
            start=start,
            declared=memory.declared_at is not None,
            runs=tuple(run_of(run, target) for run in reversed(runs)),
            runs_left_out=runs[0]["of_all"] - len(runs) if runs else 0,
            identity=_last_run(connection, row, _ACCEPTED) if for_support else None,
            beside=_beside(connection, row) if for_support else (),
        )


def run_of(row: Row, target: str) -> Run:
    """The run of a row of `runs`, of the target with this name."""
    requests = json.loads(row["request_ids"])
    counts = from_text(row["latencies"])
    least, most = row["latency_min_ms"], row["latency_max_ms"]
    median, late = percentile(counts, 0.5) or 0.0, percentile(counts, 0.95) or 0.0
    return value_of(
        Run,
        row,
        target=target,
        count=row["answers"],
        request_ids=tuple(id_ for id_, _ in requests),
        request_times=tuple(datetime.fromisoformat(at) for _, at in requests),
        latency_mean_ms=row["latency_sum_ms"] / row["answers"],
        # the middle of a bucket may lie outside the measured range
        latency_median_ms=min(max(median, least), most),
        latency_p95_ms=min(max(late, least), most),
    )


def _status(row: Row) -> TargetStatus:
    return value_of(TargetStatus, row, target=row["name"], spend_today_usd=0.0)


def _last_run(connection: Connection, target: Row, condition: str) -> Run | None:
    """The newest run of a target over its present route that meets the condition."""
    row = connection.execute(
        f"SELECT * FROM runs WHERE {_OF_TARGET} AND {condition} ORDER BY id DESC LIMIT 1",
        {"id": target["id"], "route": target["route"]},
    ).fetchone()
    return run_of(row, target["name"]) if row else None


def _beside(connection: Connection, target: Row) -> tuple[Granted, ...]:
    """The neighbours on the same route: what another route grants says nothing about this one."""
    rows = connection.execute(
        """
        SELECT * FROM targets WHERE active AND scope = :scope AND route = :route AND id <> :id
        ORDER BY name LIMIT :limit
        """,
        {**{name: target[name] for name in ("scope", "route", "id")}, "limit": _BESIDE},
    )
    found = []
    for row in rows.fetchall():
        run = _last_run(connection, row, _GRANTED)
        request_id = run.request_ids[-1] if run and run.request_ids else None
        found.append(Granted(_status(row), run.last_at if run else None, request_id))
    return tuple(found)
