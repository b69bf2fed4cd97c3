"""What happens as time passes without an answer: deadlines, and steps of the clocks."""

import asyncio
from dataclasses import dataclass
from datetime import datetime

import structlog

from monitor.access.events import Event, TimePassed
from monitor.access.memory import ClockStep
from monitor.access.states import advance
from monitor.access.words import EventKind
from monitor.config import Settings
from monitor.daemon.changes import Changes
from monitor.daemon.clock import STEP, Clock
from monitor.daemon.health_reporter import HealthReporter
from monitor.daemon.schedule import Schedule
from monitor.daemon.staleness import StaleRoutes, stale_of
from monitor.daemon.watches import Watch, Watches
from monitor.oneshot.evidence_bundle import Asked, bundle
from monitor.oneshot.evidence_text import markdown
from monitor.store.errors import StoreError
from monitor.store.recorder import Recorder
from monitor.store.records import Change
from monitor.store.target_queries import target_record

log = structlog.get_logger()

#: With more seconds than this between two beats the machine must have slept.
_SLEPT = 30.0


@dataclass(eq=False)
class DeadlineCheck:
    """Applies the passing of time to all targets."""

    watches: Watches
    stale_routes: StaleRoutes
    changes: Changes
    clock: Clock

    def use(self, settings: Settings) -> None:
        """Make the evidence of these settings from now on."""
        self._settings = settings

    async def run(self) -> None:
        """Check all deadlines once."""
        now = self.clock.now()
        changes: list[Change] = []
        stale_now: list[tuple[Watch, Event]] = []
        overdue: list[tuple[Watch, TimePassed]] = []
        for watch in self.watches:
            passed = self.stale_routes.passed(watch, now)
            decision = advance(watch.memory, passed, now, self.changes.rules)
            if not decision.events:
                continue
            if stale := stale_of(decision):
                stale_now.append((watch, stale))
            late = any(event.kind is EventKind.OVERDUE for event in decision.events)
            if late and not watch.pool:  # no message has room for the evidence of many keys
                overdue.append((watch, passed))
                continue
            changes.append(self.changes.apply(watch, passed, without=EventKind.STALE))
        for watch, passed, stale in self.stale_routes.nearly_due(stale_now, now):
            stale_now.append((watch, stale))
            changes.append(self.changes.apply(watch, passed, without=EventKind.STALE))
        changes += self.stale_routes.changes_of(stale_now, now)
        if changes:
            await self.changes.write(changes)
        for watch, passed in overdue:
            # The message that advises asking support has the evidence for support. Read it first: no
            # other task may run between the change of a memory and its entry into the queue.
            facts = {"evidence": await evidence_markdown(self._settings, watch, self.clock.now())}
            change = self.changes.apply(watch, passed, without=EventKind.STALE, facts=facts)
            await self.changes.write([change])


async def evidence_markdown(settings: Settings, watch: Watch, now: datetime) -> str:
    """The evidence bundle of a target as Markdown; empty when the database cannot be read now."""
    if watch.removed:
        return ""
    secret = settings.key(watch.target.key).secret
    asked = Asked(
        route=settings.routes[watch.target.route],
        catalog=settings.catalog,
        reference=secret.reference,
        fingerprint=secret.fingerprint,
    )
    try:
        known = await asyncio.to_thread(target_record, settings.database, watch.name)
    except StoreError as error:
        log.warning("evidence_unreadable", target=watch.name, error=str(error))
        return ""
    return markdown(bundle(known, asked, now))


@dataclass(eq=False)
class ClockWatch:
    """Notices steps of the wall clock, a wall clock that stands still, and a machine that slept."""

    clock: Clock
    watches: Watches
    stale_routes: StaleRoutes
    schedule: Schedule
    reporter: HealthReporter

    def __post_init__(self) -> None:
        self._last = self.clock.even()
        #: the start of this run, by the clock as it is now
        self._began = self.clock.now()
        #: steps that are not applied to the outbox yet
        self._owed: list[ClockStep] = []

    def beat(self) -> None:
        """Follow the clocks. Measured times and due times move with a step."""
        stood, before, by = self.clock.stands, self.clock.now(), self.clock.step()
        if self.clock.stands != stood:
            log.warning("clock_goes_again" if stood else "clock_stands_still")
        if by:
            log.warning("clock_stepped", seconds=round(by.total_seconds(), 1))
            # A run before this one may have had the right time, earlier or later: a machine may boot with
            # an old one. What would lie in the future by a step back is wrong all the same. Smaller
            # differences are followed unnoticed, so a time may be a little later than the one before.
            step = ClockStep(by, min(self._began, self.clock.now()), before + STEP)
            self._owed.append(step)
            self.stale_routes.shift(step)
            self.watches.shift(step)
            self._began += by
            self.reporter.note_soon()
            for watch in self.watches:
                if watch.memory.next_probe_at:
                    self.schedule.at(watch, watch.memory.next_probe_at)
        even = self.clock.even()
        slept, self._last = even - self._last > _SLEPT, even
        if slept:
            self.stale_routes.probing_resumed(self.clock.now())
        if slept or self.clock.stands:
            # the scheduler waits by clocks that sleep with the machine, or stand still
            self.schedule.catch_up()

    async def tell(self, recorder: Recorder) -> None:
        """Move the times of waiting notifications, too: a step makes none older. Raises StoreError.

        Call it with nothing awaited since `beat`, so that no channel reads in between.
        """
        while self._owed:
            await recorder.outbox.shift_pending(self._owed[0])
            del self._owed[0]
