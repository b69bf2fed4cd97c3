"""All that the database knows of one target and support may ask for, as of one moment."""

import json
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from sqlalchemy import Connection, func, literal, select

from monitor.access.memory import TargetState, from_json
from monitor.access.words import Code, DeclarationKind, ProbeKind
from monitor.store import tables
from monitor.store.connections import reading
from monitor.store.errors import StoreError
from monitor.store.records import Declaration, Run, TargetStatus
from monitor.store.rows import run_of, target_of

#: Most runs, and most other targets, in a record.
_RUNS = 40
_BESIDE = 20

_targets = tables.targets.c
_runs = tables.runs.c
_declarations = tables.declarations.c


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


def target_record(path: Path, target: str) -> TargetRecord:
    """The record of the active target with this name.

    Raises StoreError when the database cannot be read, or no daemon has watched the target yet.
    """
    with reading(path) as connection:
        row = connection.execute(
            select(tables.targets, literal(0.0).label("spend_today_usd")).where(
                _targets.name == target, _targets.active
            )
        ).one_or_none()
        if row is None:
            raise StoreError(f"{path}: nothing is known of {target} yet; `run` has not watched it")
        memory = from_json(json.loads(row.memory))
        start = memory.declared_at or row.since
        since = (
            (_runs.target_id == row.id)
            & (_runs.kind == ProbeKind.FULL)
            & (_runs.route == row.route)
            & (_runs.last_at >= start)
        )
        newest = (
            select(tables.runs, literal(target).label("target"))
            .where(since)
            .order_by(_runs.id.desc())
            .limit(_RUNS)
        )
        runs = tuple(run_of(run) for run in reversed(connection.execute(newest).all()))
        count = connection.execute(select(func.count()).where(since)).scalar_one()
        return TargetRecord(
            status=target_of(row),
            memory=memory,
            declarations=_declared(connection, row.organization, row.key),
            start=start,
            declared=memory.declared_at is not None,
            runs=runs,
            runs_left_out=count - len(runs),
            identity=_identity(connection, row.id, row.route, target),
            beside=_beside(connection, row.scope, row.route, row.id),
        )


def _declared(
    connection: Connection, organization: str | None, key: str
) -> tuple[Declaration, ...]:
    query = (
        select(tables.declarations)
        .where(_declarations.subject.in_([organization or key, key]))
        .order_by(_declarations.at, _declarations.id)
    )
    return tuple(
        Declaration(row.id, DeclarationKind(row.kind), row.subject, row.at, row.source)
        for row in connection.execute(query)
    )


def _identity(connection: Connection, id_: int, route: str, target: str) -> Run | None:
    row = connection.execute(
        select(tables.runs, literal(target).label("target"))
        .where(
            _runs.target_id == id_,
            _runs.kind == ProbeKind.LISTING,
            _runs.route == route,
            _runs.diagnosis.is_(None),
        )
        .order_by(_runs.id.desc())
        .limit(1)
    ).one_or_none()
    return run_of(row) if row else None


def _beside(connection: Connection, scope: str, route: str, id_: int) -> tuple[Granted, ...]:
    """The neighbours on the same route: what another route grants says nothing about this one."""
    targets = connection.execute(
        select(tables.targets, literal(0.0).label("spend_today_usd"))
        .where(
            _targets.active,
            _targets.scope == scope,
            _targets.route == route,
            _targets.id != id_,
        )
        .order_by(_targets.name)
        .limit(_BESIDE)
    ).all()
    found = []
    for target in targets:
        row = connection.execute(
            select(tables.runs, literal(target.name).label("target"))
            .where(
                _runs.target_id == target.id,
                _runs.kind == ProbeKind.FULL,
                _runs.route == route,
                _runs.diagnosis == Code.ACCESS_GRANTED,
            )
            .order_by(_runs.id.desc())
            .limit(1)
        ).one_or_none()
        run = run_of(row) if row else None
        request_id = run.request_ids[-1] if run and run.request_ids else None
        found.append(Granted(target_of(target), run.last_at if run else None, request_id))
    return tuple(found)
