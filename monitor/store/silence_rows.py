"""What a transaction knows of silences, and what of them is told with an event."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, bindparam, select

from monitor.access.events import Event
from monitor.access.silences import Silence
from monitor.store import tables
from monitor.store.record_forms import value_of
from monitor.store.records import NotificationState

_silences = tables.silences.c
_notifications = tables.notifications.c
_events = tables.events.c

#: Earlier notifications of a target's events that one event looks at, the newest.
_EARLIER_MOST = 200
# Made once: see `transaction`.
_EARLIER = (
    select(_notifications.channel, _notifications.state, _notifications.event_id)
    .join_from(tables.events, tables.notifications)
    .where(
        _events.target == bindparam("of"),
        _notifications.channel.in_(bindparam("channels", expanding=True)),
    )
    .order_by(_events.at.desc(), _events.id.desc())
    .limit(_EARLIER_MOST)
)


def not_ended(connection: Connection) -> tuple[Silence, ...]:
    """The silences whose end was not told yet, oldest first."""
    query = select(tables.silences).where(_silences.ended_at.is_(None)).order_by(_silences.id)
    return tuple(value_of(Silence, row) for row in connection.execute(query).mappings())


def hid_anything(connection: Connection) -> bool:
    """Whether a silence ever hid something."""
    query = select(_notifications.id).where(_notifications.silence_id.is_not(None)).limit(1)
    return connection.execute(query).first() is not None


def hidden_before(connection: Connection, event: Event, told: Sequence[str]) -> dict[str, Any]:
    """The fact that a silence hid earlier events of the target from channels that are `told` this one.

    It has the numbers of these events by channel, since the channel was last told of the target.
    """
    hidden: dict[str, list[int]] = {channel: [] for channel in told}
    ended: set[str] = set()
    rows = connection.execute(_EARLIER, {"of": event.target, "channels": told})
    # after a clock step the times are not in the order of the events
    for channel, state, id_ in sorted(rows, key=lambda row: row.event_id, reverse=True):
        if state != NotificationState.SILENCED:
            ended.add(channel)
        elif channel not in ended:
            hidden[channel].insert(0, id_)
    found = {channel: ids for channel, ids in hidden.items() if ids}
    return {"hidden_before": found} if found else {}


def silenced_meanwhile(
    event: Event, told: Sequence[str], silences: Iterable[Silence], now: datetime
) -> dict[str, Any]:
    """The fact that a silence keeps other events of the target from channels that are `told` this one."""
    found = {}
    for channel in told:
        its = [one for one in silences if one.in_force(now) and one.concerns(event, channel)]
        if its:
            last = max(its, key=lambda one: (one.expires_at, one.id))
            found[channel] = {"silence": last.id, "until": last.expires_at.isoformat()}
    return {"silenced": found} if found else {}
