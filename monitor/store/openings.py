"""The propagation records: openings that settled, and targets that still wait for one."""

import json
from datetime import datetime
from pathlib import Path

from sqlalchemy import Connection, select

from monitor.access.memory import from_json
from monitor.access.target import Capability, Target
from monitor.access.wait_times import Began, OngoingWait, Opening, waiting_of
from monitor.access.words import Contract, State, Surface
from monitor.store import tables
from monitor.store.connections import reading
from monitor.store.rows import AnyRow

#: Most openings that are compared: the newest.
LIMIT = 10_000

_targets = tables.targets.c


def latest(connection: Connection, limit: int = LIMIT) -> list[Opening]:
    """The newest openings, oldest first."""
    table = tables.openings
    newest = select(table).order_by(table.c.id.desc()).limit(limit)
    return [_opening(row) for row in reversed(connection.execute(newest).all())]


def propagation(path: Path, *, now: datetime) -> tuple[list[Opening], list[OngoingWait]]:
    """The openings, oldest first, and the active targets that wait at `now`, from any process.

    Raises StoreError when there is no database yet or it cannot be read.
    """
    shut = _targets.state.in_([State.PROPAGATING, State.UNVERIFIED])
    query = select(tables.targets).where(_targets.active, shut).order_by(_targets.name)
    with reading(path) as connection:
        waits = [_waiting(row, now) for row in connection.execute(query)]
        return latest(connection), [wait for wait in waits if wait]


def _opening(row: AnyRow) -> Opening:
    return Opening(
        target=row.target,
        contract=Contract(row.contract),
        route=row.route,
        organization=row.organization,
        scope=row.scope,
        model=row.model,
        surface=Surface(row.surface),
        began=Began(row.began),
        declared_at=row.declared_at,
        started_at=row.started_at,
        first_light_at=row.first_light_at,
        settled_at=row.settled_at,
        probes=row.probes,
        cost_usd=row.cost_usd,
        flickers=row.flickers,
    )


def _waiting(row: AnyRow, now: datetime) -> OngoingWait | None:
    target = Target(
        key=row.key,
        capability=Capability(row.model, Surface(row.surface)),
        route=row.route,
        contract=Contract(row.contract),
        organization=row.organization,
        project=row.project,
    )
    try:
        return waiting_of(target, from_json(json.loads(row.memory)), now)
    except (ValueError, TypeError):
        return None  # the daemon logs an unreadable memory
