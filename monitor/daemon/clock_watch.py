"""Checks the clocks at each beat, and moves stored times when the wall clock was stepped."""

from datetime import timedelta

import structlog

from monitor.daemon.clock import Clock
from monitor.daemon.health_reporter import HealthReporter
from monitor.daemon.schedule import Schedule
from monitor.daemon.silences import Silences
from monitor.daemon.watches import Watches
from monitor.store.errors import StoreError
from monitor.store.recorder import Recorder

log = structlog.get_logger()

#: Seconds between two beats from which the machine must have slept.
_SLEPT = 30.0


class ClockWatch:
    """Steps of the wall clock, a wall clock that stands still, a machine that slept."""

    def __init__(
        self,
        clock: Clock,
        watches: Watches,
        silences: Silences,
        schedule: Schedule,
        reporter: HealthReporter,
    ) -> None:
        self._clock = clock
        self._watches = watches
        self._silences = silences
        self._schedule = schedule
        self._reporter = reporter
        self._last = clock.even()
        #: steps that were not applied to the outbox yet
        self._owed = timedelta()

    def beat(self) -> None:
        """Follow the clocks; measured times and due times move with a step."""
        stood, step = self._clock.stands, self._clock.step()
        if self._clock.stands != stood:
            log.warning("clock_goes_again" if stood else "clock_stands_still")
        if step:
            log.warning("clock_stepped", seconds=round(step.total_seconds(), 1))
            self._owed += step
            self._silences.shift(step)
            self._watches.shift(step)
            self._reporter.note_soon()
            for watch in self._watches:
                if watch.memory.next_probe_at:
                    self._schedule.at(watch, watch.memory.next_probe_at)
        even = self._clock.even()
        slept, self._last = even - self._last > _SLEPT, even
        if slept:
            self._silences.probing_resumed(self._clock.now())
        if slept or self._clock.stands:
            # the scheduler waits by clocks that sleep with the machine, or stand still
            self._schedule.catch_up()

    async def tell(self, recorder: Recorder) -> None:
        """Move what waits in the outbox, too: a step makes no notification older. Raises StoreError.

        Call it with nothing awaited since `beat`, so that no channel reads in between.
        """
        if not self._owed:
            return
        step, self._owed = self._owed, timedelta()
        try:
            await recorder.shift_pending(step)
        except StoreError:
            self._owed += step
            raise
