"""The targets: registered for the daemon, and what it remembers of them and of what people declared."""

import json
from collections.abc import Collection, Sequence
from typing import Any

import structlog
from sqlalchemy import ColumnElement, Connection, Row, bindparam, insert, select, text, update

from monitor.access.memory import TargetState, from_json
from monitor.access.target import Target, shard_of
from monitor.access.wait_times import Opening
from monitor.access.words import State
from monitor.store import tables
from monitor.store.queries import OPENINGS_MOST
from monitor.store.record_forms import value_of
from monitor.store.records import Declaration
from monitor.store.transaction import Known, Transaction, memory_columns

log = structlog.get_logger()

_targets = tables.targets.c
#: Of a fleet's worker; another one may have registered them meanwhile.
_LEAVE = text("""
    UPDATE targets SET active = false WHERE id = ANY(:ids) AND coalesce(shard, 0) = ANY(:own)
""")
#: What waited before there was a fleet is delivered by the worker of its target.
_GIVE_SHARDS = text("""
    UPDATE notifications SET shard = targets.shard FROM events, targets
    WHERE notifications.state = 'pending' AND notifications.shard IS NULL
        AND events.id = notifications.event_id AND targets.id = events.target_id
        AND targets.shard = ANY(:own)
""")


def register(transaction: Transaction, targets: Sequence[Target]) -> None:
    """Make these the active targets. Others become inactive and keep their history; they can return.

    A target with another route, contract or organization than before starts anew: the old answers say
    nothing about the new one. A fleet's worker registers those of its shards, and leaves the others.
    """
    connection, shards = transaction.flush(), transaction.shards
    rows = connection.execute(select(*(one for one in _targets if one.name != "memory")))
    known = {row.name: row for row in rows}
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
        if row.active and row.name not in names and (shards is None or (row.shard or 0) in shards)
    ]
    if new:
        connection.execute(insert(tables.targets), new)
    for changes in (changed, anew, gone if shards is None else ()):
        if changes:
            those = update(tables.targets).where(_targets.id == bindparam("row"))
            connection.execute(those, changes)
    if shards is not None:
        left = {"ids": [row["row"] for row in gone], "own": list(shards)}
        connection.execute(_LEAVE, left)
        connection.execute(_GIVE_SHARDS, {"own": list(shards)})
    transaction.register(load_known(connection, shards))


def load_known(connection: Connection, shards: Collection[int] | None) -> dict[str, Known]:
    """What the writer needs of every target, or of those in the shards; inactive ones included."""
    query = select(_targets.id, _targets.name, _targets.route, _targets.shard)
    if shards is not None:
        query = query.where(_targets.shard.in_(shards))
    return {row.name: Known(row.id, row.route, row.shard) for row in connection.execute(query)}


def load_memories(
    connection: Connection, shards: Collection[int] | None = None
) -> dict[str, TargetState]:
    """The memories of the active targets, or of those in the shards, by name."""
    query = select(tables.targets).where(_targets.active)
    if shards is not None:
        query = query.where(_targets.shard.in_(shards))
    return {row.name: _memory(row) for row in connection.execute(query)}


def declarations(connection: Connection, *conditions: ColumnElement[bool]) -> list[Declaration]:
    """The stored declarations that meet the conditions, earliest first."""
    table = tables.declarations
    query = select(table).where(*conditions).order_by(table.c.at, table.c.id)
    return [value_of(Declaration, row) for row in connection.execute(query).mappings()]


def latest_openings(connection: Connection) -> list[Opening]:
    """The newest openings, oldest first."""
    table = tables.openings
    newest = select(table).order_by(table.c.id.desc()).limit(OPENINGS_MOST)
    rows = connection.execute(newest).mappings().all()
    return [value_of(Opening, row) for row in reversed(rows)]


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
        "shard": shard_of(target.route, target.scope),
    }


def _of_another(row: Row[*tuple[Any, ...]], target: Target) -> bool:
    # an organization that was or is not named may be the same one
    organizations = {row.organization, target.organization} - {None}
    return (row.route, row.contract) != (target.route, target.contract) or len(organizations) > 1
