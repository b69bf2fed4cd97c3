"""Makes the probes: waits for the slots of a probe, reserves its price, sends it, reads the answer."""

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date

import structlog

from monitor.access.cadence import next_probe, settles
from monitor.access.diagnosis import OwnRule
from monitor.access.diagnosis.diagnosis_cache import DiagnosisCache
from monitor.access.holds import Need, Reservation, cost_of, fate_of
from monitor.access.limits import Cadence
from monitor.access.observation import Diagnosis, Observation
from monitor.access.pacing import Breaker, ImageGap, TokenBucket
from monitor.access.words import Code, Hold, ProbeKind
from monitor.catalog import Catalog, bill
from monitor.config.settings import Route
from monitor.daemon.budgets import Budgets
from monitor.daemon.clock import Clock
from monitor.daemon.probe_result import ProbeResult
from monitor.daemon.schedule import Schedule
from monitor.daemon.watches import Watch, Watches
from monitor.probing import Prober
from monitor.store.errors import StoreError

log = structlog.get_logger()

#: Most probes under way over one route: a hanging route must not use up the slots of the others.
IN_FLIGHT_PER_ROUTE = 256

#: Codes that do not come from the server, or say that it does not serve at present.
_NOT_HEARD = frozenset((Code.SERVER_ERROR, Code.EDGE_ERROR, Code.NETWORK_ERROR, Code.RATE_LIMITED))

#: Largest factor by which rechecks of open targets are stretched while any budget is left for them.
_STRETCHED_MOST = 1e6

#: Seconds until the next attempt when other probes hold the rest of the budget at present.
_SOON = 5.0

#: For waits of this many seconds or more, `status` says what holds a target back.
_WORTH_TELLING = 10.0


class ProbeRunner:
    """Owns the probes under way. `begin` is called when a target is due, and returns at once."""

    def __init__(
        self,
        *,
        watches: Watches,
        routes: Mapping[str, Route],
        prober: Prober,
        budgets: Budgets,
        catalog: Catalog,
        cadence: Cadence,
        rules: Sequence[OwnRule],
        clock: Clock,
        schedule: Schedule,
        answered: Callable[[ProbeResult], Awaitable[None]],
        held: Callable[[Watch, Hold, float], Awaitable[None]],
    ) -> None:
        keys: dict[str, set[str]] = defaultdict(set)
        for watch in watches:
            keys[watch.target.route].add(watch.target.key)
        self._buckets = {name: TokenBucket(route.rate) for name, route in routes.items()}
        trial = cadence.trial.total_seconds()
        self._breakers = {name: Breaker(len(keys[name]), trial) for name in routes}
        self._slots = {name: asyncio.Semaphore(IN_FLIGHT_PER_ROUTE) for name in routes}
        self._gaps: dict[tuple[str, str], ImageGap] = {}
        self._routes = routes
        self._prober = prober
        self._budgets = budgets
        self._ledger = budgets.ledger
        self._catalog = catalog
        # retry interval while other probes hold the rest of the budget
        self._soon = min(_SOON, cadence.eager.total_seconds())
        self._cache = DiagnosisCache(rules)
        self._clock = clock
        self._schedule = schedule
        self._answered = answered
        self._held = held
        self._tasks: set[asyncio.Task[None]] = set()
        self._stopping = False
        #: number of probes that ended since the start
        self.made = 0

    def take_over(self, old: "ProbeRunner") -> None:
        """Take over from another runner: its probes under way end as they began, and its waits stay."""
        # ruff: noqa: SLF001 - another of this class
        old._stopping = True
        self._tasks, self.made = old._tasks, old.made
        self._gaps.update(old._gaps)
        for name in self._breakers.keys() & old._breakers.keys():
            self._breakers[name] = old._breakers[name]

    async def begin(self, watch: Watch) -> None:
        """Begin a probe of the watch, unless one is under way or a slot is not yet free."""
        if watch.busy or self._stopping:
            return
        wait, hold = self._wait(watch)
        if wait > 0:
            self._schedule.in_seconds(watch, wait)
            if wait >= _WORTH_TELLING:
                await self._held(watch, hold, wait)
            return
        watch.busy = True
        task = asyncio.create_task(self._make(watch), name=f"probe {watch.name}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def list_models(self, watch: Watch) -> Observation | None:
        """The model list of the watch's key, at its route's pace; None while the route is held back."""
        route = watch.target.route
        if self._stopping or self._breakers[route].open:
            return None
        now = self._clock.even()
        await asyncio.sleep(self._buckets[route].reserve(now) - now)
        async with self._slots[route]:
            return await self._prober.probe(
                watch.credentials, watch.target.capability, ProbeKind.LISTING
            )

    async def drain(self, seconds: float) -> None:
        """Begin no more probes. Wait up to `seconds` for those under way, then cancel them."""
        self._stopping = True
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=seconds)
        cut = list(self._tasks)
        for task in cut:
            task.cancel()
        await asyncio.gather(*cut, return_exceptions=True)

    def _wait(self, watch: Watch) -> tuple[float, Hold]:
        """Seconds until the probe may be sent, and what it waits for. At 0 its slots are taken."""
        now = self._clock.even()
        route = watch.target.route
        breaker = self._breakers[route]
        at = breaker.ready_at(now)
        if at > now:
            return at - now, Hold.BREAKER
        gap = None
        if watch.kind is ProbeKind.FULL and watch.target.capability.surface.makes_images:
            gap = self._gap(watch)
            first = settles(watch.memory)
            if not gap.holds(watch.gap_slot):
                watch.gap_slot = gap.reserve(now, first=first)
            if watch.gap_slot and watch.gap_slot.at > now:
                return watch.gap_slot.at - now, watch.gap_slot.held_by
        if watch.bucket_slot is None:
            watch.bucket_slot = self._buckets[route].reserve(now)
        if watch.bucket_slot > now:
            return watch.bucket_slot - now, Hold.RATE
        watch.gap_slot = watch.bucket_slot = None
        breaker.sent(now)
        if gap:
            gap.sent(now)
        return 0.0, Hold.RATE

    def _gap(self, watch: Watch) -> ImageGap:
        place = watch.target.route, watch.target.scope
        gap = self._gaps.get(place)
        if gap is None:
            gap = self._gaps[place] = ImageGap(watch.cadence)
        return gap

    async def _make(self, watch: Watch) -> None:
        try:
            structlog.contextvars.bind_contextvars(target=watch.name)  # in this task only
            await self._probe(watch)
        except asyncio.CancelledError:
            raise
        except Exception:
            # One target's failure must not stop the others, nor cancel its own next probe.
            log.exception("probe_failed", target=watch.name)
            if not self._stopping and not self._schedule.holds(watch):
                failed = replace(watch.memory, setbacks=watch.memory.setbacks + 1)
                now = self._clock.now()
                plan = next_probe(
                    failed, now, watch.cadence, phase=watch.phase, shutdown=watch.shutdown
                )
                self._schedule.at(watch, plan.at)
        finally:
            watch.busy = False
            self.made += 1

    async def _probe(self, watch: Watch) -> None:
        paying = _Paying(watch.kind)
        if watch.kind is ProbeKind.FULL and watch.price > 0:
            found = await self._pay(watch)
            if found is None:  # other probes hold the rest of the budget at present
                self._schedule.in_seconds(watch, self._soon)
                return
            paying = found
        kind, credentials = paying.kind, watch.credentials
        try:
            async with self._slots[watch.target.route]:
                asked_at = self._clock.even()
                observation = await self._prober.probe(
                    credentials, watch.target.capability, kind,
                    deadline=self._routes[watch.target.route].deadline if kind is ProbeKind.FULL else None,
                )  # fmt: skip
        except BaseException:
            # The request may have reached the server, and an image is billed even if nobody fetches it.
            if paying.hold:
                self._ledger.doubt(paying.hold)
            raise
        result, claimed = self._evaluated(watch, paying, observation, asked_at)
        # after a reload: an answer to the old secret says nothing about the new one
        if watch.credentials != credentials:
            result = replace(result, outdated=True)
        try:
            await self._answered(result)
        except Exception:
            log.exception("answer_not_taken", target=watch.name)
            await self._answered(replace(result, diagnosis=_not_evaluated(observation)))
        await self._tell_of(watch, paying, result, claimed)

    async def _pay(self, watch: Watch) -> "_Paying | None":
        """Reserve the price of a full probe durably, or make it a listing; None if it should wait."""
        today, ledger = self._clock.now().date(), self._ledger
        self._budgets.register(watch)
        if not watch.waiting and self._stretched(watch):
            return _Paying(ProbeKind.LISTING)
        need = self._need(watch, today)
        if need is None:
            watch.crowded_since = None
            watch.blind = watch.waiting
            if not ledger.has_room(
                watch.target.key, today, watch.price, Need.ANSWERED, in_time=True
            ):
                await self._budgets.tell_exhausted(watch, today)
            return _Paying(ProbeKind.LISTING, over=True)
        found = ledger.reserve(watch.account, watch.target.key, today, watch.price, need)
        if found is None:
            return None
        watch.crowded_since = None
        hold, posting = found
        if posting:
            try:
                await self._budgets.write(posting)
            except StoreError:
                # the database refuses the reservation: until it accepts one, send only free listings
                ledger.dropped(hold)
                return _Paying(ProbeKind.LISTING)
            except BaseException:
                ledger.dropped(hold)
                raise
        watch.blind = False
        return _Paying(ProbeKind.FULL, hold, tries=need is Need.ANSWERED)

    def _need(self, watch: Watch, today: date) -> Need | None:
        """The need for which the probe may use the budget now or soon; None for a listing instead."""
        key, price = watch.target.key, watch.price
        need = Need.WAITING if watch.waiting else Need.RECHECK
        if self._ledger.has_room(key, today, price, need):
            return need
        if self._ledger.has_room(key, today, price, need, in_time=True) and self._may_wait(watch):
            return need
        return Need.ANSWERED if watch.waiting and watch.heard and self._may_try(watch) else None

    def _may_try(self, watch: Watch) -> bool:
        """Whether the last of the budget may be used, now that the server has answered."""
        today = self._clock.now().date()
        return self._clock.even() >= watch.kept_until and self._ledger.has_room(
            watch.target.key, today, watch.price, Need.ANSWERED
        )

    def _stretched(self, watch: Watch) -> bool:
        """Whether the recheck of an open target is delayed so that the month's budget lasts."""
        memory, now = watch.memory, self._clock.now()
        if memory.last_full is not Code.ACCESS_GRANTED or memory.last_full_at is None:
            return False
        return now - memory.last_full_at < watch.cadence.full_probe * min(
            self._ledger.stretch(now), _STRETCHED_MOST
        )

    def _may_wait(self, watch: Watch) -> bool:
        """Whether to wait for budget that other probes hold; at most as long as these should take."""
        now = self._clock.even()
        watch.crowded_since = watch.crowded_since or now
        return now - watch.crowded_since < 2 * watch.cadence.settling.total_seconds()

    def _evaluated(
        self, watch: Watch, paying: "_Paying", observation: Observation, asked_at: float
    ) -> tuple[ProbeResult, float]:
        """The result of an answer, and its claimed cost if that exceeds what was left (else 0).

        If anything fails, the answer is still recorded, its hold is in doubt, and the cadence decides the
        time of the next probe.
        """
        kind, hold, route = paying.kind, paying.hold, watch.target.route
        diagnosis: Diagnosis | None
        cost: float | None = None
        try:
            diagnosis = self._cache.read(observation)
            code, now = diagnosis.code if diagnosis else None, self._clock.even()
            self._breakers[route].answered(watch.target.key, code, now)
            if code and kind is ProbeKind.FULL and watch.target.capability.surface.makes_images:
                self._gap(watch).answered(code, observation.headers, now)
            if hold and diagnosis:
                cost = self._cost(watch, observation, diagnosis)
        except Exception:
            log.exception("answer_not_evaluated", target=watch.name)
            diagnosis, cost = _not_evaluated(observation), None
        code = diagnosis.code if diagnosis else None
        watch.heard = code not in _NOT_HEARD and (observation.status or 500) < 500
        brings = paying.over and watch.waiting and watch.heard and self._may_try(watch)
        if not hold or not code:
            return ProbeResult(
                watch, kind, observation, diagnosis, over_budget=paying.over, brings=brings,
                asked_at=asked_at,
            ), 0.0  # fmt: skip
        if cost is None:
            watch.heard = False
        fate = fate_of(code, granted_before=watch.memory.granted_seen)
        settled = self._ledger.settle(
            hold, cost, fate, again=not watch.removed, estimated=watch.estimated
        )
        result = ProbeResult(
            watch, kind, observation, diagnosis, settled.usd, settled.posting, asked_at=asked_at
        )
        return result, (cost or 0.0) if settled.cut else 0.0

    async def _tell_of(
        self, watch: Watch, paying: "_Paying", result: ProbeResult, claimed: float
    ) -> None:
        hold = paying.hold
        if hold and claimed:
            await self._budgets.tell_bounded(watch, hold.day, claimed, result.cost)
        if hold and paying.tries and self._ledger.is_doubted(hold):
            # keep the rest for a while: a fault that loses probes seldom ends at once
            watch.kept_until = self._clock.even() + watch.cadence.eager_for.total_seconds()
            await self._budgets.tell_lost(watch, hold.day)

    def _cost(self, watch: Watch, observation: Observation, diagnosis: Diagnosis) -> float | None:
        # only successes have a usage, and searching for one takes as long as reading the answer
        succeeded = 200 <= (observation.status or 0) < 300
        billed = (
            bill(self._catalog, watch.target.capability, observation.body) if succeeded else None
        )
        if billed is not None:
            billed *= self._routes[watch.target.route].price
        return cost_of(
            diagnosis.code,
            observation.status,
            sent=observation.sent,
            billed=billed,
            price=watch.price,
        )


@dataclass(frozen=True, slots=True)
class _Paying:
    """How a probe is made and paid for."""

    kind: ProbeKind
    hold: Reservation | None = None
    #: a listing, because the budget had no room
    over: bool = False
    #: a full probe with the last of the budget, because the server has answered
    tries: bool = False


def _not_evaluated(observation: Observation) -> Diagnosis:
    code = Code.UNRECOGNIZED
    return Diagnosis(code, code.owner, "not_evaluated", status=observation.status)
