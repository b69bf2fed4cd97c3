"""Checks the clocks at each beat, and moves stored times when the wall clock was stepped."""

from dataclasses import dataclass
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

#: With more seconds than this between two beats the machine must have slept.
_SLEPT = 30.0


@dataclass(eq=False)
class ClockWatch:
    """Notices steps of the wall clock, a wall clock that stands still, and a machine that slept."""

    clock: Clock
    watches: Watches
    silences: Silences
    schedule: Schedule
    reporter: HealthReporter

    def __post_init__(self) -> None:
        self._last = self.clock.even()
        #: steps that are not applied to the outbox yet
        self._owed = timedelta()

    def beat(self) -> None:
        """Follow the clocks. Measured times and due times move with a step."""
        stood, step = self.clock.stands, self.clock.step()
        if self.clock.stands != stood:
            log.warning("clock_goes_again" if stood else "clock_stands_still")
        if step:
            log.warning("clock_stepped", seconds=round(step.total_seconds(), 1))
            self._owed += step
            self.silences.shift(step)
            self.watches.shift(step)
            self.reporter.note_soon()
            for watch in self.watches:
                if watch.memory.next_probe_at:
                    self.schedule.at(watch, watch.memory.next_probe_at)
        even = self.clock.even()
        slept, self._last = even - self._last > _SLEPT, even
        if slept:
            self.silences.probing_resumed(self.clock.now())
        if slept or self.clock.stands:
            # the scheduler waits by clocks that sleep with the machine, or stand still
            self.schedule.catch_up()

    async def tell(self, recorder: Recorder) -> None:
        """Move the times of waiting notifications, too: a step makes none older. Raises StoreError.

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
