"""The queries of `status` and `healthcheck`."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import groupby

from monitor.access.databases import Database
from monitor.access.silences import Silence
from monitor.access.words import Code
from monitor.store.connections import Connection, reading
from monitor.store.record_forms import value_of
from monitor.store.records import DaemonRow, NotificationState, Status, TargetStatus, WorkerStatus

#: Of the workers of a fleet the one that is alive, or was last.
_DAEMON = """
    SELECT pid, started_at, progress_at, stopped_at, status FROM daemon
    ORDER BY stopped_at IS NULL DESC, progress_at DESC LIMIT 1
"""
_WORKER = """
    SELECT pid, started_at, progress_at, stopped_at, status FROM daemon
    WHERE id = (SELECT id FROM fences WHERE name = ?)
"""
#: Workers that are gone are shown for a while. Their times are of the server's clock.
_WORKERS = """
    SELECT f.name, f.holder, f.seen_at, f.offline, CURRENT_TIMESTAMP, d.started_at,
        (SELECT count(*) FROM shards WHERE worker_id = f.id),
        (SELECT count(*) FROM targets t JOIN shards s ON s.id = t.shard WHERE s.worker_id = f.id AND t.active)
    FROM fences f JOIN daemon d ON d.id = f.id
    WHERE f.name IS NOT NULL ORDER BY f.holder IS NULL, f.name LIMIT 1000
"""
_GONE_SHOWN = timedelta(hours=1)

_TARGETS = """
    SELECT name target, t.key key, organization, project, route, contract, model, surface, state, since,
        blocker, last_probe_at, last_diagnosis, next_probe_at, held_by,
        coalesce(settled_usd, 0.0) spend_today_usd
    FROM targets t LEFT JOIN spend s ON s.key = t.key AND s.day = ?
    WHERE active ORDER BY name
"""

#: Why no answer came, by the message of each target's last run, with the targets.
_NO_ANSWER = """
    SELECT r.message, t.name FROM targets t
    JOIN runs r ON r.id = (SELECT max(id) FROM runs WHERE target_id = t.id AND diagnosis = ?)
    WHERE active AND last_diagnosis = ? ORDER BY r.message, t.name LIMIT 100
"""

_BOOKED = "SELECT key, day, settled_usd, 0.0 FROM spend WHERE day >= ?"
_HELD = "SELECT key, day, usd, usd FROM holds WHERE day >= ?"

_WAITING = "SELECT state, count(*) FROM notifications WHERE state IN (?, ?) GROUP BY state"
_OLDEST = 'SELECT min(created_at) "at [datetime]" FROM notifications WHERE state = ?'

_SILENCES = """
    SELECT id, patterns, reason, "by", created_at, expires_at, ended_at FROM silences
    WHERE ended_at IS NULL ORDER BY expires_at, id
"""
_SILENCED = """
    SELECT count(*) FROM notifications
    WHERE silence_id IN (SELECT id FROM silences WHERE ended_at IS NULL)
"""


@dataclass(frozen=True, slots=True)
class Money:
    """Booked and held US dollars: of the month, of today by key, and the held part of today by key."""

    month: float
    today: Mapping[str, float]
    held: Mapping[str, float]


def money(database: Database, *, now: datetime) -> Money:
    """The use of the budgets in the day and month of `now`. Raises StoreError as `queries` do."""
    with reading(database) as connection:
        return money_of(connection, now)


def money_of(connection: Connection, now: datetime) -> Money:
    """The same over a connection."""
    month, today, held = 0.0, dict[str, float](), dict[str, float]()
    rows = connection.execute(f"{_BOOKED} UNION ALL {_HELD}", (f"{now:%Y-%m}-01",) * 2)
    for key, day, usd, of_it in rows:
        month += usd
        if day == now.date():
            today[key] = today.get(key, 0.0) + usd
            held[key] = held.get(key, 0.0) + of_it
    return Money(month, today, held)


def daemon(database: Database) -> DaemonRow | None:
    """The daemon that has the database, or had it last. Raises StoreError as `queries` do."""
    with reading(database) as connection:
        return daemon_row(connection)


def worker(database: Database, name: str) -> DaemonRow | None:
    """The worker of that name; None when a fleet has, or had, no such one. Raises StoreError likewise."""
    with reading(database) as connection:
        row = connection.execute(_WORKER, (name,)).fetchone()
        return value_of(DaemonRow, row) if row else None


def workers(connection: Connection) -> tuple[WorkerStatus, ...]:
    """The workers of a fleet by name, those that are gone last; none where there is no fleet."""
    found = []
    for name, holder, seen_at, offline, now, started_at, shards, targets in connection.execute(
        _WORKERS
    ):
        if holder is None and now - seen_at > _GONE_SHOWN:
            continue
        found.append(
            WorkerStatus(
                name=name,
                machine=(holder or "").partition("/")[0],
                started_at=started_at,
                seen_s=round(max((now - seen_at).total_seconds(), 0.0), 1),
                shards=shards if holder else 0,
                targets=targets if holder else 0,
                offline=bool(offline),
                gone=holder is None,
            )
        )
    return tuple(found)


def no_answer_reasons(database: Database) -> list[tuple[str, str]]:
    """The reasons why last probes got no answer, each with the names of its targets."""
    with reading(database) as connection:
        rows = connection.execute(_NO_ANSWER, (Code.NETWORK_ERROR,) * 2)
        return [
            (str(why), ", ".join(str(name) for _, name in found))
            for why, found in groupby(rows, lambda row: row[0])
        ]


def status(
    database: Database, *, now: datetime, known: Mapping[str, TargetStatus] | None = None
) -> Status:
    """The active targets by name, notifications, silences and the daemon, as of `now`.

    Of the targets in `known`, from an earlier call, those that did not change are used again.
    Raises StoreError as `queries` do.
    """
    states = NotificationState.PENDING, NotificationState.DEAD
    with reading(database) as connection:
        targets = connection.execute(_TARGETS, (f"{now:%Y-%m-%d}",))
        found = tuple(_known(value_of(TargetStatus, row), known or {}) for row in targets)
        counts = dict(connection.execute(_WAITING, states).fetchall())
        pending, dead = (counts.get(state, 0) for state in states)
        oldest = oldest_pending(connection)
        (silenced,) = connection.execute(_SILENCED).fetchone()
        silences = (value_of(Silence, row) for row in connection.execute(_SILENCES))
        return Status(
            targets=found,
            pending=pending,
            dead=dead,
            oldest_pending_s=max((now - oldest).total_seconds(), 0.0) if oldest else None,
            daemon=daemon_row(connection),
            silenced=silenced,
            silences=tuple(one for one in silences if one.in_force(now)),
            workers=workers(connection),
        )


def _known(one: TargetStatus, known: Mapping[str, TargetStatus]) -> TargetStatus:
    before = known.get(one.target)
    return before if before is not None and before == one else one


def oldest_pending(connection: Connection) -> datetime | None:
    """When the oldest pending notification was made (UTC)."""
    oldest: datetime | None
    (oldest,) = connection.execute(_OLDEST, (NotificationState.PENDING,)).fetchone()
    return oldest


def daemon_row(connection: Connection) -> DaemonRow | None:
    """The daemon that has the database, or had it last."""
    row = connection.execute(_DAEMON).fetchone()
    return value_of(DaemonRow, row) if row else None
