"""The monitor as a whole: builds its parts from the settings, starts them, and stops them in order."""

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import timedelta
from typing import Any

import structlog

from monitor.access import wait_times
from monitor.access.limits import Rules
from monitor.access.words import EventKind, ProbeKind, Reason
from monitor.alerts.dispatcher import Dispatcher
from monitor.alerts.interfaces import Sender
from monitor.config import Settings
from monitor.daemon import console
from monitor.daemon.budgets import Budgets
from monitor.daemon.channels import (
    dead_letter_removed_channels,
    learn,
    redactor_of,
    subscriptions_of,
)
from monitor.daemon.clock import Clock
from monitor.daemon.clock_watch import ClockWatch
from monitor.daemon.engine import Engine
from monitor.daemon.event_builder import EventBuilder
from monitor.daemon.evidence_attachment import evidence_markdown
from monitor.daemon.first_probes import first_probe_at, reschedule_lost, schedule_all
from monitor.daemon.health_reporter import HealthReporter
from monitor.daemon.heartbeat import HeartbeatSender
from monitor.daemon.inbox_reader import InboxReader
from monitor.daemon.lateness import Lateness
from monitor.daemon.listings import Listings
from monitor.daemon.network_state import NetworkState
from monitor.daemon.notify import ServiceManager
from monitor.daemon.probe_result import ProbeResult
from monitor.daemon.probe_runner import ProbeRunner
from monitor.daemon.schedule import Schedule
from monitor.daemon.watches import Watch, Watches, take_over, watches_of
from monitor.logs.redaction import Redactor
from monitor.probing import Prober, ping
from monitor.store.errors import GoneError, StoreError
from monitor.store.recorder import Recorder
from monitor.store.records import Recorded

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
#: How long a reload waits for an attempt beyond its timeout.
_MARGIN = timedelta(seconds=1)
#: Most requests under way over all routes: more would use memory without a gain.
_IN_FLIGHT_MOST = 1024


class ReloadError(Exception):
    """A running monitor cannot change to these settings, though they are valid."""


class Monitor:
    """One run of the monitor. `start`, then `run` until cancelled, then `stop`."""

    watches: Watches
    _recorder: Recorder
    _budgets: Budgets
    _inbox_reader: InboxReader
    _prober: Prober
    _event_builder: EventBuilder
    _dispatcher: Dispatcher
    _engine: Engine
    _runner: ProbeRunner
    _listings: Listings
    _schedule: Schedule
    _reporter: HealthReporter

    def __init__(
        self,
        settings: Settings,
        channels: Sequence[Sender],
        *,
        clock: Clock | None = None,
        manager: ServiceManager | None = None,
        allowance: Mapping[str, float] | None = None,
        redactor: Redactor | None = None,
    ) -> None:
        self._settings = settings
        self._redactor = redactor or redactor_of(settings)
        #: what each key may spend in total, for a monitor that runs beside the daemon
        self._allowance = allowance
        self._clock = clock or Clock()
        # Only a service's own process has one: a demo that a service starts must not report for it.
        self._manager = manager or ServiceManager({})
        self._helpers: list[asyncio.Task[None]] = []
        self._channels = list(channels) or [console.Console()]
        self._clock_watch = ClockWatch(self._clock)
        self._lateness = Lateness()
        self._beats = 0
        self._change = asyncio.Event()
        #: held by a beat or a reload: both take declarations, and each is taken once
        self._turn = asyncio.Lock()

    async def start(self) -> None:
        """Open the database and start probing. Raises StoreError when the database cannot be used."""
        settings, clock, hide = self._settings, self._clock, self._redactor.value
        self._recorder = await Recorder.open(settings.database, clock=clock.now, hide=hide)
        try:
            before = self._recorder.before
            since = await self._recorder.events_since(before.started_at) if before else {}
            await self._recorder.register(settings.targets())
            self.watches = watches_of(settings, await self._recorder.load_memories())
            self._budgets = Budgets(self._recorder, settings.budget, self._tell, self._allowance)
            await self._budgets.load(clock.now().date())
            self._budgets.follow(self.watches)
            self._open()
            self._build()
            self._schedule.start(self._runner.begin)
            self._dispatch = asyncio.create_task(self._dispatcher.run(), name="dispatcher")
            await self._compare()
            await self._dead_letter_removed_channels()
            schedule_all(self.watches, settings, clock, self._schedule)
            await self._inbox_reader.apply_earlier_declarations(self.watches)
            await self._inbox_reader.declare_from(settings)
            await self._inbox_reader.take()
            self._dispatcher.wake()
            counts = self.watches.counts()
            await self._engine.tell(
                EventKind.STARTED,
                Reason.DAEMON_STARTED,
                {"targets": len(self.watches), "counts": counts, "since_last_start": since},
            )
            await self._reporter.ready(self.watches)
        except BaseException:
            await self._recorder.aclose()
            raise
        self._start_helpers()
        log.info("started", targets=len(self.watches), database=str(settings.database), **counts)

    async def run(self) -> None:
        """Handle all that no answer triggers: the clock, the inbox, deadlines. Runs until cancelled.

        Raises GoneError when the database was deleted or replaced. `stop` then saves its contents.
        """
        while True:
            await asyncio.sleep(BEAT)
            try:
                self._recorder.require_files()
                async with self._turn:
                    await self._beat()
            except GoneError:
                raise
            except Exception:
                # The next beat may succeed; probes and alerts continue meanwhile.
                log.exception("beat_failed")

    async def say_ready(self) -> None:
        """Tell the service manager again that the monitor is ready."""
        await self._reporter.ready(self.watches)

    async def changed(self) -> None:
        """Wait for a recorded event that people are told of, since the last call."""
        await self._change.wait()
        self._change.clear()

    async def stop(self) -> None:
        """Begin nothing new, wait a bounded time for work in flight, leave the rest to the next start."""
        log.info("stopping")
        self._manager.stopping()
        await self._stop_helpers()
        self._schedule.stop()
        await self._runner.drain(_END_PROBES)
        counts = self.watches.counts()
        # the queue logs what it cannot write; holds that remain are in doubt at the next start
        with suppress(TimeoutError, StoreError):
            async with asyncio.timeout(_END_WRITES):
                facts = {"targets": len(self.watches), "counts": counts}
                await self._engine.tell(EventKind.STOPPING, Reason.DAEMON_STOPPING, facts)
                await self._recorder.queue.written()
                await self._budgets.close()
        await self._dispatcher.drain(_END_ALERTS)
        await self._end_dispatch()
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
        if settings.database != self._settings.database:
            raise ReloadError(
                f"the database cannot change while it runs: {self._settings.database}; restart instead"
            )
        if self._recorder.queue.refusing is not None:
            raise ReloadError(self._recorder.queue.refusing)
        learn(self._redactor, settings)
        async with self._turn:
            await self._reload(settings, channels)

    async def _reload(self, settings: Settings, channels: Sequence[Sender]) -> None:
        await self._stop_helpers()
        # Wait for the sends under way, or their messages would be sent again.
        await self._dispatcher.halt((self._settings.delivery.timeout + _MARGIN).total_seconds())
        await self._end_dispatch()
        before, runner, engine = self.watches, self._runner, self._engine
        coming = {target.name: target for target in settings.targets()}
        leaving = [watch for watch in before if not watch.stays(coming.get(watch.name))]
        try:
            for watch in leaving:
                watch.leaving = True
            await self._recorder.register(settings.targets())
            memories = await self._recorder.load_memories()
        except StoreError as error:
            for watch in leaving:
                watch.leaving = False
            self._begin_dispatch()
            self._start_helpers()
            raise ReloadError(str(error)) from error
        self._settings = settings
        self._channels = list(channels) or [console.Console()]
        self.watches, concerned = take_over(before, watches_of(settings, memories))
        for watch in before:
            if self.watches.get(watch.name) is not watch:
                self._schedule.remove(watch)
                await self._budgets.forget(watch)
        self._prober.catalog = settings.catalog
        self._budgets.use(settings.budget)
        self._budgets.follow(self.watches)
        self._build()
        self._runner.take_over(runner)
        self._engine.take_over(engine)
        self._schedule.start(self._runner.begin)
        self._begin_dispatch()
        for watch in concerned:
            if not watch.busy:
                self._schedule.at(
                    watch, first_probe_at(watch, settings, len(self.watches), self._clock.now())
                )
        try:
            await self._dead_letter_removed_channels()
            await self._inbox_reader.apply_earlier_declarations(self.watches)
            await self._inbox_reader.declare_from(settings)
        except StoreError as error:
            self._recorder.queue.refused(error)
            log.error("reload_incomplete", why="its declarations are read by the next one")  # noqa: TRY400
        self._dispatcher.wake()
        self._start_helpers()
        await self._reporter.ready(self.watches)
        log.info("reloaded", targets=len(self.watches), new_or_changed=len(concerned))

    def _start_helpers(self) -> None:
        self._helpers = [asyncio.create_task(self._listings.run(), name="model lists")]
        if self._settings.heartbeat:
            heartbeat = HeartbeatSender(self._settings.heartbeat, ping, self._reporter.stalled)
            self._helpers.append(asyncio.create_task(heartbeat.run(), name="heartbeat"))

    async def _stop_helpers(self) -> None:
        for task in self._helpers:
            task.cancel()
        await asyncio.gather(*self._helpers, return_exceptions=True)

    def _begin_dispatch(self) -> None:
        self._dispatcher = self._new_dispatcher()
        self._reporter.follow(self._dispatcher, self._settings.delivery.timeout)
        self._dispatch = asyncio.create_task(self._dispatcher.run(), name="dispatcher")

    async def _end_dispatch(self) -> None:
        self._dispatch.cancel()
        await asyncio.gather(self._dispatch, return_exceptions=True)

    def _open(self) -> None:
        """Make the parts that stay during a reload."""
        self._prober = Prober(catalog=self._settings.catalog, limit_in_flight=_IN_FLIGHT_MOST)
        self._schedule = Schedule(self._clock)
        self._dispatcher = self._new_dispatcher()
        self._reporter = HealthReporter(
            recorder=self._recorder,
            dispatcher=self._dispatcher,
            manager=self._manager,
            clock=self._clock,
            delivery_most=self._settings.delivery.timeout,
            lateness=self._lateness,
        )

    def _new_dispatcher(self) -> Dispatcher:
        return Dispatcher(
            self._recorder, self._channels, self._settings.delivery, now=self._clock.now,
            summary=self.watches.summary,
        )  # fmt: skip

    def _build(self) -> None:
        """Make the parts that depend on the settings."""
        settings, clock, watches = self._settings, self._clock, self.watches
        routes = {watch.target.route for watch in watches}
        sizes = {route: sum(w.target.route == route for w in watches) for route in routes}
        self._event_builder = EventBuilder(subscriptions_of(settings), watches)
        self._engine = Engine(
            watches=watches,
            queue=self._recorder.queue,
            event_builder=self._event_builder,
            network=NetworkState(sizes),
            clock=clock,
            rules=Rules(settings.confirmation, settings.deadlines),
            probe_at=self._schedule.at,
            committed=self._committed,
            evidence=self._evidence_of,
            lateness=self._lateness,
        )
        self._runner = ProbeRunner(
            watches=watches,
            routes=settings.routes,
            prober=self._prober,
            budgets=self._budgets,
            catalog=settings.catalog,
            cadence=settings.cadence,
            rules=settings.rules,
            clock=clock,
            schedule=self._schedule,
            answered=self._answered,
            held=self._engine.held,
        )
        self._inbox_reader = InboxReader(self._recorder, self._engine, self._budgets, self._revived)
        self._listings = Listings(
            watches=watches,
            runner=self._runner,
            engine=self._engine,
            clock=clock,
            rules=settings.rules,
            probe_at=self._schedule.at,
        )

    async def _answered(self, result: ProbeResult) -> None:
        if result.kind is ProbeKind.LISTING:
            self._listings.seen(result.watch, result.observation)
        await self._engine.answered(result)

    async def _evidence_of(self, watch: Watch) -> str:
        return await evidence_markdown(self._settings, watch, self._clock.now())

    async def _revived(self) -> None:
        await self._dead_letter_removed_channels()
        self._dispatcher.wake(anew=True)

    def _committed(self, recorded: Sequence[Recorded]) -> None:
        self._dispatcher.offer(recorded)
        self._change.set()

    async def _dead_letter_removed_channels(self) -> None:
        await dead_letter_removed_channels(self._recorder, self._channels, self._clock.now())

    async def _beat(self) -> None:
        self._beats += 1
        self._clock_watch.beat(self.watches, self._engine, self._schedule, self._reporter)
        if self._recorder.queue.refusing is None:
            try:
                await self._with_the_database()
            except StoreError as error:
                self._recorder.queue.refused(error)
        if (
            self._beats % max(_DEADLINES_EVERY, len(self.watches) // 300) == 0
            and not self._recorder.queue.full
        ):
            await self._engine.time_passed()
        if self._beats % _TIDY_EVERY == 1:
            reschedule_lost(self.watches, self._clock, self._schedule)
        await self._reporter.beat(
            self.watches, probes=self._runner.made, next_probe=self._schedule.earliest()
        )

    async def _with_the_database(self) -> None:
        await self._clock_watch.tell(self._recorder)
        await self._inbox_reader.take()
        if self._beats % _COMPARE_EVERY == 0:
            await self._compare()
        if self._beats % _TIDY_EVERY == 1:
            now = self._clock.now()
            await self._budgets.tidy(now.date())
            if gone := await self._recorder.prune(now):
                log.info("runs_forgotten", runs=gone)

    async def _compare(self) -> None:
        """Read how long openings took, for messages that compare waits."""
        openings, now = await self._recorder.openings(), self._clock.now()
        waits = [wait_times.waiting_of(watch.target, watch.memory, now) for watch in self.watches]
        self._event_builder.compare(openings, [wait for wait in waits if wait])

    async def _tell(self, event: EventKind, reason: Reason, facts: dict[str, Any]) -> None:
        await self._engine.tell(event, reason, facts)
