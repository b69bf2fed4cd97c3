"""The monitor as a whole: builds its parts from the settings, starts them, and stops them in order."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import date, timedelta
from typing import Any

import structlog

from monitor.access.events import Rules
from monitor.access.spending import Ledger
from monitor.access.words import DEFAULT_EVENTS, DeclarationKind, EventKind, Reason
from monitor.alerts.dispatcher import Dispatcher
from monitor.alerts.outbox import Sender
from monitor.alerts.subscriptions import Subscription
from monitor.config import Settings
from monitor.daemon import console
from monitor.daemon.clock import Clock
from monitor.daemon.engine import Engine
from monitor.daemon.looks import IN_FLIGHT_PER_ROUTE, Looker
from monitor.daemon.narrator import Narrator
from monitor.daemon.network import NetworkSense
from monitor.daemon.schedule import Schedule
from monitor.daemon.watches import Watch, Watches, watches_of
from monitor.probing import Prober
from monitor.store.recorder import Recorder
from monitor.store.records import Change, Spend

log = structlog.get_logger()

#: Seconds between two looks at the inbox, the clock and the deadlines; more with many targets.
BEAT = 1.0
#: Beats between two notes of progress in the database.
_PROGRESS_EVERY = 15
#: First looks are spread over the time the route's bucket needs, and no more than this.
_FIRST_LOOKS = timedelta(seconds=25)
#: On stop: seconds for probes under way, then for notifications. Together under five.
_END_PROBES, _END_ALERTS = 2.5, 1.5
#: More than this under way at once, over all routes, would cost memory and gain nothing.
_IN_FLIGHT_MOST = 512


class Monitor:
    """One run of the monitor. `start`, then `run` until cancelled, then `stop`."""

    watches: Watches
    _recorder: Recorder
    _ledger: Ledger
    _prober: Prober
    _dispatcher: Dispatcher
    _engine: Engine
    _looker: Looker
    _schedule: Schedule

    def __init__(
        self, settings: Settings, channels: Sequence[Sender], *, clock: Clock | None = None
    ) -> None:
        self._settings = settings
        self._clock = clock or Clock()
        self._channels = list(channels) or [console.Console()]
        self._told_budget: set[str] = set()
        self._budget_day: date | None = None
        self._beats = 0
        self._change = asyncio.Event()

    async def start(self) -> None:
        """Open the database and begin to look. Raises StoreError when it cannot be used."""
        settings, clock = self._settings, self._clock
        self._recorder = await Recorder.open(settings.database, clock=clock.now)
        try:
            await self._recorder.register(settings.targets())
            self.watches = watches_of(settings, await self._recorder.load_memories())
            self._ledger = await self._load_ledger()
            self._build()
            self._schedule.start(self._looker.look)
            self._dispatch = asyncio.create_task(self._dispatcher.run(), name="dispatcher")
            await self._declare_from_settings()
            await self._take_inbox()
            self._date_all_at_start()
            self._dispatcher.wake()
            counts = self.watches.counts()
            await self._engine.tell(
                EventKind.STARTED,
                Reason.DAEMON_STARTED,
                {"targets": len(self.watches), "counts": counts},
            )
        except BaseException:
            await self._recorder.aclose()
            raise
        log.info("started", targets=len(self.watches), database=str(settings.database), **counts)

    async def run(self) -> None:
        """Take care of what no answer brings about: the clock, the inbox, deadlines. Until cancelled."""
        beat = max(BEAT, len(self.watches) / 1000)
        while True:
            await asyncio.sleep(beat)
            try:
                await self._beat()
            except Exception:
                # Whatever it was, the next beat may get through; probes and alerts go on meanwhile.
                log.exception("beat_failed")

    async def changed(self) -> None:
        """Wait until something was recorded that people are told of, since the last call."""
        await self._change.wait()
        self._change.clear()

    async def stop(self) -> None:
        """Begin nothing new, end what is under way for a bounded time, leave the rest for the next start."""
        log.info("stopping")
        self._schedule.stop()
        await self._looker.drain(_END_PROBES)
        counts = self.watches.counts()
        with suppress(TimeoutError):
            async with asyncio.timeout(_END_ALERTS):
                facts = {"targets": len(self.watches), "counts": counts}
                await self._engine.tell(EventKind.STOPPING, Reason.DAEMON_STOPPING, facts)
                await self._give_marks_back()
        await self._dispatcher.drain(_END_ALERTS)
        self._dispatch.cancel()
        with suppress(asyncio.CancelledError):
            await self._dispatch
        await self._prober.aclose()
        await self._recorder.aclose()
        log.info("stopped", **counts)

    def _build(self) -> None:
        settings, clock, watches = self._settings, self._clock, self.watches
        routes = {watch.target.route for watch in watches}
        sizes = {route: sum(w.target.route == route for w in watches) for route in routes}
        self._prober = Prober(
            catalog=settings.catalog,
            limit_in_flight=min(IN_FLIGHT_PER_ROUTE * len(routes), _IN_FLIGHT_MOST),
        )
        self._dispatcher = Dispatcher(
            self._recorder, self._channels, settings.delivery, now=clock.now
        )
        self._schedule = Schedule(clock)
        self._engine = Engine(
            watches=watches,
            recorder=self._recorder,
            narrator=Narrator(self._subscriptions()),
            network=NetworkSense(sizes),
            clock=clock,
            cadence=settings.cadence,
            rules=Rules(settings.confirmation, settings.deadlines),
            look_at=self._schedule.at,
            committed=self._committed,
        )
        self._looker = Looker(
            watches=watches,
            routes=settings.routes,
            prober=self._prober,
            ledger=self._ledger,
            catalog=settings.catalog,
            cadence=settings.cadence,
            confirmation=settings.confirmation,
            clock=clock,
            schedule=self._schedule,
            answered=self._engine.answered,
            over_budget=self._over_budget,
            mark=self._mark,
        )

    def _committed(self) -> None:
        self._dispatcher.wake()
        self._change.set()

    def _subscriptions(self) -> list[Subscription]:
        channels = self._settings.channels
        if not channels:
            # Who has no channel has a terminal, and wants to see that it is open at first look, too.
            return [Subscription(console.NAME, DEFAULT_EVENTS | {EventKind.BASELINE})]
        return [Subscription(c.name, c.events, c.targets) for c in channels]

    # --- the start ---

    async def _load_ledger(self) -> Ledger:
        """What was spent this month. A mark left by a crash may have been billed: it counts as spent."""
        ledger = Ledger(self._settings.budget)
        today = self._clock.now().date()
        rows = await self._recorder.spend_since(today.replace(day=1))
        changes = [
            Change(
                spend=Spend(
                    row.key, row.day, settled_usd=row.reserved_usd, reserved_usd=0.0, estimated=True
                )
            )
            for row in rows
            if row.reserved_usd
        ]
        if changes:
            await self._recorder.write(changes)
        ledger.load({(row.key, row.day): row.settled_usd + row.reserved_usd for row in rows})
        return ledger

    def _date_all_at_start(self) -> None:
        now, cadence = self._clock.now(), self._settings.cadence
        rates = {name: route.rate for name, route in self._settings.routes.items()}
        for watch in self.watches:
            spread = timedelta(seconds=len(self.watches) / rates[watch.target.route])
            soon = now + watch.phase * min(spread, _FIRST_LOOKS, cadence.eager)
            due = watch.memory.next_probe_at
            # A due time that is still to come stands; missed ones are not made up for, only spread.
            at = due if due and now < due <= now + cadence.retired else soon
            watch.memory = replace(watch.memory, next_probe_at=at)
            self._schedule.at(watch, at)

    async def _declare_from_settings(self) -> None:
        for key in self._settings.keys:
            if key.verified_at:
                await self._recorder.declare(
                    DeclarationKind.VERIFIED, key.name, key.verified_at, "settings"
                )
        await self._take_declarations()

    # --- while it runs ---

    async def _beat(self) -> None:
        self._beats += 1
        step = self._clock.step()
        if step:
            log.warning("clock_stepped", seconds=round(step.total_seconds(), 1))
            self.watches.shift(step)
            for watch in self.watches:
                if watch.memory.next_probe_at and not watch.busy:
                    self._schedule.at(watch, watch.memory.next_probe_at)
        await self._take_inbox()
        await self._engine.time_passed()
        if self._beats % _PROGRESS_EVERY == 1:
            self._remember_the_forgotten()
            self._ledger.forget_before(self._clock.now().date())
            await self._recorder.progress(self._progress())

    def _remember_the_forgotten(self) -> None:
        """No target may be left without a next look, whatever went wrong: an alert would never come."""
        for watch in self.watches:
            if not watch.busy and not self._schedule.holds(watch):
                log.error("look_was_lost", target=watch.name)
                self._schedule.at(watch, self._clock.now())

    def _progress(self) -> dict[str, Any]:
        return {
            "targets": len(self.watches),
            "counts": self.watches.counts(),
            "looks": self._looker.made,
        }

    async def _take_inbox(self) -> None:
        items = await self._recorder.inbox()
        for item in items:
            log.info("asked", kind=item.kind)
            if item.kind == "retry":
                ids = item.payload.get("ids")
                count = await self._recorder.retry(ids if isinstance(ids, list) else None)
                log.info("retrying", notifications=count)
                self._dispatcher.wake()
            else:
                log.warning("not_understood", kind=item.kind)
        if items:
            await self._recorder.settle_inbox([item.id for item in items])

    async def _take_declarations(self) -> None:
        for declaration in await self._recorder.untaken_declarations():
            await self._engine.declared(declaration)

    # --- money ---

    async def _mark(self, key: str, day: date, usd: float) -> None:
        await self._recorder.reserve(Spend(key, day, reserved_usd=usd))
        self._ledger.marked(key, day, usd)

    async def _give_marks_back(self) -> None:
        """Nothing is under way any more: what was reserved and not spent is not owed."""
        marks = self._ledger.marks()
        changes = [
            Change(spend=Spend(key, day, reserved_usd=0.0))
            for key, day in marks
            if (key, day) not in self._looker.cut
        ]
        if changes:
            await self._recorder.write(changes)

    async def _over_budget(self, watch: Watch, today: date, wanted: float) -> None:
        """Tell once a day for each key, once a month for all."""
        budget, key = self._settings.budget, watch.target.key
        spent_today = self._ledger.entry(key, today).settled
        month = self._ledger.spent_in_month(today) + wanted > budget.per_month
        scope = f"month {today:%Y-%m}" if month else f"key {key} on {today}"
        if today != self._budget_day:
            self._budget_day = today
            self._told_budget = {told for told in self._told_budget if told.startswith("month ")}
        if scope in self._told_budget:
            return
        self._told_budget.add(scope)
        await self._engine.tell(
            EventKind.BUDGET,
            Reason.BUDGET_EXHAUSTED,
            {
                "budget_scope": scope,
                "budget_usd": budget.per_month if month else budget.per_key_per_day,
                "spent_usd": self._ledger.spent_in_month(today) if month else spent_today,
                "key": key,
            },
        )
