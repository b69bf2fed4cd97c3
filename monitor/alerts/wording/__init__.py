"""What each event says: its title, what happened and what to do. Pure."""

from collections.abc import Callable

from monitor.access.words import EventKind, Reason
from monitor.alerts.facts import Facts
from monitor.alerts.wording import gate_events, other_events
from monitor.alerts.wording.shared import Level, Wording, open_elsewhere

__all__ = ["Level", "Wording", "wording"]


def wording(facts: Facts) -> Wording:
    """The text for an event: by its event and reason where the reason matters, else by its event."""
    event = facts.event
    special = _BY_REASON.get((event.kind, event.reason))
    return open_elsewhere(facts, (special or _BY_EVENT[event.kind])(facts))


_BY_EVENT: dict[EventKind, Callable[[Facts], Wording]] = {
    EventKind.UNVERIFIED: gate_events.unverified,
    EventKind.PROPAGATING: gate_events.declared,
    EventKind.FIRST_LIGHT: gate_events.first_light,
    EventKind.SHUT_AGAIN: gate_events.shut_again,
    EventKind.UNPROVEN: gate_events.unproven,
    EventKind.AVAILABLE: gate_events.available,
    EventKind.BASELINE: gate_events.baseline,
    EventKind.REVOKED: gate_events.revoked,
    EventKind.LOCKED: gate_events.locked,
    EventKind.OVERDUE: gate_events.overdue,
    EventKind.BLOCKED: other_events.blocked,
    EventKind.UNBLOCKED: other_events.unblocked,
    EventKind.STALE: other_events.stale,
    EventKind.RETIRING: other_events.retiring,
    EventKind.BUDGET: other_events.budget,
    EventKind.OFFLINE: other_events.offline,
    EventKind.ONLINE: other_events.online,
    EventKind.STARTED: other_events.started,
    EventKind.STOPPING: other_events.stopping,
}

_BY_REASON: dict[tuple[EventKind, Reason], Callable[[Facts], Wording]] = {
    (EventKind.UNVERIFIED, Reason.GAVE_UP): gate_events.gave_up,
    (EventKind.UNVERIFIED, Reason.CLEARED_DECLARED): gate_events.cleared,
    (EventKind.UNVERIFIED, Reason.UNLOCKED_BY_ANSWERS): gate_events.unlocked,
    (EventKind.PROPAGATING, Reason.SIBLING_OPENED): gate_events.sibling,
    (EventKind.PROPAGATING, Reason.RELAPSE): gate_events.relapse,
    (EventKind.LOCKED, Reason.REJECTED_DECLARED): gate_events.rejected,
}
