"""Queries from any process, also while the daemon writes.

Each opens a read-only connection, reads as of one moment, and returns at most `limit` rows where it has a
limit. All raise StoreError when there is no database yet or it cannot be read.
"""

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import Any

from monitor.access.databases import Database
from monitor.access.events import Event
from monitor.access.memory import from_json
from monitor.access.silences import Silence
from monitor.access.target import Capability, Target
from monitor.access.wait_times import OngoingWait, Opening, waiting_of
from monitor.access.words import Contract, ProbeKind, State
from monitor.store import inbox
from monitor.store.connections import Connection, Row, glob, reading, stored
from monitor.store.errors import is_there
from monitor.store.record_forms import as_json, latencies_of, median_and_p95, value_of
from monitor.store.records import (
    AlertRow,
    AnswersOfOne,
    Declaration,
    HistoryRow,
    NotificationRow,
    NotificationState,
    RouteOfModel,
)

#: Most rows of a result, the newest, unless the caller asks for more.
LIMIT = 1000
#: Most openings that are compared: the newest.
OPENINGS_MOST = 10_000
#: Runs of one model and surface by which its routes are compared: the newest.
_RECENT = 500
#: More rows than a database has.
_ALL = 2**62
#: Ended silences, the newest.
_ENDED = 50

#: Model, surface, route, contract.
_Served = tuple[str, str, str, str]
_of_route = itemgetter("model", "surface", "route", "contract")


def declared(database: Database) -> dict[str, Declaration]:
    """The latest declaration of each organization and key, by subject; those still in the inbox included."""
    with reading(database) as connection:
        rows = connection.execute("SELECT * FROM declarations ORDER BY at, id")
        told = [value_of(Declaration, row) for row in rows]
        waiting = connection.execute(
            "SELECT id, payload FROM inbox WHERE taken_at IS NULL AND kind = ? ORDER BY id LIMIT ?",
            (inbox.DECLARE, inbox.WAITING_MOST),
        )
        for id_, payload in waiting:
            if found := inbox.read_declaration(json.loads(payload)):
                kind, subject, at = found
                told.append(Declaration(id_, kind, subject, at, "inbox"))
    return {one.subject: one for one in sorted(told, key=lambda one: one.at)}


def request(database: Database, number: int) -> dict[str, Any] | None:
    """What became of a request in the inbox, as JSON values; None when there is no such request."""
    with reading(database) as connection:
        row = connection.execute(
            "SELECT id, kind, created_at, taken_at, reply FROM inbox WHERE id = ?", (number,)
        ).fetchone()
    if row is None:
        return None
    return {
        "id": row["id"],
        "kind": row["kind"],
        "state": "taken" if row["taken_at"] else "waiting",
        "created_at": as_json(row["created_at"]),
        "taken_at": as_json(row["taken_at"]),
        "reply": json.loads(row["reply"]) if row["reply"] else None,
    }


def history(
    database: Database,
    target: str | None = None,
    *,
    since: datetime | None = None,
    limit: int = LIMIT,
    before: int | None = None,
) -> list[HistoryRow]:
    """The newest `limit` events of the targets that are selected, oldest first: those before event `before`.

    `target` is a name, or a pattern with `*`, `?` or `[…]`, as in the settings.
    """
    wanted, values = ["true"], dict[str, Any]({"limit": limit})
    if target is not None:
        is_pattern = any(sign in target for sign in "*?[")
        operator, values["target"] = glob(database, target) if is_pattern else ("=", target)
        wanted.append(f"target {operator} :target")
    if since is not None:
        values["since"] = stored(since)
        wanted.append("at >= :since")
    if before is not None:
        values["before"] = before
        # in the order of the pages: a clock that was set back gives higher ids to earlier times
        wanted.append("(at, id) < (SELECT at, id FROM events WHERE id = :before)")
    newest = (
        f"SELECT id FROM events WHERE {' AND '.join(wanted)} ORDER BY at DESC, id DESC LIMIT :limit"
    )
    with reading(database) as connection:
        events = connection.execute(
            f"SELECT * FROM events WHERE id IN ({newest}) ORDER BY at, id", values
        ).fetchall()
        notifications = connection.execute(
            f"SELECT * FROM notifications WHERE event_id IN ({newest}) ORDER BY event_id, channel",
            values,
        )
        told = {
            event_id: tuple(value_of(NotificationRow, row) for row in rows)
            for event_id, rows in groupby(notifications, lambda row: row["event_id"])
        }
        return [HistoryRow(value_of(Event, row), told.get(row["id"], ())) for row in events]


def last_event(database: Database) -> int:
    """The id of the newest event, 0 without one."""
    with reading(database) as connection:
        (last,) = connection.execute("SELECT max(id) FROM events").fetchone()
        return last or 0


def events_after(database: Database, last: int, limit: int) -> list[Event]:
    """The first `limit` events with higher ids, in the order in which they were recorded."""
    with reading(database) as connection:
        rows = connection.execute(
            "SELECT * FROM events WHERE id > ? ORDER BY id LIMIT ?", (last, limit)
        )
        return [value_of(Event, row) for row in rows]


def names(database: Database) -> list[str]:
    """The names of all targets, past and present."""
    with reading(database) as connection:
        return [name for (name,) in connection.execute("SELECT name FROM targets ORDER BY name")]


def alerts(
    database: Database,
    state: NotificationState | None = None,
    *,
    limit: int = LIMIT,
    before: int | None = None,
) -> list[AlertRow]:
    """Notifications of a state, or all, oldest first: the newest `limit` of those with ids below `before`."""
    with reading(database) as connection:
        return _newest_alerts(connection, state, limit, before)


def alerts_and_older(
    database: Database,
    state: NotificationState | None = None,
    *,
    limit: int = LIMIT,
    before: int | None = None,
) -> tuple[list[AlertRow], int]:
    """The same, and how many older ones there are: both as of one moment."""
    with reading(database) as connection:
        found = _newest_alerts(connection, state, limit, before)
        if not found:
            return found, 0
        counted = f"SELECT count(*) FROM notifications WHERE {_listed(state)} AND id < :before"
        (older,) = connection.execute(counted, {"state": state, "before": found[0].id}).fetchone()
        return found, older


def _newest_alerts(
    connection: Connection, state: NotificationState | None, limit: int, before: int | None
) -> list[AlertRow]:
    # of each that is in the state the index tells the id, but only of these the whole row is needed
    earlier = "" if before is None else "AND id < :before"
    rows = connection.execute(
        f"""
        SELECT n.*, e.id AS transition_id, e.kind AS event, e.target
        FROM notifications n JOIN events e ON e.id = n.event_id
        WHERE n.id IN (
            SELECT id FROM notifications WHERE {_listed(state)} {earlier} ORDER BY id DESC LIMIT :limit
        )
        ORDER BY n.id
        """,
        {"state": state, "before": before, "limit": limit},
    )
    return [value_of(AlertRow, row) for row in rows]


def _listed(state: NotificationState | None) -> str:
    if state is NotificationState.DELIVERED:
        # nearly all are: said like this, the newest are found by their ids, without sorting a million
        others = ", ".join(f"'{other}'" for other in NotificationState if other is not state)
        return f"state NOT IN ({others})"
    return "true" if state is None else "state = :state"


def dead_alerts(database: Database) -> dict[int, str]:
    """The ids of all notifications that were given up, and the channel of each."""
    with reading(database) as connection:
        dead = connection.execute(
            "SELECT id, channel FROM notifications WHERE state = ?", (NotificationState.DEAD,)
        )
        return dict(dead)


def silences(database: Database, now: datetime) -> tuple[list[Silence], list[Silence]]:
    """The silences in force, the first to end first; and the newest of those that are over."""
    with reading(database) as connection:
        rows = connection.execute(
            "SELECT * FROM silences WHERE ended_at IS NOT NULL ORDER BY ended_at DESC, id DESC LIMIT ?",
            (_ENDED,),
        )
        over = [value_of(Silence, row) for row in rows]
        rows = connection.execute("SELECT * FROM silences WHERE ended_at IS NULL ORDER BY id")
        open_ = [value_of(Silence, row) for row in rows]
    in_force = sorted((one for one in open_ if one.in_force(now)), key=lambda one: one.expires_at)
    # their end is told within a second, or at the daemon's next start
    return in_force, [one for one in reversed(open_) if not one.in_force(now)] + over


def spent_by_key(database: Database) -> dict[str, tuple[float, int, bool]]:
    """By key: the total spending with holds included, the number of probes, whether it is an estimate.

    Empty if there is no database yet.
    """
    if isinstance(database, Path) and not is_there(database):
        return {}
    with reading(database) as connection:
        rows = connection.execute(
            """
            SELECT key, sum(usd), sum(probes), sum(estimated) FROM (
                SELECT key, settled_usd AS usd, probes, CASE WHEN estimated THEN 1 ELSE 0 END AS estimated
                FROM spend UNION ALL SELECT key, usd, 1, 0 FROM holds
            ) AS spent GROUP BY key
            """
        )
        return {key: (usd, probes, bool(estimated)) for key, usd, probes, estimated in rows}


def propagation(database: Database, *, now: datetime) -> Iterator[Opening | OngoingWait]:
    """The openings, oldest first, then the active targets that wait at `now`, one by one as they are read."""
    with reading(database) as connection:
        yield from (
            value_of(Opening, row)
            for row in connection.execute(
                "SELECT * FROM (SELECT * FROM openings ORDER BY id DESC LIMIT ?) AS newest ORDER BY id",
                (OPENINGS_MOST,),
            )
        )
        rows = connection.execute(
            "SELECT * FROM targets WHERE active AND state IN (?, ?) ORDER BY name",
            (State.PROPAGATING, State.UNVERIFIED),
        )
        yield from (wait for row in rows if (wait := _waiting(row, now)))


def _waiting(row: Row, now: datetime) -> OngoingWait | None:
    target = value_of(Target, row, capability=value_of(Capability, row))
    try:
        return waiting_of(target, from_json(json.loads(row["memory"])), now)
    except (ValueError, TypeError):
        return None  # the daemon logs an unreadable memory


#: The full probes' runs of the targets that are wanted, added up where their latencies are equal.
#: The run's own route: answers of a key's earlier route do not count for this one.
_RUNS = """
    SELECT model, surface, route, contract, diagnosis, answered, latencies, count(*) AS runs,
        sum(answers) AS answers, sum(reused) AS reused, sum(fresh) AS fresh,
        max(connect_ms) AS connect_ms, max(tls_ms) AS tls_ms, max(first_byte_ms) AS first_byte_ms
    FROM (
        SELECT model, surface, r.route, contract, r.diagnosis, r.status IS NOT NULL AS answered, latencies,
            answers, reused, fresh, connect_ms, tls_ms, first_byte_ms
        FROM runs r JOIN targets t ON t.id = r.target_id
        WHERE {wanted} AND r.kind = :full AND r.last_at >= :since AND r.route = t.route
        ORDER BY r.id DESC LIMIT :limit
    ) AS newest
    GROUP BY 1, 2, 3, 4, 5, 6, 7 ORDER BY 1, 2, 3, 4, 5, 6, 7
"""


def routes(
    database: Database, *, since: datetime, of: tuple[str, str] | None = None
) -> list[RouteOfModel]:
    """The active targets by model, surface and route, direct routes first.

    Counts the full probes of runs whose last answer came at `since` or later; a run that began
    before is counted whole. `of` is the one model and surface that is wanted: of it the newest runs, so that
    thousands of targets take no longer. Raises StoreError when the database cannot be read.
    """
    wanted = "active AND model = :model AND surface = :surface" if of else "active"
    model, surface = of or (None, None)
    values = {
        "model": model,
        "surface": surface,
        "since": stored(since),
        "full": ProbeKind.FULL,
        "limit": _RECENT if of else _ALL,
    }
    with reading(database) as connection:
        rows = connection.execute(
            f"""
            SELECT model, surface, route, contract, state, count(*) FROM targets WHERE {wanted}
            GROUP BY 1, 2, 3, 4, 5 ORDER BY model, surface, contract, route
            """,
            values,
        )
        states = defaultdict[_Served, dict[str, int]](dict)
        for *served, state, count in rows:
            states[tuple(served)][state] = count
        found = {of_route: _compared(of_route, its, ()) for of_route, its in states.items()}
        runs = connection.execute(_RUNS.format(wanted=wanted), values)
        for of_route, its_runs in groupby(runs, _of_route):
            found[of_route] = _compared(of_route, states[of_route], its_runs)
        return list(found.values())


def _compared(served: _Served, states: Mapping[str, int], runs: Iterable[Row]) -> RouteOfModel:
    """Add up row by row: a week of thousands of targets has tens of thousands of runs."""
    answers, answered = Counter[str](), Counter[int]()
    latencies = defaultdict[str, Counter[int]](Counter)
    connections, slowest = Counter[str](), dict[str, float]()
    for run in runs:
        diagnosis = run["diagnosis"]
        answers[diagnosis] += run["answers"]
        for bucket, count in latencies_of(run["latencies"]).items():
            latencies[diagnosis][bucket] += count * run["runs"]
            if run["answered"]:
                answered[bucket] += count * run["runs"]
        for how in ("reused", "fresh"):
            connections[how] += run[how]
        for phase in ("connect_ms", "tls_ms", "first_byte_ms"):
            if run[phase] is not None:
                slowest[phase] = max(run[phase], slowest.get(phase, 0.0))
    model, surface, route, contract = served
    median, late = median_and_p95(answered)
    return RouteOfModel(
        model=model,
        surface=surface,
        route=route,
        contract=Contract(contract),
        states=states,
        answers=answers.total(),
        latency_median_ms=median,
        latency_p95_ms=late,
        connect_ms=slowest.get("connect_ms"),
        tls_ms=slowest.get("tls_ms"),
        first_byte_ms=slowest.get("first_byte_ms"),
        reused=connections["reused"],
        fresh=connections["fresh"],
        by_diagnosis={
            diagnosis: AnswersOfOne(count, *median_and_p95(latencies[diagnosis]))
            for diagnosis, count in answers.most_common()
        },
    )
