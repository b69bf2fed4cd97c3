"""What all workers of a fleet go by: the silences, and what a month has booked and held, which is one row.

Each change of them is made in turn: see `Transaction.in_turn`.
"""

from datetime import date

from sqlalchemy import Connection, select, text

from monitor.access.holds import Posting
from monitor.access.silences import Silence
from monitor.store import tables
from monitor.store.errors import OverMonthError
from monitor.store.record_forms import value_of

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

_holds = tables.holds.c
_silences = tables.silences.c
_notifications = tables.notifications.c


def not_ended(connection: Connection) -> tuple[Silence, ...]:
    """The silences whose end was not told yet, oldest first."""
    query = select(tables.silences).where(_silences.ended_at.is_(None)).order_by(_silences.id)
    return tuple(value_of(Silence, row) for row in connection.execute(query).mappings())


def hid_anything(connection: Connection) -> bool:
    """Whether a silence ever hid something."""
    query = select(_notifications.id).where(_notifications.silence_id.is_not(None)).limit(1)
    return connection.execute(query).first() is not None


def committed(connection: Connection, month: date) -> float | None:
    """What is booked and held in a month, by its first day; None until it was summed up."""
    found: float | None = connection.execute(_MONTH, {"month": month}).scalar_one_or_none()
    return found


def sum_up_month(connection: Connection, month: date) -> float:
    """The same as `committed`, summed up if it was not: by a transaction whose turn it is."""
    connection.execute(_SUM_UP, {"month": month})
    return committed(connection, month) or 0.0


def add_to_month(connection: Connection, posting: Posting, most: float) -> None:
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
            sum_up_month(connection, month)
        bounded = posting.held and not posting.over and usd > 0
        values = {"month": month, "usd": usd, "most": most if bounded else float("inf")}
        if connection.execute(_ADD_TO_MONTH, values).one_or_none() is None:
            raise OverMonthError("other workers have taken what was left of the month's budget")
