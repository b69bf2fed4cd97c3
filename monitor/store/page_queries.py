"""The queries of the page and its API. As those of `queries`: read-only, of one moment, and bounded."""

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, bindparam, func, select

from monitor.access.events import Event
from monitor.access.words import EventKind, State
from monitor.store import tables
from monitor.store.database import reading
from monitor.store.records import Declaration, as_json, value_of

#: Transitions of one target that a timeline is made of, the newest.
_TRANSITIONS = 1000
#: Starts and stops of the daemon in a timeline, the newest.
_LIVES = 500
#: Declarations in a timeline, the newest.
_DECLARED = 1000

_events = tables.events.c

# made once: a page needs them for each of its targets
_newest = (
    select(_events.at, _events.before, _events.after)
    .where(_events.target == bindparam("of"), _events.after.is_not(None))
    .order_by(_events.at.desc(), _events.id.desc())
)
_SINCE = _newest.where(_events.at >= bindparam("since")).limit(_TRANSITIONS)
_LAST_BEFORE = _newest.where(_events.at < bindparam("since")).limit(1)


@dataclass(frozen=True, slots=True)
class Transition:
    """A target's state from `at` on (UTC), and the one before it."""

    at: datetime
    before: State | None
    after: State


@dataclass(frozen=True, slots=True)
class Timelines:
    """What the timelines of some targets are made of, since a time.

    `changes`: of each target the transitions, oldest first, and the last one before that time.
    `gaps`: the stretches of time between daemons. `declared`: the declarations by subject, oldest first.
    """

    changes: Mapping[str, Sequence[Transition]]
    gaps: Sequence[tuple[datetime, datetime]]
    declared: Mapping[str, Sequence[Declaration]]
    #: when the first event was recorded, None before it: nothing is known of the time before
    began: datetime | None


def timelines(path: Path, targets: Sequence[str], since: datetime) -> Timelines:
    """What the timelines of these targets are made of, since a time (UTC)."""
    with reading(path) as connection:
        return Timelines(
            {target: _transitions(connection, target, since) for target in targets},
            _gaps(connection, since),
            _declarations(connection, since),
            connection.execute(select(_events.at).order_by(_events.id).limit(1)).scalar(),
        )


def _transitions(connection: Connection, target: str, since: datetime) -> list[Transition]:
    of = {"of": target, "since": since}
    rows = [*connection.execute(_SINCE, of)]
    complete = len(rows) < _TRANSITIONS
    if complete:
        rows += connection.execute(_LAST_BEFORE, of)
    found = [
        Transition(row.at, State(row.before) if row.before else None, State(row.after))
        for row in reversed(rows)
    ]
    if not complete:  # the state of the time before the first one is not known: it has others there
        found[0] = replace(found[0], before=None)
    return found


def _gaps(connection: Connection, since: datetime) -> list[tuple[datetime, datetime]]:
    """Each start says since when no daemon had lived."""
    its = (
        select(_events.at, _events.facts)
        # such events have no target: the index of targets and times finds them
        .where(_events.target.is_(None), _events.kind == EventKind.STARTED, _events.at >= since)
        .order_by(_events.at.desc())
        .limit(_LIVES)
    )
    found = []
    for row in reversed(connection.execute(its).all()):
        text = json.loads(row.facts).get("down_since")
        if isinstance(text, str):
            found.append((datetime.fromisoformat(text), row.at))
    return found


def _declarations(connection: Connection, since: datetime) -> dict[str, list[Declaration]]:
    its = tables.declarations.c
    newest = (
        select(tables.declarations)
        .where(its.at >= since)
        .order_by(its.at.desc(), its.id.desc())
        .limit(_DECLARED)
    )
    found = defaultdict[str, list[Declaration]](list)
    for row in reversed(connection.execute(newest).mappings().all()):
        found[row["subject"]].append(value_of(Declaration, row))
    return found


def last_event(path: Path) -> int:
    """The id of the newest event, 0 without one."""
    with reading(path) as connection:
        return connection.execute(select(func.max(_events.id))).scalar() or 0


def events_after(path: Path, last: int, limit: int) -> list[Event]:
    """The first `limit` events with higher ids, in the order in which they were recorded."""
    query = select(tables.events).where(_events.id > last).order_by(_events.id).limit(limit)
    with reading(path) as connection:
        return [value_of(Event, row) for row in connection.execute(query).mappings()]


def first_lights(path: Path, targets: Sequence[str], since: datetime) -> dict[str, datetime]:
    """When the first light of each of these targets was seen, if since that time."""
    newest = (
        select(_events.target, func.max(_events.at).label("at"))
        .where(
            _events.target.in_(targets),
            _events.at >= since,
            _events.kind == EventKind.FIRST_LIGHT,
        )
        .group_by(_events.target)
    )
    with reading(path) as connection:
        return {row.target: row.at for row in connection.execute(newest)}


def request(path: Path, number: int) -> dict[str, Any] | None:
    """What became of a request in the inbox, as JSON values; None when there is no such request."""
    its = tables.inbox.c
    query = select(its.id, its.kind, its.created_at, its.taken_at, its.reply).where(
        its.id == number
    )
    with reading(path) as connection:
        row = connection.execute(query).one_or_none()
    if row is None:
        return None
    return {
        "id": row.id,
        "kind": row.kind,
        "state": "taken" if row.taken_at else "waiting",
        "created_at": as_json(row.created_at),
        "taken_at": as_json(row.taken_at),
        "reply": json.loads(row.reply) if row.reply else None,
    }
