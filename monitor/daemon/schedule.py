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
        """Begin, or go on with another `look`; to be called on the loop."""
        self._look = look
        if not self._scheduler.running:
            self._scheduler.start()

    def stop(self) -> None:
        """No further look begins. Looks under way belong to who makes them and are not touched."""
        if self._scheduler.running:
            self._scheduler.shutdown(wait=False)

    def at(self, watch: Watch, when: datetime) -> None:
        """Look at the watch at `when` (UTC), and not at the time set before. Not if it was removed."""
        if watch.removed:
            return
        self._scheduler.add_job(
            self._fire,
            DateTrigger(when),
            args=[watch],
            id=watch.name,
            replace_existing=True,
        )

    def remove(self, watch: Watch) -> None:
        """Look at the watch no more, whoever dates it."""
        watch.removed = True
        if self.holds(watch):
            self._scheduler.remove_job(watch.name)

    async def _fire(self, watch: Watch) -> None:
        await self._look(watch)

    def earliest(self) -> datetime | None:
        """When the next look is dated (UTC); in the past for one that should have begun."""
        jobs = self._scheduler.get_jobs()  # in the order of their times
        at: datetime | None = jobs[0].next_run_time if jobs else None
        return at

    def holds(self, watch: Watch) -> bool:
        """Whether a look at the watch is dated."""
        return self._scheduler.get_job(watch.name) is not None

    def in_seconds(self, watch: Watch, seconds: float) -> None:
        """The same, that far from now."""
        self.at(watch, self._clock.after(seconds))
