"""Makes the looks: waits for the places a probe needs, reserves its price, sends it, reads the answer."""

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable, Mapping
from datetime import date

import structlog

from monitor.access.diagnosis import diagnose, read_free_look
from monitor.access.limits import Cadence, Confirmation
from monitor.access.observation import Diagnosis, Observation
from monitor.access.pacing import Breaker, ImageGap, TokenBucket
from monitor.access.spending import Ledger, cost_of
from monitor.access.words import Code, Effect, Look, State
from monitor.catalog import Catalog, bill
from monitor.config.settings import Route
from monitor.daemon.clock import Clock
from monitor.daemon.engine import Result
from monitor.daemon.schedule import Schedule
from monitor.daemon.watches import Watch, Watches
from monitor.probing import Prober

log = structlog.get_logger()

#: Probes under way over one route: one that hangs must not use up the places of the others.
IN_FLIGHT_PER_ROUTE = 64


class Looker:
    """Owns the probes under way. `look` is called when a target's time has come and returns at once."""

    def __init__(
        self,
        *,
        watches: Watches,
        routes: Mapping[str, Route],
        prober: Prober,
        ledger: Ledger,
        catalog: Catalog,
        cadence: Cadence,
        confirmation: Confirmation,
        clock: Clock,
        schedule: Schedule,
        answered: Callable[[Result], Awaitable[None]],
        over_budget: Callable[[Watch, date, float], Awaitable[None]],
        mark: Callable[[str, date, float], Awaitable[None]],
    ) -> None:
        keys: dict[str, set[str]] = defaultdict(set)
        for watch in watches:
            keys[watch.target.route].add(watch.target.key)
        self._buckets = {name: TokenBucket(route.rate) for name, route in routes.items()}
        self._breakers = {name: Breaker(len(keys[name])) for name in routes}
        self._places = {name: asyncio.Semaphore(IN_FLIGHT_PER_ROUTE) for name in routes}
        self._gaps: dict[tuple[str, str], ImageGap] = defaultdict(lambda: ImageGap(cadence))
        self._routes = routes
        self._prober = prober
        self._ledger = ledger
        self._catalog = catalog
        self._confirmation = confirmation
        self._clock = clock
        self._schedule = schedule
        self._answered = answered
        self._over_budget = over_budget
        self._mark = mark
        self._tasks: set[asyncio.Task[None]] = set()
        self._stopping = False
        #: keys and days whose probes were cut off by the stop
        self.cut: set[tuple[str, date]] = set()
        #: looks that ended since the start
        self.made = 0

    async def look(self, watch: Watch) -> None:
        """Begin a look at the watch, unless one is under way or a place is not free yet."""
        if watch.busy or self._stopping:
            return
        wait = self._wait(watch)
        if wait > 0:
            self._schedule.in_seconds(watch, wait)
            return
        watch.busy = True
        task = asyncio.create_task(self._make(watch), name=f"look {watch.name}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def drain(self, seconds: float) -> None:
        """Begin no more looks; let those under way end for that long, then cut them."""
        self._stopping = True
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=seconds)
        cut = list(self._tasks)
        for task in cut:
            task.cancel()
        await asyncio.gather(*cut, return_exceptions=True)

    def _wait(self, watch: Watch) -> float:
        """Seconds until the look may be sent; 0 takes the places it needs."""
        now = self._clock.even()
        route = watch.target.route
        breaker = self._breakers[route]
        at = breaker.ready_at(now)
        if at > now:
            return at - now
        if watch.look is Look.FULL and watch.target.capability.surface.makes_images:
            gap = self._gap(watch)
            if not gap.holds(watch.gap_place):
                watch.gap_place = gap.reserve(now)
            if watch.gap_place and watch.gap_place.at > now:
                return watch.gap_place.at - now
        if watch.bucket_place is None:
            watch.bucket_place = self._buckets[route].reserve(now)
        if watch.bucket_place > now:
            return watch.bucket_place - now
        watch.gap_place = watch.bucket_place = None
        breaker.sent(now)
        return 0.0

    def _gap(self, watch: Watch) -> ImageGap:
        return self._gaps[watch.target.route, watch.target.scope]

    async def _make(self, watch: Watch) -> None:
        try:
            with structlog.contextvars.bound_contextvars(target=watch.name):
                await self._look(watch)
        except asyncio.CancelledError:
            raise
        except Exception:
            # One target's failure must not end the others; it is looked at again, slowly.
            log.exception("look_failed", target=watch.name)
            if not self._stopping:
                self._schedule.in_seconds(watch, 60.0)
        finally:
            watch.busy = False
            self.made += 1

    async def _look(self, watch: Watch) -> None:
        look, over = watch.look, False
        today = self._clock.now().date()
        if look is Look.FULL and watch.price > 0:
            over = not await self._reserve(watch, today)
            look = Look.FREE if over else Look.FULL
        route = watch.target.route
        try:
            async with self._places[route]:
                observation = await self._prober.look(
                    watch.credentials, watch.target.capability, look
                )
        except asyncio.CancelledError:
            if look is Look.FULL and watch.price > 0:
                # It may have reached the server, and an image that nobody fetched is billed all the
                # same: its mark stays, and counts as spent at the next start.
                self.cut.add((watch.target.key, today))
            raise
        diagnosis = read_free_look(observation) if look is Look.FREE else diagnose(observation)
        code = diagnosis.code if diagnosis else None
        now = self._clock.even()
        self._breakers[route].answered(watch.target.key, code, now)
        if code and look is Look.FULL and watch.target.capability.surface.makes_images:
            self._gap(watch).answered(code, observation.headers, now)
        cost, charged = 0.0, None
        if look is Look.FULL and watch.price > 0 and diagnosis:
            cost = self._cost(watch, observation, diagnosis)
            charged = self._ledger.book(watch.name, cost, keep=self._kept(watch, diagnosis))
        await self._answered(Result(watch, look, observation, diagnosis, cost, charged, over))

    async def _reserve(self, watch: Watch, today: date) -> bool:
        """Reserve what the probe and the confirmations after it may cost, durably, before it leaves."""
        wanted = watch.price * self._confirmations(watch)
        if not self._ledger.reserve(watch.name, watch.target.key, today, wanted):
            await self._over_budget(watch, today, wanted)
            return False
        mark = self._ledger.unmarked(watch.target.key, today)
        if mark is not None:
            await self._mark(watch.target.key, today, mark)
        return True

    def _confirmations(self, watch: Watch) -> int:
        """Granted answers that are still to be paid for if the next one is granted."""
        if watch.memory.state is State.AVAILABLE:
            return 1
        streak = watch.memory.streak
        seen = streak.count if streak and streak.effect is Effect.GRANTED else 0
        return max(self._confirmation.confirmations - seen, 1)

    def _kept(self, watch: Watch, diagnosis: Diagnosis) -> float:
        """What stays reserved after the answer: the confirmations that follow a granted one."""
        if diagnosis.code is not Code.ACCESS_GRANTED or watch.memory.state is State.AVAILABLE:
            return 0.0
        return watch.price * (self._confirmations(watch) - 1)

    def _cost(self, watch: Watch, observation: Observation, diagnosis: Diagnosis) -> float:
        billed = bill(self._catalog, watch.target.capability, observation.body)
        if billed is not None:
            billed *= self._routes[watch.target.route].price
        return cost_of(
            diagnosis.code,
            observation.status,
            sent=observation.sent,
            billed=billed,
            price=watch.price,
        )
