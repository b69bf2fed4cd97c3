"""What is true now: the queries of `status`, `healthcheck` and the metrics, and whether a daemon is alive."""

import json
from collections import Counter, defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import groupby
from typing import Any, NamedTuple

from monitor.access.databases import Database, Server
from monitor.access.silences import Silence
from monitor.access.target import pool_name_of
from monitor.access.words import Code
from monitor.store.connections import Connection, reading
from monitor.store.record_forms import value_of
from monitor.store.records import DaemonRow, NotificationState, Status, TargetStatus, WorkerStatus

#: In the lock's file, of equal length: whether the database takes results.
ACCEPTS, REFUSES = b"accepts", b"refuses"

#: The oldest last note of a live daemon: two notes may be missed, and a disk may be busy.
FRESH = timedelta(seconds=45)

#: Of the workers of a fleet the one that is alive, or was last.
_DAEMON = "SELECT * FROM daemon ORDER BY stopped_at IS NULL DESC, progress_at DESC LIMIT 1"
_WORKER = "SELECT * FROM daemon WHERE id = (SELECT id FROM fences WHERE name = ?)"
_LIVING = """
    SELECT d.* FROM daemon d JOIN fences f ON f.id = d.id
    WHERE f.name IS NOT NULL AND f.holder IS NOT NULL ORDER BY d.progress_at DESC
"""
#: Workers that are gone are shown for a while. Their times are of the server's clock.
_WORKERS = """
    SELECT f.name, f.holder, f.holder IS NULL gone, f.seen_at, CURRENT_TIMESTAMP now, f.offline, d.started_at,
        (SELECT count(*) FROM shards WHERE worker_id = f.id AND f.holder IS NOT NULL) shards,
        (SELECT count(*) FROM targets t JOIN shards s ON s.id = t.shard
            WHERE s.worker_id = f.id AND f.holder IS NOT NULL AND t.active) targets
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

_SILENCES = "SELECT * FROM silences WHERE ended_at IS NULL ORDER BY expires_at, id"
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
        return _money(connection, now)


def _money(connection: Connection, now: datetime) -> Money:
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
        return _daemon(connection)


def worker(database: Database, name: str) -> DaemonRow | None:
    """The worker of that name; None when a fleet has, or had, no such one. Raises StoreError likewise."""
    with reading(database) as connection:
        return _daemon(connection, _WORKER, name)


def _daemon(connection: Connection, query: str = _DAEMON, *values: str) -> DaemonRow | None:
    row = connection.execute(query, values).fetchone()
    return value_of(DaemonRow, row) if row else None


def _daemons(connection: Connection) -> list[DaemonRow]:
    """The living workers of a fleet, else the one daemon that there is or was, if any."""
    found = [value_of(DaemonRow, row) for row in connection.execute(_LIVING)]
    one = None if found else _daemon(connection)
    return found if one is None else [one]


def trouble(daemon: DaemonRow | None, now: datetime) -> str | None:
    """What is wrong with the daemon of a database, by its row; None when it is well.

    The one rule: for `healthcheck`, and for all else that shows it or relies on it.
    """
    if daemon is None:
        return "no daemon has used this database yet"
    who = f"process {daemon.pid}, started {daemon.started_at:%Y-%m-%dT%H:%M:%SZ}"
    if daemon.stopped_at is not None:
        return f"the daemon is stopped since {daemon.stopped_at:%Y-%m-%dT%H:%M:%SZ} ({who})"
    age = now - daemon.progress_at
    if abs(age) > FRESH:
        seconds = age.total_seconds()
        when = f"{seconds:.0f} s ago" if seconds > 0 else f"{-seconds:.0f} s in the future"
        most = FRESH.total_seconds()
        return (
            f"the daemon's last report is {when}, and {most:.0f} s is the limit:"
            f" it hangs or was killed ({who})"
        )
    if problems := daemon.status.get("stalled"):
        said = problems if isinstance(problems, list) else [problems]
        return f"the daemon makes no progress: {'; '.join(map(str, said))} ({who})"
    return None


def is_refusing(database: Database) -> bool:
    """Whether the daemon of a database says that it refuses results, or said so last.

    Of a server it can say so nowhere.
    """
    if isinstance(database, Server):
        return False
    try:
        words = database.with_name(f"{database.name}.lock").read_bytes().split()
    except OSError:
        return False
    return words[1:] == [REFUSES]


def _workers(connection: Connection) -> tuple[WorkerStatus, ...]:
    """The workers of a fleet by name, those that are gone last; none where there is no fleet."""
    found = []
    for row in connection.execute(_WORKERS):
        age = row["now"] - row["seen_at"]
        if not row["gone"] or age <= _GONE_SHOWN:
            machine = (row["holder"] or "").partition("/")[0]
            seen_s = round(max(age.total_seconds(), 0.0), 1)
            found.append(value_of(WorkerStatus, row, machine=machine, seen_s=seen_s))
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
        oldest = _oldest_pending(connection)
        (silenced,) = connection.execute(_SILENCED).fetchone()
        silences = (value_of(Silence, row) for row in connection.execute(_SILENCES))
        return Status(
            targets=found,
            pending=pending,
            dead=dead,
            oldest_pending_s=max((now - oldest).total_seconds(), 0.0) if oldest else None,
            daemon=_daemon(connection),
            silenced=silenced,
            silences=tuple(one for one in silences if one.in_force(now)),
            workers=_workers(connection),
        )


def _known(one: TargetStatus, known: Mapping[str, TargetStatus]) -> TargetStatus:
    before = known.get(one.target)
    return before if before is not None and before == one else one


def _oldest_pending(connection: Connection) -> datetime | None:
    oldest: datetime | None
    (oldest,) = connection.execute(_OLDEST, (NotificationState.PENDING,)).fetchone()
    return oldest


class TargetRow(NamedTuple):
    """An active target as it is stored: the words of enumerations are plain text."""

    name: str
    key: str
    organization: str | None
    project: str | None
    route: str
    contract: str
    model: str
    surface: str
    state: str
    since: datetime
    blocker: str | None


_PLAIN_TARGETS = f"SELECT {', '.join(TargetRow._fields)} FROM targets WHERE active"  # noqa: S608 - its names
_BY_CHANNEL = "SELECT channel, count(*) FROM notifications WHERE state = ? GROUP BY channel"
_SPENT = "SELECT key, sum(settled_usd) FROM spend GROUP BY key"


@dataclass(frozen=True, slots=True)
class Figures:
    """The figures of the moment `at` (UTC). Money is in US dollars."""

    at: datetime
    #: all active targets: by pool (empty for a named key), organization, route and model, by state
    counts: Mapping[tuple[str, str, str, str], Mapping[str, int]]
    #: those of named keys and of the pools that were asked for, each with its pool, by name
    targets: Sequence[tuple[str, TargetRow]]
    #: the one that has the database, or had it last; of a fleet each living worker, who noted last first
    daemons: Sequence[DaemonRow]
    #: what every daemon has noted: the one, or each worker of a fleet
    statuses: Sequence[Mapping[str, Any]]
    workers: Sequence[WorkerStatus]
    #: notifications by channel
    pending: Mapping[str, int]
    dead: Mapping[str, int]
    #: when the oldest pending notification was made (UTC)
    oldest: datetime | None
    #: booked since the database began, by key
    spent: Mapping[str, float]
    #: the use of the budgets
    money: Money
    #: whether the daemon says that the database refuses results
    refusing: bool


def figures(database: Database, pools: Collection[str], asked: Collection[str]) -> Figures:
    """The figures of now, with each target of the pools `asked` for. Raises StoreError as `queries` do.

    The others of `pools` are counted only: their rows are not kept in memory.
    """
    now = datetime.now(UTC)
    with reading(database) as connection:
        counts: defaultdict[tuple[str, str, str, str], Counter[str]] = defaultdict(Counter)
        shown = []
        for row in map(TargetRow._make, connection.execute(_PLAIN_TARGETS)):
            pool = pool_name_of(row.key, pools) or ""
            counts[pool, row.organization or "", row.route, row.model][row.state] += 1
            if not pool or pool in asked:
                shown.append((pool, row))
        return Figures(
            at=now,
            counts=counts,
            targets=sorted(shown),
            daemons=_daemons(connection),
            statuses=[
                json.loads(text) for (text,) in connection.execute("SELECT status FROM daemon")
            ],
            workers=_workers(connection),
            pending=dict(connection.execute(_BY_CHANNEL, (NotificationState.PENDING,)).fetchall()),
            dead=dict(connection.execute(_BY_CHANNEL, (NotificationState.DEAD,)).fetchall()),
            oldest=_oldest_pending(connection),
            # days that are folded into one may sum up to less by the last bit, and a counter never falls
            spent={key: round(usd, 9) for key, usd in connection.execute(_SPENT)},
            money=_money(connection, now),
            refusing=is_refusing(database),
        )
