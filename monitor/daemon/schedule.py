"""When each target is probed: two queues ordered by time, one APScheduler job for the next probe."""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from heapq import heapify, heappop, heappush
from itertools import count

import structlog
from apscheduler.schedulers.asyncio import AsyncIOScheduler
from apscheduler.triggers.date import DateTrigger

from monitor.access.cadence import next_probe, not_before
from monitor.access.limits import Cadence
from monitor.config import Settings
from monitor.daemon.clock import Clock
from monitor.daemon.watches import Watch, Watches

log = structlog.get_logger()

#: A probe is late above the first number of seconds, and in time again below the second. Between them
#: nothing changes, or rounds of two lengths would alternate.
_LATE, _IN_TIME = 1.0, 0.25
#: Seconds of lateness before it is logged: at a start and after a suspend many probes are due at once.
_PERSISTS = 5.0
#: Seconds with all probes in time after which the lateness is over.
_OVER = 10.0

#: Probes whose times differ by less than this begin together: a wake-up costs more than a probe.
_GRAIN = timedelta(milliseconds=10)
#: Probes that begin before the loop runs other tasks. Under overload, due probes then wait in the queues,
#: which decide the order, and not half begun.
_AT_ONCE = 4
#: While waiting and open targets are both due, one probe in this many is of an open target.
_RECHECK_EVERY = 8
#: Most probes that begin early together with due ones. If none did, 1,000 probes would take 1.31 s of
#: processor instead of 0.95 (1,000 keys), or 2.87 instead of 1.38 (100 keys).
_EARLY_MOST = 16
_JOB = "next probes"
_NEVER_EARLY = timedelta()

#: Time, a number that separates equal times, the watch, and by how much it may begin earlier.
_Entry = tuple[datetime, int, Watch, timedelta]

#: First probes are spread over the time the route's bucket needs, and no more than this.
_FIRST_PROBES = timedelta(seconds=25)


class Schedule:
    """Calls `probe`, given to `start`, with each watch that is due.

    The times are in memory only: those of an earlier run are not restored, and each target's next probe is
    decided again at the start. Times are the monitor's own, which pass evenly. The scheduler uses the wall
    clock, which may be stepped, stand still, or run on while the machine sleeps. Therefore this class
    decides what is due whenever the scheduler wakes it.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._probe: Callable[[Watch], Awaitable[None]] | None = None
        #: times by target name; other entries of the queues were rescheduled or removed
        self._dates: dict[str, datetime] = {}
        #: one for targets that wait for their opening, one for open targets
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
                # The job is rescheduled while it runs, perhaps for now: with the default of one instance
                # that run would be skipped.
                "max_instances": 1_000_000,
            },
        )

    def start(self, probe: Callable[[Watch], Awaitable[None]]) -> None:
        """Start. Call it on the loop."""
        self._probe = probe
        if not self._scheduler.running:
            self._scheduler.start()
            self._wake_for_the_first()

    def stop(self) -> None:
        """Begin no more probes. Probes under way belong to the pipeline and continue."""
        self._probe = None
        if self._scheduler.running:
            self._scheduler.shutdown(wait=False)

    def at(self, watch: Watch, when: datetime, early: timedelta = _NEVER_EARLY) -> None:
        """Probe the watch at `when` (UTC) instead of the time set before. Does nothing if it was removed.

        It may begin earlier by up to `early`, together with another probe: a wake-up costs more than a probe.
        """
        if watch.removed:
            return
        self._dates[watch.name] = when
        queue = self._queues[not watch.waiting]
        heappush(queue, (when, next(self._number), watch, early))
        if self._wakes_at is None or when < self._wakes_at - _GRAIN:
            self._wake_for_the_first()

    def in_seconds(self, watch: Watch, seconds: float) -> None:
        """Probe the watch that many seconds from now."""
        self.at(watch, self._clock.after(seconds))

    def remove(self, watch: Watch) -> None:
        """Stop probing the watch. It cannot be scheduled again."""
        watch.removed = True
        self._dates.pop(watch.name, None)

    def earliest(self) -> datetime | None:
        """The time of the next probe (UTC); in the past if it is late."""
        heads = [head[0] for queue in self._queues if (head := self._head(queue))]
        return min(heads, default=None)

    def due(self, watch: Watch) -> datetime | None:
        """The time of the watch's next probe (UTC), if one is scheduled."""
        return self._dates.get(watch.name)

    def holds(self, watch: Watch) -> bool:
        """Whether a probe of the watch is scheduled."""
        return watch.name in self._dates

    def catch_up(self) -> None:
        """Begin the probes that are due by the monitor's own time, whatever the scheduler has planned."""
        first = self.earliest()
        if first is not None and first <= self._clock.now():
            self._wake(self._clock.wall())  # now, in case the wall clock stands still
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
        """The queue whose first probe begins next: usually that of waiting targets if both are due."""
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
        # add how far the wall clock is ahead of the monitor's time
        self._wake(self._wakes_at + (self._clock.wall() - now))

    def _wake(self, when: datetime) -> None:
        self._scheduler.add_job(
            self._begin_the_due, DateTrigger(when), id=_JOB, replace_existing=True
        )

    async def _begin_the_due(self) -> None:
        """Begin the due probes. After a step of the wall clock there may be none."""
        if self._beginning:
            return  # the running call begins all that are due
        self._beginning = True
        try:
            begun = early_begun = 0
            while self._probe is not None and (queue := self._next()) is not None:
                now = self._clock.now()
                when, _, watch, early = queue[0]
                if when > now:
                    early_begun += 1
                    if not begun or early_begun > _EARLY_MOST or when - early > now:
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
            # one target's failure must not delay the others
            log.exception("probe_not_begun", target=watch.name)


def first_probe_at(watch: Watch, settings: Settings, count: int, now: datetime) -> datetime:
    """A first probe: at once where the targets are few, spread where they are many (`count`)."""
    spread = timedelta(seconds=count / settings.routes[watch.target.route].rate)
    return now + watch.phase * min(spread, _FIRST_PROBES, watch.cadence.eager)


def schedule_all(
    watches: Collection[Watch], settings: Settings, clock: Clock, schedule: Schedule
) -> None:
    """Schedule these targets, at the start all.

    Missed probes are not made up for, only spread; a later one keeps its time, unless one decided now
    is earlier. A restart often follows a fix: probe blocked targets at once, and those with other
    credentials. None is probed earlier than a server asked for.
    """
    now = clock.now()
    for watch in watches:
        memory, at = watch.memory, first_probe_at(watch, settings, len(watches), now)
        plan = next_probe(memory, now, watch.cadence, phase=watch.phase, shutdown=watch.shutdown)
        due = schedule.due(watch) or memory.next_probe_at
        if due and due > now and not (memory.blocker or memory.suspect or watch.untried):
            at = min(due, plan.at)
        at = max(at, not_before(memory, now))
        watch.kind = plan.kind
        watch.memory = replace(memory, next_probe_at=at)
        schedule.at(watch, at)


def schedule_after_reload(
    watches: Watches,
    concerned: Iterable[Watch],
    settings: Settings,
    clock: Clock,
    schedule: Schedule,
    *,
    before: Mapping[str, Cadence],
) -> None:
    """Probe the concerned watches soon, and those of another cadence than `before` no later than it asks."""
    idle = (watch for watch in watches if not (watch.busy or watch.asked))
    changed = [watch for watch in idle if before.get(watch.name, watch.cadence) != watch.cadence]
    schedule_all(changed, settings, clock, schedule)
    now, count = clock.now(), len(watches)
    for watch in concerned:
        if not watch.busy:
            at = first_probe_at(watch, settings, count, now)
            schedule.at(watch, max(at, not_before(watch.memory, now)))


def reschedule_lost(watches: Watches, clock: Clock, schedule: Schedule) -> None:
    """Schedule targets that have no next probe: without one their alerts would never come."""
    schedule.catch_up()
    for watch in watches:
        if not watch.busy and not schedule.holds(watch):
            log.error("probe_was_lost", target=watch.name)
            schedule.at(watch, clock.now())


class Lateness:
    """Records how late each probe is. Logs once when probes stay late, and once when that ends.

    `missed` counts the rounds that were not made: a probe that is late by one interval counts as one.
    """

    def __init__(self) -> None:
        self.missed = 0.0
        self._said = False
        #: even seconds of the first and the last late probe of this period, and `missed` before it
        self._first: float | None = None
        self._last = self._before = 0.0

    def made(self, late: float, every: float, now: float) -> bool:
        """A probe began `late` seconds after its time; its target's interval is `every` seconds.

        Returns whether the monitor is behind; the target's next probe must then be a whole interval away.
        """
        if late > _LATE or (self._first is not None and late > _IN_TIME):
            if self._first is None:
                self._first, self._before = now, self.missed
            self.missed += late / every
            self._last = now
            if not self._said and now - self._first >= _PERSISTS:
                self._said = True
                log.error(
                    "falling_behind",
                    late_s=round(late, 1),
                    why="more probes are due than can be made: rounds get longer, for all alike",
                )
        elif self._first is not None and now - self._last >= _OVER:
            if self._said:
                log.info(
                    "caught_up",
                    after_s=round(self._last - self._first, 1),
                    rounds_missed=round(self.missed - self._before, 1),
                )
            self._first, self._said = None, False
        return self._first is not None

    def words(self) -> tuple[str, ...]:
        """The text for the status line; empty while probes are in time."""
        return ("probes are late, rounds are longer than they should be",) if self._said else ()
