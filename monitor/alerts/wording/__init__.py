"""What each event says: its title, what happened and what to do. Pure."""

from collections.abc import Callable

from monitor.access.words import EventKind, Reason
from monitor.alerts.facts import Facts
from monitor.alerts.wording import beside, gate
from monitor.alerts.wording.shared import Level, Wording, open_elsewhere

__all__ = ["Level", "Wording", "wording"]


def wording(facts: Facts) -> Wording:
    """The words for a happening: by its reason where that makes a difference, else by its event."""
    happening = facts.happening
    special = _BY_REASON.get((happening.event, happening.reason))
    return open_elsewhere(facts, (special or _BY_EVENT[happening.event])(facts))


_BY_EVENT: dict[EventKind, Callable[[Facts], Wording]] = {
    EventKind.UNVERIFIED: gate.unverified,
    EventKind.PROPAGATING: gate.declared,
    EventKind.FIRST_LIGHT: gate.first_light,
    EventKind.SHUT_AGAIN: gate.shut_again,
    EventKind.UNPROVEN: gate.unproven,
    EventKind.AVAILABLE: gate.available,
    EventKind.BASELINE: gate.baseline,
    EventKind.REVOKED: gate.revoked,
    EventKind.LOCKED: gate.locked,
    EventKind.OVERDUE: gate.overdue,
    EventKind.BLOCKED: beside.blocked,
    EventKind.UNBLOCKED: beside.unblocked,
    EventKind.STALE: beside.stale,
    EventKind.RETIRING: beside.retiring,
    EventKind.BUDGET: beside.budget,
    EventKind.OFFLINE: beside.offline,
    EventKind.ONLINE: beside.online,
    EventKind.STARTED: beside.started,
    EventKind.STOPPING: beside.stopping,
}

_BY_REASON: dict[tuple[EventKind, Reason], Callable[[Facts], Wording]] = {
    (EventKind.UNVERIFIED, Reason.GAVE_UP): gate.gave_up,
    (EventKind.UNVERIFIED, Reason.CLEARED_DECLARED): gate.cleared,
    (EventKind.UNVERIFIED, Reason.UNLOCKED_BY_ANSWERS): gate.unlocked,
    (EventKind.PROPAGATING, Reason.SIBLING_OPENED): gate.sibling,
    (EventKind.PROPAGATING, Reason.RELAPSE): gate.relapse,
    (EventKind.LOCKED, Reason.REJECTED_DECLARED): gate.rejected,
}
