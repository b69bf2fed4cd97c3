"""Makes the looks: waits for the places a probe needs, reserves its price, sends it, reads the answer."""

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import date

import structlog

from monitor.access.diagnosis import OwnRule
from monitor.access.diagnosis.repeated import Reader
from monitor.access.limits import Cadence, Confirmation
from monitor.access.observation import Diagnosis, Observation
from monitor.access.pacing import Breaker, ImageGap, TokenBucket
from monitor.access.spending import Ledger, cost_of
from monitor.access.words import Code, Effect, Look, State
from monitor.catalog import Catalog, bill
from monitor.config.settings import Route
from monitor.daemon.answers import Result
from monitor.daemon.clock import Clock
from monitor.daemon.schedule import Schedule
from monitor.daemon.watches import Watch, Watches
from monitor.probing import Prober
from monitor.store.errors import StoreError

log = structlog.get_logger()

#: Probes under way over one route: one that hangs must not use up the places of the others.
IN_FLIGHT_PER_ROUTE = 64

#: Seconds until another try when the budget's rest is reserved by others for the moment.
_SOON = 5.0


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
        rules: Sequence[OwnRule],
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
        self._gaps: dict[tuple[str, str], ImageGap] = {}
        self._routes = routes
        self._prober = prober
        self._ledger = ledger
        self._catalog = catalog
        self._confirmation = confirmation
        # when others have reserved what is left of the budget for the moment
        self._soon = min(_SOON, cadence.eager.total_seconds())
        self._reader = Reader(rules)
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

    def succeed(self, old: "Looker") -> None:
        """Go on in the place of another: its probes under way end as they began, its waits hold on."""
        # ruff: noqa: SLF001 - another of this class
        old._stopping = True
        self._tasks, self.cut, self.made = old._tasks, old.cut, old.made
        self._gaps.update(old._gaps)
        for name in self._breakers.keys() & old._breakers.keys():
            self._breakers[name] = old._breakers[name]

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

    async def list_models(self, watch: Watch) -> Observation | None:
        """The model list for the watch's key, at its route's pace; None while the route is held back."""
        route = watch.target.route
        if self._stopping or self._breakers[route].open:
            return None
        now = self._clock.even()
        await asyncio.sleep(self._buckets[route].reserve(now) - now)
        async with self._places[route]:
            return await self._prober.look(watch.credentials, watch.target.capability, Look.FREE)

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
        place = watch.target.route, watch.target.scope
        gap = self._gaps.get(place)
        if gap is None:
            gap = self._gaps[place] = ImageGap(watch.cadence)
        return gap

    async def _make(self, watch: Watch) -> None:
        try:
            structlog.contextvars.bind_contextvars(target=watch.name)  # in this task only
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
        today, credentials = self._clock.now().date(), watch.credentials
        if look is Look.FULL and watch.price > 0:
            wanted = watch.price * self._confirmations(watch)
            if self._ledger.reserve(watch.account, watch.target.key, today, wanted):
                watch.crowded_since = None
            elif self._may_wait(watch, today, wanted):
                self._schedule.in_seconds(watch, self._soon)
                return
            else:
                over, look = True, Look.FREE
                await self._over_budget(watch, today, wanted)
            if look is Look.FULL and not await self._remember(watch.target.key, today):
                # the database refuses what may be owed: until it takes it, only what costs nothing
                self._ledger.release(watch.account)
                look = Look.FREE
        route = watch.target.route
        try:
            async with self._places[route]:
                observation = await self._prober.look(credentials, watch.target.capability, look)
        except asyncio.CancelledError:
            if look is Look.FULL and watch.price > 0:
                # It may have reached the server, and an image that nobody fetched is billed all the
                # same: its mark stays, and counts as spent at the next start.
                self.cut.add((watch.target.key, today))
            raise
        diagnosis = self._reader.read(observation)
        code = diagnosis.code if diagnosis else None
        now = self._clock.even()
        self._breakers[route].answered(watch.target.key, code, now)
        if code and look is Look.FULL and watch.target.capability.surface.makes_images:
            self._gap(watch).answered(code, observation.headers, now)
        cost, charged, reserved = 0.0, None, None
        if look is Look.FULL and watch.price > 0 and diagnosis:
            cost = self._cost(watch, observation, diagnosis)
            charged = self._ledger.book(watch.account, cost, keep=self._kept(watch, diagnosis))
        if charged:
            # written with the answer: what is no longer reserved must not count as spent after a crash
            reserved = self._ledger.lowered(*charged, cost)
            if reserved is not None:
                self._ledger.marked(*charged, reserved)
        # by a reload: what was asked with the old secret says nothing of the new one
        outdated = watch.credentials != credentials
        await self._answered(
            Result(watch, look, observation, diagnosis, cost, charged, reserved, over, outdated)
        )

    def _may_wait(self, watch: Watch, today: date, wanted: float) -> bool:
        """Whether only what others hold for now is in the way; not for longer than it should take them."""
        if not self._ledger.crowded(watch.target.key, today, wanted):
            return False
        now = self._clock.even()
        watch.crowded_since = watch.crowded_since or now
        return now - watch.crowded_since < 2 * watch.cadence.settling.total_seconds()

    async def _remember(self, key: str, today: date) -> bool:
        """Have what is reserved remembered durably before a probe leaves; False when that is refused."""
        mark = self._ledger.unmarked(key, today)
        if mark is None:
            return True
        self._ledger.marked(key, today, mark)
        try:
            await self._mark(key, today, mark)
        except StoreError:
            self._ledger.doubted(key, today)
            return False
        except BaseException:
            self._ledger.doubted(key, today)
            raise
        return True

    def _confirmations(self, watch: Watch) -> int:
        """Granted answers that are still to be paid for if the next one is granted."""
        if watch.memory.state is State.AVAILABLE:
            return 1
        streak = watch.memory.streak
        seen = streak.count if streak and streak.effect is Effect.GRANTED else 0
        return max(self._confirmation.confirmations - seen, 1)

    def _kept(self, watch: Watch, diagnosis: Diagnosis) -> float:
        """What stays reserved after the answer: the confirmations that are still to be paid for."""
        if watch.memory.state is State.AVAILABLE or watch.removed:
            return 0.0
        left = watch.price * self._confirmations(watch)
        if diagnosis.code is Code.ACCESS_GRANTED:
            return left - watch.price
        streak = watch.memory.streak
        settling = streak is not None and streak.effect is Effect.GRANTED
        return left if settling and not diagnosis.effect.conclusive else 0.0

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
