"""Queries from any process, also while the daemon writes.

Each opens a read-only connection, reads as of one moment, and returns at most `limit` rows where it has a
limit. All raise StoreError when there is no database yet or it cannot be read.
"""

import json
from collections import defaultdict
from collections.abc import Mapping
from datetime import date, datetime
from itertools import groupby
from pathlib import Path
from typing import Any

from sqlalchemy import ColumnElement, Connection, RowMapping, func, literal, select

from monitor.access.events import Event
from monitor.access.memory import from_json
from monitor.access.silences import Silence
from monitor.access.target import Capability, Target
from monitor.access.wait_times import OngoingWait, Opening, waiting_of
from monitor.access.words import Contract, ProbeKind, State
from monitor.store import inbox, tables
from monitor.store.database import reading
from monitor.store.records import (
    AlertRow,
    AnswersOfOne,
    Declaration,
    HistoryRow,
    NotificationRow,
    NotificationState,
    RouteOfModel,
    SpendRow,
    value_of,
)
from monitor.store.runs import Counts, from_text, merged, percentile
from monitor.store.silences import not_ended

#: Most rows of a result, the newest, unless the caller asks for more.
LIMIT = 1000
#: Most openings that are compared: the newest.
_OPENINGS = 10_000
#: Runs of one model and surface by which its routes are compared: the newest.
_RECENT = 500
#: Ended silences, the newest.
_ENDED = 50

_targets = tables.targets.c
_runs = tables.runs.c
_events = tables.events.c
_notifications = tables.notifications.c
_spend = tables.spend.c

#: What is compared: to read the rest of thousands of rows takes longer, and memory.
_COMPARED = (
    _runs.route, _runs.diagnosis, _runs.status, _runs.answers, _runs.latencies, _runs.connect_ms,
    _runs.tls_ms, _runs.first_byte_ms, _runs.reused, _runs.fresh,
)  # fmt: skip
#: Model, surface, route, contract.
_Place = tuple[str, str, str, str]
#: A run's answers, and their latencies.
_Counted = tuple[int, Counts]


def declared(path: Path) -> dict[str, Declaration]:
    """The latest declaration of each organization and key, by subject; those still in the inbox included."""
    with reading(path) as connection:
        told = declarations(connection)
        for item in inbox.waiting(connection):
            if item.kind == inbox.DECLARE and (found := inbox.read_declaration(item.payload)):
                kind, subject, at = found
                told.append(Declaration(item.id, kind, subject, at, "inbox"))
    return {one.subject: one for one in sorted(told, key=lambda one: one.at)}


def declarations(connection: Connection, *conditions: ColumnElement[bool]) -> list[Declaration]:
    """The stored declarations that meet the conditions, earliest first."""
    table = tables.declarations
    query = select(table).where(*conditions).order_by(table.c.at, table.c.id)
    return [value_of(Declaration, row) for row in connection.execute(query).mappings()]


def history(
    path: Path,
    target: str | None = None,
    *,
    since: datetime | None = None,
    limit: int = LIMIT,
    before: int | None = None,
) -> list[HistoryRow]:
    """The newest `limit` events with ids below `before`, oldest first, of the targets that are selected.

    `target` is a name, or a pattern with `*`, `?` or `[…]`, as in the settings.
    """
    newest = select(_events.id)
    if before is None or target is not None:
        newest = newest.order_by(_events.at.desc())
    # a page of all is found by its ids: by time, all newer events would be passed over
    newest = newest.order_by(_events.id.desc())
    if target is not None:
        newest = newest.where(_of_target(target))
    if since is not None:
        newest = newest.where(_events.at >= since)
    if before is not None:
        newest = newest.where(_events.id < before)
    newest = newest.limit(limit)
    with reading(path) as connection:
        events = connection.execute(
            select(tables.events).where(_events.id.in_(newest)).order_by(_events.at, _events.id)
        ).mappings()
        notifications = connection.execute(
            select(tables.notifications)
            .where(_notifications.event_id.in_(newest))
            .order_by(_notifications.event_id, _notifications.channel)
        ).mappings()
        told = {
            event_id: tuple(value_of(NotificationRow, row) for row in rows)
            for event_id, rows in groupby(notifications, lambda row: row["event_id"])
        }
        return [HistoryRow(value_of(Event, row), told.get(row["id"], ())) for row in events]


def _of_target(name: str) -> ColumnElement[bool]:
    if not any(sign in name for sign in "*?["):
        return _events.target == name
    # GLOB differs from fnmatch only in the sign of a negated set
    return _events.target.op("GLOB", is_comparison=True)(name.replace("[!", "[^"))


def names(path: Path) -> list[str]:
    """The names of all targets, past and present."""
    with reading(path) as connection:
        return list(connection.execute(select(_targets.name).order_by(_targets.name)).scalars())


def alerts(
    path: Path,
    state: NotificationState | None = None,
    *,
    limit: int = LIMIT,
    before: int | None = None,
) -> list[AlertRow]:
    """Notifications of a state, or all, oldest first: the newest `limit` of those with ids below `before`."""
    with reading(path) as connection:
        return _newest_alerts(connection, state, limit, before)


def alerts_and_older(
    path: Path,
    state: NotificationState | None = None,
    *,
    limit: int = LIMIT,
    before: int | None = None,
) -> tuple[list[AlertRow], int]:
    """The same, and how many older ones there are: both as of one moment."""
    with reading(path) as connection:
        found = _newest_alerts(connection, state, limit, before)
        if not found:
            return found, 0
        older = _listed(state, found[0].id)
        counted = select(func.count()).select_from(tables.notifications).where(*older)
        return found, connection.execute(counted).scalar_one()


def _newest_alerts(
    connection: Connection, state: NotificationState | None, limit: int, before: int | None
) -> list[AlertRow]:
    ids = select(_notifications.id).where(*_listed(state, before))
    newest = (
        select(
            tables.notifications,
            _events.id.label("transition_id"),
            _events.kind.label("event"),
            _events.target,
        )
        .join_from(tables.notifications, tables.events)
        # of each that is in the state the index tells the id, but only of these the whole row is needed
        .where(_notifications.id.in_(ids.order_by(_notifications.id.desc()).limit(limit)))
        .order_by(_notifications.id.desc())
    )
    rows = connection.execute(newest).mappings().all()
    return [value_of(AlertRow, row) for row in reversed(rows)]


def dead_alerts(path: Path) -> set[int]:
    """The ids of all notifications that were given up."""
    dead = select(_notifications.id).where(_notifications.state == NotificationState.DEAD)
    with reading(path) as connection:
        return set(connection.execute(dead).scalars())


def _listed(state: NotificationState | None, before: int | None) -> list[ColumnElement[bool]]:
    wanted: list[ColumnElement[bool]] = []
    if state is NotificationState.DELIVERED:
        # nearly all are: said like this, the newest are found by their ids, without sorting a million
        others = [other for other in NotificationState if other is not state]
        wanted = [_notifications.state.not_in(others)]
    elif state is not None:
        wanted = [_notifications.state == state]
    return wanted if before is None else [*wanted, _notifications.id < before]


def silences(path: Path, now: datetime) -> tuple[list[Silence], list[Silence]]:
    """The silences in force, the first to end first; and the newest of those that are over."""
    table = tables.silences
    its = table.c
    ended = select(table).where(its.ended_at.is_not(None))
    with reading(path) as connection:
        rows = connection.execute(ended.order_by(its.ended_at.desc(), its.id.desc()).limit(_ENDED))
        over = [value_of(Silence, row) for row in rows.mappings()]
        open_ = not_ended(connection)
    in_force = sorted((one for one in open_ if one.in_force(now)), key=lambda one: one.expires_at)
    # their end is told within a second, or at the daemon's next start
    return in_force, [one for one in reversed(open_) if not one.in_force(now)] + over


def spend(path: Path, day: date) -> list[SpendRow]:
    """The spending of each key on a UTC day."""
    query = select(tables.spend).where(_spend.day == day).order_by(_spend.key)
    with reading(path) as connection:
        return [value_of(SpendRow, row) for row in connection.execute(query).mappings()]


def spent_by_key(path: Path) -> dict[str, tuple[float, int, bool]]:
    """By key: the total spending with holds included, the number of probes, whether it is an estimate.

    Empty if there is no database.
    """
    if not path.exists():
        return {}
    holds = tables.holds.c
    booked = select(_spend.key, _spend.settled_usd.label("usd"), _spend.probes, _spend.estimated)
    each = booked.union_all(select(holds.key, holds.usd, literal(1), literal(0))).subquery().c
    query = select(
        each.key, func.sum(each.usd), func.sum(each.probes), func.max(each.estimated)
    ).group_by(each.key)
    with reading(path) as connection:
        return {
            key: (usd, probes, bool(estimated))
            for key, usd, probes, estimated in connection.execute(query)
        }


def propagation(path: Path, *, now: datetime) -> tuple[list[Opening], list[OngoingWait]]:
    """The openings, oldest first, and the active targets that wait at `now`."""
    shut = _targets.state.in_([State.PROPAGATING, State.UNVERIFIED])
    query = select(tables.targets).where(_targets.active, shut).order_by(_targets.name)
    with reading(path) as connection:
        waits = [_waiting(row, now) for row in connection.execute(query).mappings()]
        return latest_openings(connection), [wait for wait in waits if wait]


def _waiting(row: RowMapping, now: datetime) -> OngoingWait | None:
    target = value_of(Target, row, capability=value_of(Capability, row))
    try:
        return waiting_of(target, from_json(json.loads(row["memory"])), now)
    except (ValueError, TypeError):
        return None  # the daemon logs an unreadable memory


def latest_openings(connection: Connection) -> list[Opening]:
    """The newest openings, oldest first."""
    table = tables.openings
    newest = select(table).order_by(table.c.id.desc()).limit(_OPENINGS)
    rows = connection.execute(newest).mappings().all()
    return [value_of(Opening, row) for row in reversed(rows)]


def routes(path: Path, *, since: datetime, of: tuple[str, str] | None = None) -> list[RouteOfModel]:
    """The active targets by model, surface and route, direct routes first.

    Counts the full probes of runs whose last answer came at `since` or later; a run that began
    before is counted whole. `of` is the one model and surface that is wanted: of it the newest runs, so that
    thousands of targets take no longer. Raises StoreError when the database cannot be read.
    """
    place = (_targets.model, _targets.surface, _targets.route, _targets.contract)
    wanted: list[ColumnElement[bool]] = [_targets.active]
    if of:
        wanted += [_targets.model == of[0], _targets.surface == of[1]]
    with reading(path) as connection:
        states = connection.execute(
            select(*place, _targets.state, func.count().label("targets"))
            .where(*wanted)
            .group_by(*place, _targets.state)
            .order_by(_targets.model, _targets.surface, _targets.contract, _targets.route)
        ).all()
        # the run's own route: answers of a key's earlier route do not count for this one
        runs = connection.execute(
            select(*_COMPARED, _targets.model, _targets.surface, _targets.contract)
            .join_from(tables.runs, tables.targets)
            .where(
                *wanted,
                _runs.kind == ProbeKind.FULL,
                _runs.last_at >= since,
                _runs.route == _targets.route,
            )
            .order_by(_runs.id.desc())
            .limit(_RECENT if of else None)
        ).all()
    runs_of = defaultdict[_Place, list[Any]](list)
    for run in runs:
        runs_of[run.model, run.surface, run.route, run.contract].append(run)
    states_of = defaultdict[_Place, dict[str, int]](dict)
    for row in states:
        states_of[row.model, row.surface, row.route, row.contract][row.state] = row.targets
    return [_compared(place, counted, runs_of[place]) for place, counted in states_of.items()]


def _compared(place: _Place, states: Mapping[str, int], runs: list[Any]) -> RouteOfModel:
    model, surface, route, contract = place
    by_diagnosis = defaultdict[str, list[_Counted]](list)
    answered: list[Counts] = []
    for run in runs:
        counts = from_text(run.latencies)
        by_diagnosis[run.diagnosis].append((run.answers, counts))
        if run.status is not None:
            answered.append(counts)
    counted = {name: _of_one(several) for name, several in by_diagnosis.items()}
    latencies = merged(answered)
    return RouteOfModel(
        model=model,
        surface=surface,
        route=route,
        contract=Contract(contract),
        states=states,
        answers=sum(run.answers for run in runs),
        latency_median_ms=percentile(latencies, 0.5),
        latency_p95_ms=percentile(latencies, 0.95),
        connect_ms=_slowest(runs, "connect_ms"),
        tls_ms=_slowest(runs, "tls_ms"),
        first_byte_ms=_slowest(runs, "first_byte_ms"),
        reused=sum(run.reused for run in runs),
        fresh=sum(run.fresh for run in runs),
        by_diagnosis=dict(sorted(counted.items(), key=lambda item: -item[1].count)),
    )


def _of_one(runs: list[_Counted]) -> AnswersOfOne:
    counts = merged([counts for _, counts in runs])
    return AnswersOfOne(
        sum(answers for answers, _ in runs), percentile(counts, 0.5), percentile(counts, 0.95)
    )


def _slowest(runs: list[Any], phase: str) -> float | None:
    return max((ms for run in runs if (ms := getattr(run, phase)) is not None), default=None)
