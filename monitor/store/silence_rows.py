"""Reads what a transaction knows of silences."""

from sqlalchemy import Connection, select

from monitor.access.silences import Silence
from monitor.store import tables
from monitor.store.record_forms import value_of

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
