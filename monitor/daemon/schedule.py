"""When each target is looked at: one APScheduler job per target, dated anew after each result."""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime

from apscheduler.schedulers.asyncio import AsyncIOScheduler
from apscheduler.triggers.date import DateTrigger

from monitor.daemon.clock import Clock
from monitor.daemon.watches import Watch


class Schedule:
    """Calls the `look` it was started with, giving the watch whose time has come.

    The jobs live in memory only: due times of an earlier run are never restored, each target's next
    look is decided anew at the start.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._scheduler = AsyncIOScheduler(
            timezone=UTC,
            job_defaults={
                "misfire_grace_time": None,  # the default of one second silently drops late runs
                "coalesce": True,
                # A look dated anew for this very moment finds the call before it not counted off yet,
                # and with the default of one it would be skipped, and the target never looked at
                # again. That no two looks overlap is seen to by who makes them.
                "max_instances": 1_000_000,
            },
        )

    def start(self, look: Callable[[Watch], Awaitable[None]]) -> None:
        """Begin; to be called on the loop."""
        self._look = look
        self._scheduler.start()

    def stop(self) -> None:
        """No further look begins. Looks under way belong to who makes them and are not touched."""
        if self._scheduler.running:
            self._scheduler.shutdown(wait=False)

    def at(self, watch: Watch, when: datetime) -> None:
        """Look at the watch at `when` (UTC), and not at the time set before."""
        self._scheduler.add_job(
            self._look,
            DateTrigger(when),
            args=[watch],
            id=watch.name,
            replace_existing=True,
        )

    def holds(self, watch: Watch) -> bool:
        """Whether a look at the watch is dated."""
        return self._scheduler.get_job(watch.name) is not None

    def in_seconds(self, watch: Watch, seconds: float) -> None:
        """The same, that far from now."""
        self.at(watch, self._clock.after(seconds))
