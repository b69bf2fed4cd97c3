"""When each target is probed: two queues by date, and one APScheduler job for the front of them."""

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

#: Probes whose times are closer together than this begin together: to wake up costs more than a probe.
_GRAIN = timedelta(milliseconds=10)
#: Probes that begin before others on the loop have their turn. When it cannot keep up, what is due waits
#: here, where its order is decided, and not half begun.
_AT_ONCE = 4
#: While targets that wait and open ones are both due, one probe in so many is of an open one.
_RECHECK_EVERY = 8
#: Probes that are made early at most, with one whose time has come.
_COMPANY = 16
_JOB = "next probes"
_NEVER_EARLY = timedelta()

#: When, a number that tells equal times apart, what, and by how much it may be earlier.
_Entry = tuple[datetime, int, Watch, timedelta]


class Schedule:
    """Calls the `probe` it was started with, giving the watch whose time has come.

    The dates live in memory only: due times of an earlier run are never restored, each target's next
    probe is decided anew at the start. Times are the monitor's own, which pass evenly; the scheduler goes
    by the wall's, which is stepped, stands still, or went on while the machine slept. So what is due is
    decided here, whenever the scheduler wakes us.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._probe: Callable[[Watch], Awaitable[None]] | None = None
        #: by name; what the queue holds beside these was dated anew or removed
        self._dates: dict[str, datetime] = {}
        #: of targets that wait for their opening, and of open ones
        self._queues: tuple[list[_Entry], list[_Entry]] = ([], [])
        self._turns = 0
        self._beginning = False
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

    def start(self, probe: Callable[[Watch], Awaitable[None]]) -> None:
        """Begin, or go on with another `probe`; to be called on the loop."""
        self._probe = probe
        if not self._scheduler.running:
            self._scheduler.start()
            self._wake_for_the_first()

    def stop(self) -> None:
        """No further probe begins. Probes under way belong to who makes them and are not touched."""
        self._probe = None
        if self._scheduler.running:
            self._scheduler.shutdown(wait=False)

    def at(self, watch: Watch, when: datetime, early: timedelta = _NEVER_EARLY) -> None:
        """Probe the watch at `when` (UTC), and not at the time set before. Not if it was removed.

        By `early` it may be made before, when another probe is: to wake up costs more than a probe.
        """
        if watch.removed:
            return
        self._dates[watch.name] = when
        queue = self._queues[not watch.waiting]
        heappush(queue, (when, next(self._number), watch, early))
        if self._wakes_at is None or when < self._wakes_at - _GRAIN:
            self._wake_for_the_first()

    def in_seconds(self, watch: Watch, seconds: float) -> None:
        """The same, that far from now."""
        self.at(watch, self._clock.after(seconds))

    def remove(self, watch: Watch) -> None:
        """Probe the watch no more, whoever dates it."""
        watch.removed = True
        self._dates.pop(watch.name, None)

    def earliest(self) -> datetime | None:
        """When the next probe is dated (UTC); in the past for one that should have begun."""
        heads = [head[0] for queue in self._queues if (head := self._head(queue))]
        return min(heads, default=None)

    def holds(self, watch: Watch) -> bool:
        """Whether a probe of the watch is dated."""
        return watch.name in self._dates

    def catch_up(self) -> None:
        """Begin what is due by the monitor's own time, whatever the scheduler knows of it."""
        first = self.earliest()
        if first is not None and first <= self._clock.now():
            self._wake(wall())  # now, should it stand still
        else:
            self._wake_for_the_first()

    def _head(self, queue: list[_Entry]) -> _Entry | None:
        if len(queue) > 2 * len(self._dates) + 100:
            queue[:] = [entry for entry in queue if self._stands(entry)]
            heapify(queue)
        while queue and not self._stands(queue[0]):
            heappop(queue)
        return queue[0] if queue else None

    def _next(self) -> list[_Entry] | None:
        """The queue whose first probe begins next: of a target that waits, where both kinds are due."""
        now = self._clock.now()
        heads = [(head, queue) for queue in self._queues if (head := self._head(queue))]
        due = [queue for head, queue in heads if head[0] <= now]
        if len(due) > 1:
            self._turns += 1
            return due[self._turns % _RECHECK_EVERY == 0]
        return due[0] if due else min(heads, default=(None, None))[1]

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
        """Begin the probes whose time has come. After a step of the wall's clock it may be none."""
        if self._beginning:
            return  # it goes on while anything is due
        self._beginning = True
        try:
            begun = company = 0
            while self._probe is not None and (queue := self._next()) is not None:
                now = self._clock.now()
                when, _, watch, early = queue[0]
                if when > now:
                    company += 1
                    if not begun or company > _COMPANY or when - early > now:
                        break
                heappop(queue)
                del self._dates[watch.name]
                watch.late = max((now - when).total_seconds(), 0.0)
                await self._begin(watch)
                begun += 1
                if begun % _AT_ONCE == 0:
                    await asyncio.sleep(0)
        except asyncio.CancelledError:
            pass  # by `stop`: the scheduler would log it as an error
        finally:
            self._beginning = False
            self._wake_for_the_first()

    async def _begin(self, watch: Watch) -> None:
        try:
            if self._probe is not None:
                await self._probe(watch)
        except Exception:
            # one target's failure must not keep the others waiting
            log.exception("probe_not_begun", target=watch.name)
