"""The monitor as a whole: builds its parts from the settings, starts them, and stops them in order."""

import asyncio
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from typing import Any, Protocol

import structlog

from monitor.access.holds import Posting
from monitor.access.masking import Redactor
from monitor.access.memory import TargetState
from monitor.access.words import EventKind, Reason
from monitor.alerts.interfaces import Sender
from monitor.config import Settings
from monitor.daemon.changes import Changes, EventBuilder
from monitor.daemon.channels import learn, redactor_of
from monitor.daemon.clock import Clock
from monitor.daemon.deliveries import Deliveries
from monitor.daemon.health_reporter import HealthReporter, HeartbeatSender
from monitor.daemon.inbox_reader import InboxReader
from monitor.daemon.listings import Listings
from monitor.daemon.payments import Payments
from monitor.daemon.pipeline import Pipeline
from monitor.daemon.request_slots import RequestSlots
from monitor.daemon.schedule import (
    Lateness,
    Schedule,
    reschedule_lost,
    schedule_after_reload,
    schedule_all,
)
from monitor.daemon.service_manager import ServiceManager
from monitor.daemon.staleness import NetworkState, StaleRoutes
from monitor.daemon.time_passing import ClockWatch, DeadlineCheck
from monitor.daemon.watches import Watch, Watches
from monitor.probing import Prober, ping
from monitor.store.errors import GoneError, StoreError
from monitor.store.record_forms import as_json
from monitor.store.recorder import Recorder
from monitor.store.records import Change

log = structlog.get_logger()

#: Seconds between two checks of the inbox and the clock.
BEAT = 1.0
#: Beats between two checks of the deadlines, more with many targets: deadlines are minutes away.
_DEADLINES_EVERY = 3
#: Beats between two clean-ups.
_TIDY_EVERY = 15
#: Beats between two reads of how long openings took.
_COMPARE_EVERY = 60
#: At a stop: seconds for probes under way, for writes, for notifications. Together under five.
_END_PROBES, _END_WRITES, _END_ALERTS = 2.0, 1.0, 1.5
#: Most requests under way over all routes: more would use memory without a gain.
_IN_FLIGHT_MOST = 1024


class ReloadError(Exception):
    """A running monitor cannot change to these settings, though they are valid."""


class Part(Protocol):
    """A part of the monitor that lives as long as it, through all reloads."""

    def use(self, settings: Settings) -> None:
        """Use these settings from now on; called once all parts are made, and at each reload."""


class Monitor:
    """One run of the monitor. `start`, then `run` until cancelled, then `stop`.

    Its parts live as long as it does. A reload hands them the new settings, which never change by
    themselves.
    """

    watches: Watches
    _recorder: Recorder

    def __init__(
        self,
        settings: Settings,
        channels: Sequence[Sender],
        *,
        clock: Clock | None = None,
        manager: ServiceManager | None = None,
        allowance: Mapping[str, float] | None = None,
        redactor: Redactor | None = None,
        worker: str | None = None,
    ) -> None:
        self._settings = settings
        self._channels = channels
        self._redactor = redactor or redactor_of(settings)
        #: what each key may spend in total, for a monitor that runs beside the daemon
        self._allowance = allowance
        self._clock = clock or Clock()
        #: its name among the workers of a fleet
        self._worker = worker
        #: what `started` and `stopping` tell of it, where there are several
        self._own_facts = {"worker": worker} if worker else {}
        # Only a service's own process has one: a demo that a service starts must not report for it.
        self._manager = manager or ServiceManager({})
        self._helpers: list[asyncio.Task[None]] = []
        self._beats = 0
        #: held by a beat or a reload: both take declarations, and each is taken once
        self._turn = asyncio.Lock()

    async def start(self) -> None:
        """Open the database and start probing. Raises StoreError when the database cannot be used."""
        settings, clock = self._settings, self._clock
        self._recorder = await Recorder.open(
            settings.database, clock=clock.now, hide=self._redactor.value, worker=self._worker
        )
        try:
            begun = await self._facts_of_start()
            await self._recorder.register(settings.targets())
            self.watches = Watches(settings, await self._recorder.load_memories())
            self._build(offline_since=await self._recorder.offline_since())
            if not self._recorder.fleet:  # a worker reads what was spent when it takes a shard
                await self._payments.load(clock.now().date())
            self._schedule.start(self._pipeline.begin)
            self._deliveries.begin()
            await self._compare()
            if self._is_own(()):
                await self._inbox_reader.expire_silences()
            await self._deliveries.dead_letter_removed_channels()
            schedule_all(self.watches, settings, clock, self._schedule)
            await self._inbox_reader.apply_earlier_declarations()
            await self._inbox_reader.declare_from(settings)
            await self._inbox_reader.take()
            await self._stand()
            self._deliveries.wake()
            counts = self.watches.counts()
            facts = {"targets": len(self.watches), "counts": counts, **begun}
            await self._changes.tell(EventKind.STARTED, Reason.DAEMON_STARTED, facts)
            await self._reporter.ready()
        except BaseException:
            await self._recorder.aclose()
            raise
        self._start_helpers()
        log.info("started", targets=len(self.watches), database=str(settings.database), **counts)

    async def _facts_of_start(self) -> dict[str, Any]:
        """What `started` tells of the time before; of a worker, who it is."""
        if self._own_facts:
            return self._own_facts
        before = self._recorder.before
        if before is None:
            return {"since_last_start": {}}
        since = await self._recorder.events_since(before.started_at)
        # nobody watched from then on: timelines show the gap
        return {"since_last_start": since, "down_since": as_json(before.last_alive)}

    async def _stand(self) -> None:
        """Take part in a fleet, where there is one: at the start, and once at each beat."""

    def _is_own(self, keys: Collection[str]) -> bool:  # noqa: ARG002 - a worker leaves some to others
        """Whether what concerns these keys is this daemon's; without keys, what concerns all."""
        return True

    async def run(self) -> None:
        """Handle all that no answer triggers: the clock, the inbox, deadlines. Runs until cancelled.

        Raises GoneError when the database is no longer this monitor's. `stop` then saves its contents.
        """
        while True:
            await asyncio.sleep(BEAT)
            try:
                self._recorder.require_own()
                async with self._turn:
                    await self._beat()
            except GoneError:
                raise
            except Exception:
                # The next beat may succeed; probes and alerts continue meanwhile.
                log.exception("beat_failed")

    async def keep_settings(self) -> None:
        """Others were refused: note it, and tell the service manager again that the monitor is ready."""
        self._reporter.settings_read(taken=False)
        await self._reporter.ready()

    async def changed(self) -> None:
        """Wait for a recorded event that people are told of, since the last call."""
        await self._deliveries.changed()

    async def stop(self) -> None:
        """Begin nothing new, wait a bounded time for work in flight, leave the rest to the next start."""
        log.info("stopping")
        self._manager.stopping()
        await self._stop_helpers()
        self._schedule.stop()
        await self._pipeline.drain(_END_PROBES)
        counts = self.watches.counts()
        # the queue logs what it cannot write; holds that remain are in doubt at the next start
        with suppress(TimeoutError, StoreError):
            async with asyncio.timeout(_END_WRITES):
                facts = {"targets": len(self.watches), "counts": counts, **self._own_facts}
                # with the note, so that both are in the queue, and written, when the time is over
                freed = self._payments.close()
                await self._changes.tell(
                    EventKind.STOPPING, Reason.DAEMON_STOPPING, facts, posting=freed
                )
                await self._recorder.queue.written()
        await self._deliveries.drain(_END_ALERTS)
        await self._prober.aclose()
        await self._recorder.aclose()
        if self._recorder.queue.lost:  # the note of the stop may fit where the results did not
            raise StoreError(f"results are lost: {self._recorder.queue.refusing}")
        log.info("stopped", **counts)

    async def reload(self, settings: Settings, channels: Sequence[Sender]) -> None:
        """Continue with other settings. Probes under way finish; memories and history stay.

        Removed targets stop, new ones start, and targets with another secret continue and are probed at
        once. Raises ReloadError, with nothing changed, when the settings name another database, or when
        the database refuses writes.
        """
        # a password may have changed: it is used from the next start on
        if str(settings.database) != str(self._settings.database):
            raise ReloadError(
                f"the database cannot change while it runs: {self._settings.database}; restart instead"
            )
        if (settings.fleet is None) != (self._settings.fleet is None):
            raise ReloadError("[fleet] cannot come or go while it runs; restart instead")
        if self._recorder.queue.refusing is not None:
            raise ReloadError(self._recorder.queue.refusing)
        learn(self._redactor, settings)
        async with self._turn:
            await self._reload(settings, channels)

    async def _reload(self, settings: Settings, channels: Sequence[Sender]) -> None:
        await self._stop_helpers()
        await self._deliveries.halt()
        try:
            leaving, memories = await self._register(settings)
        except StoreError as error:
            with suppress(StoreError):  # it was done without an answer, or what followed failed
                await self._recorder.register(self._settings.targets(), again=True)
            self._deliveries.begin()
            self._start_helpers()
            raise ReloadError(str(error)) from error
        cadences = {watch.name: watch.cadence for watch in self.watches}
        concerned, freed = self._swap(settings, leaving, memories)
        self._deliveries.use(settings, channels)
        self._deliveries.begin()
        schedule_after_reload(
            self.watches, concerned, settings, self._clock, self._schedule, before=cadences
        )
        if freed:
            await self._changes.write([Change(posting=freed)])
        try:
            await self._deliveries.dead_letter_removed_channels()
            await self._inbox_reader.apply_earlier_declarations()
            await self._inbox_reader.declare_from(settings)
        except StoreError as error:
            self._recorder.queue.refused(error)
            log.error("reload_incomplete", why="its declarations are read by the next one")  # noqa: TRY400
        self._deliveries.wake()
        self._start_helpers()
        self._reporter.settings_read(taken=True)
        await self._reporter.ready()
        log.info("reloaded", targets=len(self.watches), new_or_changed=len(concerned))

    async def _register(self, settings: Settings) -> tuple[list[Watch], dict[str, TargetState]]:
        """Make the targets of these settings the active ones; answers to others count no more.

        Returns the watches that leave, and the memories. Raises StoreError, with nothing changed.
        """
        coming = {target.name: target for target in settings.targets()}
        leaving = [watch for watch in self.watches if not watch.stays(coming.get(watch.name))]
        try:
            for watch in leaving:
                watch.leaving = True
            await self._recorder.register(settings.targets())
            return leaving, await self._recorder.load_memories()
        except StoreError:
            for watch in leaving:
                watch.leaving = False
            raise

    def _swap(
        self, settings: Settings, leaving: Sequence[Watch], memories: Mapping[str, TargetState]
    ) -> tuple[list[Watch], Posting]:
        """Give all parts the settings: nothing else runs meanwhile.

        Returns the watches to probe soon, and what is to be written of the others' holds.
        """
        self._settings = settings
        concerned = self.watches.use(settings, memories)
        self._stale_routes.adopt(self._clock.now())
        for watch in leaving:
            self._schedule.remove(watch)
        # before others take their places in the budget
        freed = self._payments.forget(leaving)
        for part in self._parts:
            part.use(settings)
        self._prober.catalog = settings.catalog
        self._network.use(self.watches.sizes())
        return concerned, freed

    def _start_helpers(self) -> None:
        if self._helpers:
            return
        self._helpers = [asyncio.create_task(self._listings.run(), name="model lists")]
        heartbeat = self._settings.heartbeat
        if heartbeat.url:
            sender = HeartbeatSender(heartbeat.url, heartbeat.every, ping, self._reporter.stalled)
            self._helpers.append(asyncio.create_task(sender.run(), name="heartbeat"))

    async def _stop_helpers(self) -> None:
        for task in self._helpers:
            task.cancel()
        await asyncio.gather(*self._helpers, return_exceptions=True)
        self._helpers = []

    def _build(self, *, offline_since: datetime | None) -> None:
        """Make the parts, each with those that it uses; `offline_since`: when that was told."""
        settings, clock, watches, recorder = (
            self._settings, self._clock, self.watches, self._recorder,
        )  # fmt: skip
        lateness = Lateness()
        network = self._network = NetworkState(watches.sizes(), since=offline_since)
        schedule = self._schedule = Schedule(clock)
        builder = self._event_builder = EventBuilder(watches)
        deliveries = self._deliveries = Deliveries(recorder, watches, clock)
        changes = self._changes = Changes(recorder.queue, builder, deliveries, clock)
        stale_routes = self._stale_routes = StaleRoutes(
            watches, builder, changes, network, clock.now()
        )
        slots = self._slots = RequestSlots(watches, clock)
        payments = self._payments = Payments(recorder, watches, changes, clock, self._allowance)
        prober = self._prober = Prober(catalog=settings.catalog, limit_in_flight=_IN_FLIGHT_MOST)
        listings = self._listings = Listings(watches, slots, prober, changes, schedule, clock)
        pipeline = self._pipeline = Pipeline(
            watches=watches, clock=clock, slots=slots, payments=payments, prober=prober,
            listings=listings, event_builder=builder, stale_routes=stale_routes,
            network=network, lateness=lateness, tally=recorder.tally, changes=changes,
            schedule=schedule,
        )  # fmt: skip
        deadline_check = self._deadline_check = DeadlineCheck(watches, stale_routes, changes, clock)
        self._inbox_reader = InboxReader(
            recorder=recorder, watches=watches, changes=changes, schedule=schedule,
            payments=payments, deliveries=deliveries, clock=clock, is_own=self._is_own,
        )  # fmt: skip
        self._reporter = HealthReporter(
            watches, recorder, deliveries, lateness, self._manager, clock
        )
        self._clock_watch = ClockWatch(clock, watches, stale_routes, schedule, self._reporter)
        #: the parts that a reload gives its settings to
        self._parts: Sequence[Part] = (
            builder, changes, payments, slots, listings, pipeline, deadline_check,
        )  # fmt: skip
        for part in self._parts:
            part.use(settings)
        deliveries.use(settings, self._channels)

    async def _beat(self) -> None:
        self._beats += 1
        self._clock_watch.beat()
        if self._recorder.queue.refusing is None:
            try:
                await self._with_the_database()
            except GoneError:
                raise
            except StoreError as error:
                self._recorder.queue.refused(error)
        if (
            self._beats % max(_DEADLINES_EVERY, len(self.watches) // 300) == 0
            and not self._recorder.queue.full
        ):
            await self._deadline_check.run()
        if self._beats % _TIDY_EVERY == 1:
            reschedule_lost(self.watches, self._clock, self._schedule)
        await self._reporter.beat(probes=self._pipeline.made, next_probe=self._schedule.earliest())

    async def _with_the_database(self) -> None:
        await self._stand()
        await self._clock_watch.tell(self._recorder)
        if self._is_own(()):
            await self._inbox_reader.expire_silences()
        await self._inbox_reader.take()
        if self._beats % _COMPARE_EVERY == 0:
            await self._compare()
        if self._beats % _TIDY_EVERY == 1:
            now = self._clock.now()
            await self._payments.tidy(now.date())
            if self._is_own(()) and (gone := await self._recorder.prune(now)):
                log.info("runs_forgotten", runs=gone)

    async def _compare(self) -> None:
        """Read how long openings took, for messages that compare waits."""
        self._event_builder.compare(await self._recorder.openings(), self._clock.now())
