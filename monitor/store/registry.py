"""The targets in the database, and the memory with which each continues."""

import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any

import structlog
from sqlalchemy import Connection, Row, bindparam, insert, select, update

from monitor.access.memory import TargetState, from_json
from monitor.access.target import Target
from monitor.access.words import State
from monitor.store import tables
from monitor.store.transaction import Known, Transaction, memory_columns

log = structlog.get_logger()

_rows = tables.targets
_its = _rows.c


def register(transaction: Transaction, targets: Sequence[Target]) -> None:
    """Make these the active targets. Others become inactive and keep their history; they can return.

    A target with another route, contract or organization than before starts anew: the old answers say
    nothing about the new one.
    """
    connection = transaction.flush()
    known = {row.name: row for row in connection.execute(select(_rows))}
    new, changed, anew = [], [], []
    for target in targets:
        row = known.get(target.name)
        columns = _columns(target)
        if row is None:
            new.append(columns | _fresh(transaction.now))
        elif _of_another(row, target):
            log.info("target_starts_anew", target=target.name, route=target.route)
            anew.append(columns | _fresh(transaction.now) | {"row": row.id})
        elif any(getattr(row, name) != value for name, value in columns.items()):
            changed.append(columns | {"row": row.id})
    names = {target.name for target in targets}
    gone = [
        {"row": row.id, "active": False}
        for row in known.values()
        if row.active and row.name not in names
    ]
    if new:
        connection.execute(insert(_rows), new)
    for rows in (changed, anew, gone):
        if rows:
            connection.execute(update(_rows).where(_its.id == bindparam("row")), rows)
    for name, entry in load_known(connection).items():
        transaction.register(name, entry)


def load_known(connection: Connection) -> dict[str, Known]:
    """The row id and route of every target, by name; inactive ones included."""
    return {
        row.name: Known(row.id, row.route)
        for row in connection.execute(select(_its.id, _its.name, _its.route))
    }


def load_memories(connection: Connection) -> dict[str, TargetState]:
    """The memories of the active targets, by name."""
    rows = connection.execute(select(_rows).where(_its.active))
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


def _fresh(now: datetime) -> dict[str, Any]:
    memory = TargetState(since=now)
    return memory_columns(memory) | {"since": now}


def _of_another(row: Row[*tuple[Any, ...]], target: Target) -> bool:
    # an organization that was or is not named may be the same one
    organizations = {row.organization, target.organization} - {None}
    return (row.route, row.contract) != (target.route, target.contract) or len(organizations) > 1
