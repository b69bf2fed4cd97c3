"""When each target is looked at: a queue by date, and one APScheduler job for the front of it."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from heapq import heapify, heappop, heappush
from itertools import count

import structlog
from apscheduler.schedulers.asyncio import AsyncIOScheduler
from apscheduler.triggers.date import DateTrigger

from monitor.daemon.clock import Clock, wall
from monitor.daemon.watches import Watch

log = structlog.get_logger()

#: Looks whose times are closer together than this begin together: to wake up costs more than a look.
_GRAIN = timedelta(milliseconds=10)
#: Looks that begin before others on the loop have their turn.
_AT_ONCE = 100
#: Looks that are made early at most, with one whose time has come.
_COMPANY = 16
_JOB = "next looks"
_NEVER_EARLY = timedelta()

#: When, a number that tells equal times apart, what, and by how much it may be earlier.
_Entry = tuple[datetime, int, Watch, timedelta]


class Schedule:
    """Calls the `look` it was started with, giving the watch whose time has come.

    The dates live in memory only: due times of an earlier run are never restored, each target's next
    look is decided anew at the start. Times are the monitor's own, which pass evenly; the scheduler goes
    by the wall's, which is stepped, stands still, or went on while the machine slept. So what is due is
    decided here, whenever the scheduler wakes us.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._look: Callable[[Watch], Awaitable[None]] | None = None
        #: by name; what the queue holds beside these was dated anew or removed
        self._dates: dict[str, datetime] = {}
        self._queue: list[_Entry] = []
        self._number = count()
        self._wakes_at: datetime | None = None
        self._scheduler = AsyncIOScheduler(
            timezone=UTC,
            job_defaults={
                "misfire_grace_time": None,  # the default of one second silently drops late runs
                "coalesce": True,
                # The job is dated anew while it runs, perhaps for this very moment: with the default of
                # one that run would be skipped.
                "max_instances": 1_000_000,
            },
        )

    def start(self, look: Callable[[Watch], Awaitable[None]]) -> None:
        """Begin, or go on with another `look`; to be called on the loop."""
        self._look = look
        if not self._scheduler.running:
            self._scheduler.start()
            self._wake_for_the_first()

    def stop(self) -> None:
        """No further look begins. Looks under way belong to who makes them and are not touched."""
        if self._scheduler.running:
            self._scheduler.shutdown(wait=False)

    def at(self, watch: Watch, when: datetime, early: timedelta = _NEVER_EARLY) -> None:
        """Look at the watch at `when` (UTC), and not at the time set before. Not if it was removed.

        By `early` it may be made before, when another look is: to wake up costs more than a look.
        """
        if watch.removed:
            return
        self._dates[watch.name] = when
        heappush(self._queue, (when, next(self._number), watch, early))
        if self._wakes_at is None or when < self._wakes_at - _GRAIN:
            self._wake_for_the_first()

    def in_seconds(self, watch: Watch, seconds: float) -> None:
        """The same, that far from now."""
        self.at(watch, self._clock.after(seconds))

    def remove(self, watch: Watch) -> None:
        """Look at the watch no more, whoever dates it."""
        watch.removed = True
        self._dates.pop(watch.name, None)

    def earliest(self) -> datetime | None:
        """When the next look is dated (UTC); in the past for one that should have begun."""
        queue = self._queue
        if len(queue) > 2 * len(self._dates) + _AT_ONCE:
            queue[:] = [entry for entry in queue if self._stands(entry)]
            heapify(queue)
        while queue and not self._stands(queue[0]):
            heappop(queue)
        return queue[0][0] if queue else None

    def holds(self, watch: Watch) -> bool:
        """Whether a look at the watch is dated."""
        return watch.name in self._dates

    def catch_up(self) -> None:
        """Begin what is due by the monitor's own time, whatever the scheduler knows of it."""
        first = self.earliest()
        if first is not None and first <= self._clock.now():
            self._wake(wall())  # now, should it stand still
        else:
            self._wake_for_the_first()

    def _stands(self, entry: _Entry) -> bool:
        when, _, watch, _ = entry
        return self._dates.get(watch.name) == when

    def _wake_for_the_first(self) -> None:
        first = self.earliest()
        if first is None or not self._scheduler.running:
            self._wakes_at = None
            return
        now = self._clock.now()
        self._wakes_at = max(first, now + _GRAIN)
        # by how much the wall's clock is ahead of the monitor's since it was last followed
        self._wake(self._wakes_at + (wall() - now))

    def _wake(self, when: datetime) -> None:
        self._scheduler.add_job(
            self._begin_the_due, DateTrigger(when), id=_JOB, replace_existing=True
        )

    async def _begin_the_due(self) -> None:
        """Begin the looks whose time has come. After a step of the wall's clock it may be none."""
        try:
            begun = company = 0
            while (first := self.earliest()) is not None:
                now, early = self._clock.now(), self._queue[0][3]
                if first > now:
                    company += 1
                    if not begun or company > _COMPANY or first - early > now:
                        break
                _, _, watch, _ = heappop(self._queue)
                del self._dates[watch.name]
                await self._begin(watch)
                begun += 1
                if begun % _AT_ONCE == 0:
                    await asyncio.sleep(0)
        finally:
            self._wake_for_the_first()

    async def _begin(self, watch: Watch) -> None:
        try:
            if self._look is not None:
                await self._look(watch)
        except Exception:
            # one target's failure must not keep the others waiting
            log.exception("look_not_begun", target=watch.name)
