"""What the metrics show, as of one moment."""

import json
from collections import Counter, defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, NamedTuple

from monitor.access.databases import Database
from monitor.access.target import pool_name_of
from monitor.store.connections import Connection, reading
from monitor.store.liveness import is_refusing
from monitor.store.records import DaemonRow, NotificationState, WorkerStatus
from monitor.store.status_queries import Money, daemon_row, money_of, oldest_pending, workers


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


_TARGETS = f"SELECT {', '.join(TargetRow._fields)} FROM targets WHERE active"  # noqa: S608 - its names
_COUNTS = "SELECT channel, count(*) FROM notifications WHERE state = ? GROUP BY channel"
_SPENT = "SELECT key, sum(settled_usd) FROM spend GROUP BY key"


@dataclass(frozen=True, slots=True)
class Figures:
    """The figures of the moment `at` (UTC). Money is in US dollars."""

    at: datetime
    #: all active targets: by pool (empty for a named key), organization, route and model, by state
    counts: Mapping[tuple[str, str, str, str], Mapping[str, int]]
    #: those of named keys and of the pools that were asked for, each with its pool, by name
    targets: Sequence[tuple[str, TargetRow]]
    daemon: DaemonRow | None
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
        for row in map(TargetRow._make, connection.execute(_TARGETS)):
            pool = pool_name_of(row.key, pools) or ""
            counts[pool, row.organization or "", row.route, row.model][row.state] += 1
            if not pool or pool in asked:
                shown.append((pool, row))
        return Figures(
            at=now,
            counts=counts,
            targets=sorted(shown),
            daemon=daemon_row(connection),
            statuses=[
                json.loads(text) for (text,) in connection.execute("SELECT status FROM daemon")
            ],
            workers=workers(connection),
            pending=_by_name(connection, _COUNTS, (NotificationState.PENDING,)),
            dead=_by_name(connection, _COUNTS, (NotificationState.DEAD,)),
            oldest=oldest_pending(connection),
            # days that are folded into one may sum up to less by the last bit, and a counter never falls
            spent={key: round(usd, 9) for key, usd in connection.execute(_SPENT)},
            money=money_of(connection, now),
            refusing=is_refusing(database),
        )


def _by_name(connection: Connection, query: str, given: tuple[str, ...] = ()) -> dict[str, Any]:
    return {name: number for name, number in connection.execute(query, given)}  # noqa: C416 - rows
