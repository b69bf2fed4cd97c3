"""Spending in the database: what a posting writes, the month that a fleet shares, what is kept how long.

The month of a fleet is one row, which all its workers go by. Each change of it is made in turn: see
`Transaction.in_turn`.
"""

from collections.abc import Iterator
from dataclasses import asdict
from datetime import date
from typing import Any

from sqlalchemy import (
    Connection,
    Executable,
    bindparam,
    case,
    delete,
    func,
    insert,
    literal,
    or_,
    select,
    text,
)
from sqlalchemy.dialects.postgresql import Insert
from sqlalchemy.dialects.postgresql import insert as upsert  # SQLite takes it, too

from monitor.access.holds import Posting
from monitor.store import tables
from monitor.store.errors import OverMonthError

#: The day on which the total of a key's earlier days is kept: what was ever spent never gets less.
EARLIER = date(1970, 1, 1)

_spend = tables.spend.c
_holds = tables.holds.c


def _adding(rows: Insert) -> Insert:
    """An insertion into `spend` that adds to the row of the key and day if there is one."""
    its = rows.excluded
    return rows.on_conflict_do_update(
        index_elements=["key", "day"],
        set_={
            "settled_usd": _spend.settled_usd + its.settled_usd,
            "probes": _spend.probes + its.probes,
            "estimated": or_(_spend.estimated, its.estimated),
        },
    )


# Made once: see `transaction`.
_SPEND = _adding(upsert(tables.spend))
_INSERT_HOLD = insert(tables.holds)
_FREE_HOLD = delete(tables.holds).where(_holds.id == bindparam("row"))

_MONTH = text("SELECT committed_usd FROM months WHERE month = :month")
_SUM_UP = text("""
    INSERT INTO months (month, committed_usd)
    SELECT :month, coalesce(sum(usd), 0) FROM (
        SELECT day, settled_usd AS usd FROM spend UNION ALL SELECT day, usd FROM holds
    ) taken WHERE CAST(date_trunc('month', day) AS date) = :month
    ON CONFLICT DO NOTHING
""")
# what rounding adds is nothing
_ADD_TO_MONTH = text("""
    UPDATE months SET committed_usd = committed_usd + :usd
    WHERE month = :month AND committed_usd + :usd <= :most + 1e-9
    RETURNING committed_usd
""")


def statements(posting: Posting) -> Iterator[tuple[Executable, dict[str, Any]]]:
    """What adds to the spending of keys, inserts new holds and deletes released ones: each with its row."""
    for spend in posting.spends:
        row = asdict(spend)
        yield _SPEND, row | {"settled_usd": row.pop("usd")}
    for hold in posting.held:
        yield _INSERT_HOLD, asdict(hold)
    for id_ in posting.freed:
        yield _FREE_HOLD, {"row": id_}


def committed(connection: Connection, month: date) -> float | None:
    """What is booked and held in a month, by its first day; None until it was summed up."""
    found: float | None = connection.execute(_MONTH, {"month": month}).scalar_one_or_none()
    return found


def sum_up(connection: Connection, month: date) -> float:
    """The same, summed up if it was not: by a transaction whose turn it is."""
    connection.execute(_SUM_UP, {"month": month})
    return committed(connection, month) or 0.0


def add_to_months(connection: Connection, posting: Posting, most: float) -> None:
    """Add a posting that is about to be written, by a transaction whose turn it is.

    Raises OverMonthError when a month has no room for what is to be held; `most` is its budget.
    """
    changes: dict[date, float] = {}
    freed = connection.execute(select(_holds.day, _holds.usd).where(_holds.id.in_(posting.freed)))
    for day, usd in (
        *((hold.day, hold.usd) for hold in posting.held),
        *((spend.day, spend.usd) for spend in posting.spends),
        *((day, -usd) for day, usd in freed),
    ):
        month = day.replace(day=1)
        changes[month] = changes.get(month, 0.0) + usd
    for month, usd in changes.items():
        if committed(connection, month) is None:
            sum_up(connection, month)
        bounded = posting.held and not posting.over and usd > 0
        values = {"month": month, "usd": usd, "most": most if bounded else float("inf")}
        if connection.execute(_ADD_TO_MONTH, values).one_or_none() is None:
            raise OverMonthError("other workers have taken what was left of the month's budget")


def prune(connection: Connection, before: date) -> None:
    """Replace the days of each key before that one by one row with their total, and delete old holds."""
    old = (_spend.day > EARLIER, _spend.day < before)
    total = select(
        _spend.key, literal(EARLIER), func.sum(_spend.settled_usd), func.sum(_spend.probes),
        func.max(case((_spend.estimated, 1), else_=0)) == 1,
    ).where(*old).group_by(_spend.key)  # fmt: skip
    columns = [column.name for column in _spend]
    connection.execute(_adding(upsert(tables.spend).from_select(columns, total)))
    connection.execute(delete(tables.spend).where(*old))
    # holds of targets that never returned
    connection.execute(delete(tables.holds).where(_holds.day < before))
