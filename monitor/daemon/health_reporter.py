"""Judges whether the daemon makes progress, and reports it: to the service manager, by a heartbeat, in notes.

The monitor is checked at each beat; a heartbeat's URL is called while there is progress. Other processes
judge by what it noted; see `monitor/store/status_queries.py`.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

import structlog

from monitor.access.readable import many
from monitor.access.words import State
from monitor.config import Secret
from monitor.daemon.clock import Clock
from monitor.daemon.deliveries import Deliveries
from monitor.daemon.schedule import Lateness
from monitor.daemon.service_manager import ServiceManager
from monitor.daemon.watches import Watches
from monitor.store.errors import StoreError
from monitor.store.recorder import Recorder

log = structlog.get_logger()

#: Seconds between two notes of progress in the database.
NOTE_EVERY = 15.0

#: Most seconds without a beat. A beat reads and writes, so it also shows a database that hangs.
_BEAT_MOST = 30.0
#: Most seconds without a commit: a database is busy for seconds, not for a minute.
_WRITTEN_MOST = 60.0
#: Most seconds without the end of a probe while some are due: the longest probe takes 180, and a route
#: that refuses everybody, or an organization's gap, lets one through every minute or two.
_PROBED_MOST = 360.0
#: Most seconds between two rounds of a channel, besides the time of one delivery: it checks every 15.
_TOLD_MOST = 60.0

#: Calls the URL; returns None when the call was accepted, else the error, without the URL.
Ping = Callable[[str], Awaitable[str | None]]


class HeartbeatSender:
    """Calls `URL/start` once, then `URL` at its interval while `stalled` is empty.

    When progress ends it calls `URL/fail` once, and then nothing until there is progress again. A failed call
    is logged once and not repeated: the next one is due soon enough.
    """

    def __init__(
        self, url: Secret, every: timedelta, ping: Ping, stalled: Callable[[], Sequence[str]]
    ) -> None:
        self._url = url.reveal()
        self._every = every.total_seconds()
        self._ping = ping
        self._stalled = stalled
        self._taken = True

    async def run(self) -> None:
        """Call until cancelled."""
        await self._call("start")
        failing = False
        while True:
            await asyncio.sleep(self._every)
            problems = self._stalled()
            if not problems:
                await self._call("")
            elif not failing:
                await self._call("fail")
            failing = bool(problems)

    async def _call(self, what: str) -> None:
        error = await self._ping(address(self._url, what))
        if error and self._taken:
            log.warning("heartbeat_not_taken", call=what or "success", error=error)
        elif not error and not self._taken:
            log.info("heartbeat_taken_again")
        self._taken = error is None


def address(url: str, what: str) -> str:
    """The URL with `/start` or `/fail` at the end of its path; itself for a success."""
    if not what:
        return url
    parts = urlsplit(url)
    return parts._replace(path=f"{parts.path.rstrip('/')}/{what}").geturl()


@dataclass(eq=False)
class HealthReporter:
    """Knows when each part last made progress. The monitor calls `beat` at each of its own beats."""

    watches: Watches
    recorder: Recorder
    deliveries: Deliveries
    lateness: Lateness
    manager: ServiceManager
    clock: Clock

    def __post_init__(self) -> None:
        #: notifications by state, as counted last
        self._waiting: Mapping[str, int] = {}
        self._loop = asyncio.get_running_loop()
        self._beat_at = self._written_at = self._probed_at = self._loop.time()
        self._made = 0
        self._note_at = self.clock.even()
        self._told: tuple[str, ...] = ()
        #: whether the settings were usable when they were read last
        self._settings_taken = True

    def stalled(self, *, by_itself: bool = False) -> tuple[str, ...]:
        """The parts that make no progress, in words; empty while all do.

        `by_itself` leaves out what only follows from a database that refuses writes.
        """
        excused = by_itself and self.recorder.queue.refusing is not None
        # The loop's clock stops while the machine sleeps, so a resume is no stall.
        now = self._loop.time()
        return stalled(
            beat=now - self._beat_at,
            written=0.0 if excused else now - self._written_at,
            probed=0.0 if excused else now - self._probed_at,
            told=now - self.deliveries.moved_at,
            delivery_most=self.deliveries.longest_s,
        )

    async def ready(self) -> None:
        """Tell the service manager that the monitor is up, at the start or after a reload."""
        await self._count()
        self.manager.ready(status_line(self.watches, self._waiting))

    async def beat(self, *, probes: int, next_probe: datetime | None) -> None:
        """Report one beat: `probes` have ended so far, and the next one is due at `next_probe`.

        Notes progress in the database when it is time.
        """
        watches = self.watches
        self.recorder.say_refusing()
        now = self._beat_at = self._loop.time()
        waits = next_probe is None or next_probe > self.clock.now()
        if probes != self._made or (waits and not any(watch.busy for watch in watches)):
            self._made, self._probed_at = probes, now
        # while the database refuses, each beat tries: a written note shows that it works again
        note = self.clock.even() >= self._note_at or self.recorder.queue.refusing is not None
        if note or self.manager.there:
            await self._count()
        if note:
            counts = {"targets": len(watches), "counts": watches.counts(), "probes": probes,
                      "rounds_missed": round(self.lateness.missed),
                      "settings_taken": self._settings_taken}  # fmt: skip
            await self._note({"notifications": self._waiting, **counts})
        problems = self.stalled()
        if bool(problems) != bool(self._told):
            if problems:
                log.error("no_progress", problems=list(problems))
            else:
                log.info("progress_again")
        self._told = problems
        if not self.stalled(by_itself=True):
            # A restart would lose the kept results and not help the database.
            self.manager.alive()
        if self.manager.there:
            words = (*self.recorder.queue.words(), *self.lateness.words(), *problems)
            self.manager.status("; ".join((status_line(watches, self._waiting), *words)))

    def settings_read(self, *, taken: bool) -> None:
        """The settings were read again, and taken or refused: note it at the next beat."""
        self._settings_taken = taken
        self.note_soon()

    def note_soon(self) -> None:
        """Write a note at the next beat: after a step of the wall clock the last one has the old time."""
        self._note_at = self.clock.even()

    async def _count(self) -> None:
        if self.recorder.queue.refusing is not None:
            return  # keep the last count
        try:
            self._waiting = await self.recorder.outbox.waiting()
        except StoreError as error:
            self.recorder.queue.refused(error)

    async def _note(self, status: Mapping[str, Any]) -> None:
        try:
            # The note itself goes through the writer: a writer that fails is not noted.
            await self.recorder.progress({**status, "stalled": list(self.stalled())})
        except StoreError as error:
            # The next beat retries. After a minute of failures this counts as no progress.
            self.recorder.queue.refused(error)
            return
        if self.recorder.queue.refusing is None:  # else only the note was written, no results
            self._written_at = self._loop.time()
        self._note_at = self.clock.even() + NOTE_EVERY


def stalled(
    *, beat: float, written: float, probed: float, told: float, delivery_most: float
) -> tuple[str, ...]:
    """The parts that make no progress, in words for the log and for people; empty while all do.

    Given are seconds since each part last made progress: `probed` since a probe last ended, or since none
    was due, `told` since the slowest channel last finished a round, or an attempt of at most `delivery_most`.
    """
    parts = (
        ("the main loop has not run", beat, _BEAT_MOST),
        ("nothing could be written to the database", written, _WRITTEN_MOST),
        ("probes are due, but none has finished", probed, _PROBED_MOST),
        ("a channel has made no progress", told, _TOLD_MOST + delivery_most),
    )
    return tuple(
        f"{what} for {seconds:.0f} s (at most {most:.0f})"
        for what, seconds, most in parts
        if seconds > most
    )


def status_line(watches: Watches, waiting: Mapping[str, int]) -> str:
    """The status line for `systemctl status`; `waiting` counts notifications by state."""
    counts = watches.counts()
    states = ", ".join(f"{counts[word]} {word}" for word in State if word in counts)
    # beside their state, not instead of it
    states += f" ({counts['blocked']} blocked)" if "blocked" in counts else ""
    pending, dead = waiting.get("pending", 0), waiting.get("dead", 0)
    given_up = f", {dead} undeliverable" if dead else ""
    return f"{many(len(watches), 'target')}: {states}; {many(pending, 'alert')} pending{given_up}"
