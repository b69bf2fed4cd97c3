"""The queries of the page and its API. As those of `queries`: read-only, of one moment, and bounded."""

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

from monitor.access.databases import Database
from monitor.access.events import Event
from monitor.access.words import EventKind, State
from monitor.store.connections import Connection, reading, stored
from monitor.store.record_forms import as_json, value_of
from monitor.store.records import Declaration

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


def first_lights(
    database: Database, targets: Sequence[str], since: datetime
) -> dict[str, datetime]:
    """When the first light of each of these targets was seen, if since that time."""
    with reading(database) as connection:
        rows = connection.execute(
            f"""
            SELECT target, max(at) AS "at [datetime]" FROM events
            WHERE target IN ({_any(targets)}) AND at >= ? AND kind = ?
            GROUP BY target
            """,
            (*targets, stored(since), EventKind.FIRST_LIGHT),
        )
        return dict(rows.fetchall())


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
