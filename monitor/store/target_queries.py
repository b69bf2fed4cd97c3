"""What is known of single targets: for their pages and timelines, and for support.

The queries are as those of `queries`: read-only, of one moment, and bounded.
"""

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from monitor.access.databases import Database
from monitor.access.memory import TargetState, from_json
from monitor.access.words import Code, EventKind, ProbeKind, State
from monitor.store.connections import Connection, Row, reading, stored
from monitor.store.errors import StoreError
from monitor.store.record_forms import latencies_of, median_and_p95, value_of
from monitor.store.records import Declaration, Run, TargetStatus

#: Transitions of one target that a timeline is made of, the newest.
_TRANSITIONS = 1000
#: Starts and stops of the daemon in a timeline, the newest.
_LIVES = 500
#: Declarations in a timeline, the newest.
_DECLARED = 1000

#: Looking a word up takes a fifth of the time of calling the enumeration; a page has thousands.
_STATES = {str(state): state for state in State}

_NEWEST = """
    SELECT at, before, after FROM events
    WHERE target = :target AND after IS NOT NULL AND at {} :since ORDER BY at DESC, id DESC LIMIT :limit
"""
_SINCE, _LAST_BEFORE = _NEWEST.format(">="), _NEWEST.format("<")

#: Most runs, and most other targets, in a record.
_RUNS = 40
_BESIDE = 20

_OF_TARGET = "target_id = :id AND route = :route"
_IN_STATE = f"{_OF_TARGET} AND kind = '{ProbeKind.FULL}' AND last_at >= :since"
_ACCEPTED = f"kind = '{ProbeKind.LISTING}' AND diagnosis IS NULL"
_GRANTED = f"kind = '{ProbeKind.FULL}' AND diagnosis = '{Code.ACCESS_GRANTED}'"


class Transition(NamedTuple):
    """A target's state from `at` on (UTC), and the one before it."""

    at: datetime
    before: State | None
    after: State


@dataclass(frozen=True, slots=True)
class Timelines:
    """What the timelines of some targets are made of, since a time.

    `changes`: of each target the transitions, oldest first, and the last one before that time.
    `gaps`: the stretches of time between daemons. `declared`: their declarations by subject, oldest first.
    """

    changes: Mapping[str, Sequence[Transition]]
    gaps: Sequence[tuple[datetime, datetime]]
    declared: Mapping[str, Sequence[Declaration]]
    #: when the first event was recorded, None before it: nothing is known of the time before
    began: datetime | None


def timelines(database: Database, targets: Sequence[str], since: datetime) -> Timelines:
    """What the timelines of these targets are made of, since a time (UTC)."""
    with reading(database) as connection:
        first = connection.execute("SELECT at FROM events ORDER BY id LIMIT 1").fetchone()
        return Timelines(
            {target: _transitions(connection, target, since) for target in targets},
            _gaps(connection, since),
            _declarations(connection, targets, since),
            first["at"] if first else None,
        )


def _transitions(connection: Connection, target: str, since: datetime) -> list[Transition]:
    values = {"target": target, "since": stored(since)}
    rows = connection.execute(_SINCE, {**values, "limit": _TRANSITIONS}).fetchall()
    complete = len(rows) < _TRANSITIONS
    if complete:
        rows += connection.execute(_LAST_BEFORE, {**values, "limit": 1})
    found = [
        Transition(at, _STATES[before] if before else None, _STATES[after])
        for at, before, after in reversed(rows)
    ]
    if not complete:  # the state of the time before the first one is not known: it has others there
        found[0] = found[0]._replace(before=None)
    return found


def _gaps(connection: Connection, since: datetime) -> list[tuple[datetime, datetime]]:
    """Each start says since when no daemon had lived."""
    rows = connection.execute(
        # such events have no target: the index of targets and times finds them
        """
        SELECT at, facts FROM events WHERE target IS NULL AND kind = ? AND at >= ?
        ORDER BY at DESC LIMIT ?
        """,
        (EventKind.STARTED, stored(since), _LIVES),
    )
    found = []
    for at, facts in reversed(rows.fetchall()):
        text = json.loads(facts).get("down_since")
        if isinstance(text, str):
            found.append((datetime.fromisoformat(text), at))
    return found


def _declarations(
    connection: Connection, targets: Sequence[str], since: datetime
) -> dict[str, list[Declaration]]:
    rows = connection.execute(
        f"""
        WITH shown AS (
            SELECT key, organization FROM targets WHERE name IN ({_any(targets)})
        )
        SELECT * FROM declarations
        WHERE subject IN (SELECT key FROM shown UNION SELECT organization FROM shown) AND at >= ?
        ORDER BY at DESC, id DESC LIMIT ?
        """,
        (*targets, stored(since), _DECLARED),
    )
    found = defaultdict[str, list[Declaration]](list)
    for row in reversed(rows.fetchall()):
        found[row["subject"]].append(value_of(Declaration, row))
    return found


def _any(values: Sequence[str]) -> str:
    """Placeholders for these values in a list, which may have none."""
    return ", ".join("?" * len(values)) or "NULL"


def first_lights(database: Database, targets: Sequence[str]) -> dict[str, datetime]:
    """When the present opening of each of these targets began; nothing of those that are shut."""
    with reading(database) as connection:
        rows = connection.execute(
            f"SELECT name, memory FROM targets WHERE name IN ({_any(targets)}) AND active",
            targets,
        )
        memories = ((name, from_json(json.loads(memory))) for name, memory in rows)
        return {name: one.first_light_at for name, one in memories if one.first_light_at}


@dataclass(frozen=True, slots=True)
class Granted:
    """Another target of the same organization and route, and its last granted answer, if any."""

    status: TargetStatus
    at: datetime | None
    request_id: str | None


@dataclass(frozen=True, slots=True)
class TargetRecord:
    """A target, its declarations, and its answers since `start`, oldest first.

    `start` is the time of the declaration in force, else of the change to the present state. A run
    that began before `start` and continued after it is included whole. `runs_left_out` counts older runs
    beyond the limit. `identity` is the last listing that accepted key, organization and project.
    """

    status: TargetStatus
    memory: TargetState
    declarations: tuple[Declaration, ...]
    start: datetime
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
            SELECT *, count(*) OVER () AS of_all FROM runs WHERE {_IN_STATE}
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
            runs=tuple(run_of(run, target) for run in reversed(runs)),
            runs_left_out=runs[0]["of_all"] - len(runs) if runs else 0,
            identity=_last_run(connection, row, _ACCEPTED) if for_support else None,
            beside=_beside(connection, row) if for_support else (),
        )


def run_of(row: Row, target: str) -> Run:
    """The run of a row of `runs`, of the target with this name."""
    requests = json.loads(row["request_ids"])
    least, most = row["latency_min_ms"], row["latency_max_ms"]
    median, late = median_and_p95(latencies_of(row["latencies"]))
    return value_of(
        Run,
        row,
        target=target,
        count=row["answers"],
        request_ids=tuple(id_ for id_, _ in requests),
        request_times=tuple(datetime.fromisoformat(at) for _, at in requests),
        latency_mean_ms=row["latency_sum_ms"] / row["answers"],
        # the middle of a bucket may lie outside the measured range
        latency_median_ms=min(max(median or 0.0, least), most),
        latency_p95_ms=min(max(late or 0.0, least), most),
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
