"""When targets are probed outside of the cadence: at the start, after a reload, and when one was lost."""

from dataclasses import replace
from datetime import datetime, timedelta

import structlog

from monitor.access.cadence import next_probe
from monitor.config import Settings
from monitor.daemon.clock import Clock
from monitor.daemon.schedule import Schedule
from monitor.daemon.watches import Watch, Watches

log = structlog.get_logger()

#: First probes are spread over the time the route's bucket needs, and no more than this.
_FIRST_PROBES = timedelta(seconds=25)


def first_probe_at(watch: Watch, settings: Settings, count: int, now: datetime) -> datetime:
    """A first probe: at once where the targets are few, spread where they are many (`count`)."""
    spread = timedelta(seconds=count / settings.routes[watch.target.route].rate)
    return now + watch.phase * min(spread, _FIRST_PROBES, watch.cadence.eager)


def schedule_all(watches: Watches, settings: Settings, clock: Clock, schedule: Schedule) -> None:
    """Schedule every target at the start.

    Missed probes are not made up for, only spread; a later one keeps its time, unless one decided now
    is earlier. A restart often follows a fix: probe blocked targets at once.
    """
    now = clock.now()
    for watch in watches:
        memory, at = watch.memory, first_probe_at(watch, settings, len(watches), now)
        plan = next_probe(memory, now, watch.cadence, phase=watch.phase, shutdown=watch.shutdown)
        due = memory.next_probe_at
        if due and due > now and not (memory.blocker or memory.suspect):
            at = min(due, plan.at)
        watch.kind = plan.kind
        watch.memory = replace(memory, next_probe_at=at)
        schedule.at(watch, at)


def reschedule_lost(watches: Watches, clock: Clock, schedule: Schedule) -> None:
    """Schedule targets that have no next probe: without one their alerts would never come."""
    schedule.catch_up()
    for watch in watches:
        if not watch.busy and not schedule.holds(watch):
            log.error("probe_was_lost", target=watch.name)
            schedule.at(watch, clock.now())
