"""The targets: registered for the daemon, and everything that is known of one, as support may ask for it."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import structlog
from sqlalchemy import (
    ColumnElement,
    Connection,
    Row,
    RowMapping,
    bindparam,
    func,
    insert,
    select,
    update,
)

from monitor.access.memory import TargetState, from_json
from monitor.access.target import Target
from monitor.access.words import Code, ProbeKind, State
from monitor.store import tables
from monitor.store.database import reading
from monitor.store.errors import StoreError
from monitor.store.queries import declarations
from monitor.store.records import Declaration, Run, TargetStatus, value_of
from monitor.store.runs import run_of
from monitor.store.transaction import Known, Transaction, memory_columns

log = structlog.get_logger()

#: Most runs, and most other targets, in a record.
_RUNS = 40
_BESIDE = 20

_targets = tables.targets.c
_runs = tables.runs.c


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


def register(transaction: Transaction, targets: Sequence[Target]) -> None:
    """Make these the active targets. Others become inactive and keep their history; they can return.

    A target with another route, contract or organization than before starts anew: the old answers say
    nothing about the new one.
    """
    connection = transaction.flush()
    known = {row.name: row for row in connection.execute(select(tables.targets))}
    fresh = memory_columns(TargetState(since=transaction.now)) | {"since": transaction.now}
    new, changed, anew = [], [], []
    for target in targets:
        row = known.get(target.name)
        columns = _columns(target)
        if row is None:
            new.append(columns | fresh)
        elif _of_another(row, target):
            log.info("target_starts_anew", target=target.name, route=target.route)
            anew.append(columns | fresh | {"row": row.id})
        elif any(getattr(row, name) != value for name, value in columns.items()):
            changed.append(columns | {"row": row.id})
    names = {target.name for target in targets}
    gone = [
        {"row": row.id, "active": False}
        for row in known.values()
        if row.active and row.name not in names
    ]
    if new:
        connection.execute(insert(tables.targets), new)
    for rows in (changed, anew, gone):
        if rows:
            connection.execute(update(tables.targets).where(_targets.id == bindparam("row")), rows)
    transaction.register(load_known(connection))


def load_known(connection: Connection) -> dict[str, Known]:
    """The row id and route of every target, by name; inactive ones included."""
    return {
        row.name: Known(row.id, row.route)
        for row in connection.execute(select(_targets.id, _targets.name, _targets.route))
    }


def load_memories(connection: Connection) -> dict[str, TargetState]:
    """The memories of the active targets, by name."""
    rows = connection.execute(select(tables.targets).where(_targets.active))
    return {row.name: _memory(row) for row in rows}


def _memory(row: Row[*tuple[Any, ...]]) -> TargetState:
    try:
        return from_json(json.loads(row.memory))
    except (ValueError, TypeError) as error:
        # one unreadable row must not prevent the start
        log.error("memory_unreadable", target=row.name, error=str(error))  # noqa: TRY400
        state = State(row.state)
        gated_seen = state in (State.UNVERIFIED, State.PROPAGATING, State.LOCKED)
        return TargetState(state=state, since=row.since, gated_seen=gated_seen)


def _columns(target: Target) -> dict[str, Any]:
    return {
        "name": target.name,
        "key": target.key,
        "organization": target.organization,
        "project": target.project,
        "scope": target.scope,
        "route": target.route,
        "contract": target.contract,
        "model": target.capability.model,
        "surface": target.capability.surface,
        "active": True,
    }


def _of_another(row: Row[*tuple[Any, ...]], target: Target) -> bool:
    # an organization that was or is not named may be the same one
    organizations = {row.organization, target.organization} - {None}
    return (row.route, row.contract) != (target.route, target.contract) or len(organizations) > 1


def target_record(path: Path, target: str) -> TargetRecord:
    """The record of the active target with this name.

    Raises StoreError when the database cannot be read, or no daemon has watched the target yet.
    """
    with reading(path) as connection:
        query = select(tables.targets).where(_targets.name == target, _targets.active)
        row = connection.execute(query).mappings().one_or_none()
        if row is None:
            raise StoreError(f"{path}: nothing is known of {target} yet; `run` has not watched it")
        memory = from_json(json.loads(row["memory"]))
        start = memory.declared_at or row["since"]
        since = (
            (_runs.target_id == row["id"])
            & (_runs.kind == ProbeKind.FULL)
            & (_runs.route == row["route"])
            & (_runs.last_at >= start)
        )
        newest = select(tables.runs).where(since).order_by(_runs.id.desc()).limit(_RUNS)
        runs = connection.execute(newest).mappings().all()
        count = connection.execute(select(func.count()).where(since)).scalar_one()
        of_target = tables.declarations.c.subject.in_(
            [row["organization"] or row["key"], row["key"]]
        )
        return TargetRecord(
            status=_status(row),
            memory=memory,
            declarations=tuple(declarations(connection, of_target)),
            start=start,
            declared=memory.declared_at is not None,
            runs=tuple(run_of(run, target) for run in reversed(runs)),
            runs_left_out=count - len(runs),
            identity=_last_run(
                connection, row, _runs.kind == ProbeKind.LISTING, _runs.diagnosis.is_(None)
            ),
            beside=_beside(connection, row),
        )


def _status(row: RowMapping) -> TargetStatus:
    return value_of(TargetStatus, row, target=row["name"], spend_today_usd=0.0)


def _last_run(
    connection: Connection, target: RowMapping, *conditions: ColumnElement[bool]
) -> Run | None:
    """The newest run of a target over its present route that meets the conditions."""
    query = (
        select(tables.runs)
        .where(_runs.target_id == target["id"], _runs.route == target["route"], *conditions)
        .order_by(_runs.id.desc())
        .limit(1)
    )
    row = connection.execute(query).mappings().one_or_none()
    return run_of(row, target["name"]) if row else None


def _beside(connection: Connection, target: RowMapping) -> tuple[Granted, ...]:
    """The neighbours on the same route: what another route grants says nothing about this one."""
    query = (
        select(tables.targets)
        .where(
            _targets.active,
            _targets.scope == target["scope"],
            _targets.route == target["route"],
            _targets.id != target["id"],
        )
        .order_by(_targets.name)
        .limit(_BESIDE)
    )
    granted = (_runs.kind == ProbeKind.FULL, _runs.diagnosis == Code.ACCESS_GRANTED)
    found = []
    for row in connection.execute(query).mappings().all():
        run = _last_run(connection, row, *granted)
        request_id = run.request_ids[-1] if run and run.request_ids else None
        found.append(Granted(_status(row), run.last_at if run else None, request_id))
    return tuple(found)
