"""What a probe may cost, before it is sent, and what it did cost, afterwards."""

from dataclasses import InitVar, dataclass
from datetime import date

from monitor.access.holds import Need, cost_of, fate_of
from monitor.access.words import Code, ProbeKind
from monitor.catalog import bill
from monitor.config import Settings
from monitor.config.settings import Route
from monitor.daemon.budgets import Budgets
from monitor.daemon.clock import Clock
from monitor.daemon.probe import Probe
from monitor.daemon.watches import Watch
from monitor.store.errors import StoreError

#: Largest factor by which rechecks of open targets are stretched while any budget is left for them.
_STRETCHED_MOST = 1e6

#: Seconds until the next attempt when other probes hold the rest of the budget at present.
_SOON = 5.0


@dataclass(eq=False)
class Payments:
    """Reserves the prices of full probes and settles them. `soon` is the wait for budget, in seconds."""

    settings: InitVar[Settings]
    budgets: Budgets
    clock: Clock

    def __post_init__(self, settings: Settings) -> None:
        self._ledger = self.budgets.ledger
        self.use(settings)

    def use(self, settings: Settings) -> None:
        """Use the prices and the cadence of these settings from now on."""
        self._catalog = settings.catalog
        self.soon = min(_SOON, settings.cadence.eager.total_seconds())

    async def reserve(self, watch: Watch) -> Probe | None:
        """The next probe of the watch, its price reserved durably; None if it should wait.

        Without room in the budget it is a listing.
        """
        if watch.kind is not ProbeKind.FULL or watch.price <= 0:
            return Probe(watch, watch.kind)
        today, ledger = self.clock.now().date(), self._ledger
        self.budgets.register(watch)
        if not watch.waiting and self._stretched(watch):
            return Probe(watch, ProbeKind.LISTING)
        need = self._need(watch, today)
        if need is None:
            watch.no_room_since = None
            watch.blind = watch.waiting
            if not ledger.has_room(
                watch.target.key, today, watch.price, Need.ANSWERED, in_time=True
            ):
                await self.budgets.tell_exhausted(watch, today)
            return Probe(watch, ProbeKind.LISTING, over_budget=True)
        found = ledger.reserve(watch.account, watch.target.key, today, watch.price, need)
        if found is None:
            return None
        watch.no_room_since = None
        hold, posting = found
        if posting:
            try:
                await self.budgets.write(posting)
            except StoreError:
                # the database refuses the reservation: until it accepts one, send only free listings
                ledger.dropped(hold)
                return Probe(watch, ProbeKind.LISTING)
            except BaseException:
                ledger.dropped(hold)
                raise
        watch.blind = False
        return Probe(watch, ProbeKind.FULL, hold, tries=need is Need.ANSWERED)

    def doubt(self, probe: Probe) -> None:
        """The request may have reached the server, and an image is billed even if nobody fetches it."""
        if probe.hold:
            self._ledger.doubt(probe.hold)

    def cost(self, probe: Probe, route: Route) -> float | None:
        """What a full probe cost by its answer, in US dollars; None if that is in doubt."""
        watch, observation = probe.watch, probe.observation
        if not probe.hold or not probe.diagnosis:
            return None
        # only successes have a usage, and searching for one takes as long as reading the answer
        succeeded = 200 <= (observation.status or 0) < 300
        billed = (
            bill(self._catalog, watch.target.capability, observation.body) if succeeded else None
        )
        if billed is not None:
            billed *= route.price
        return cost_of(
            probe.diagnosis.code,
            observation.status,
            sent=observation.sent,
            billed=billed,
            price=watch.price,
        )

    def settle(self, probe: Probe, cost: float | None) -> None:
        """Replace the reservation by what the answer cost; None leaves it in doubt."""
        watch = probe.watch
        if not probe.hold or not probe.code:
            return
        fate = fate_of(probe.code, granted_before=watch.memory.granted_seen)
        settled = self._ledger.settle(
            probe.hold, cost, fate, again=not watch.removed, estimated=watch.estimated
        )
        probe.cost, probe.posting = settled.usd, settled.posting
        probe.claimed = (cost or 0.0) if settled.cut else 0.0

    def may_try(self, watch: Watch) -> bool:
        """Whether the last of the budget may be used, now that the server has answered."""
        today = self.clock.now().date()
        return self.clock.even() >= watch.kept_until and self._ledger.has_room(
            watch.target.key, today, watch.price, Need.ANSWERED
        )

    async def tell_of(self, probe: Probe) -> None:
        """Tell when the answer claims more than was left, or when the last of the budget is in doubt."""
        watch, hold = probe.watch, probe.hold
        if hold and probe.claimed:
            await self.budgets.tell_bounded(watch, hold.day, probe.claimed, probe.cost)
        if hold and probe.tries and self._ledger.is_doubted(hold):
            # keep the rest for a while: a fault that loses probes seldom ends at once
            watch.kept_until = self.clock.even() + watch.cadence.eager_for.total_seconds()
            await self.budgets.tell_lost(watch, hold.day)

    def _need(self, watch: Watch, today: date) -> Need | None:
        """The need for which the probe may use the budget now or soon; None for a listing instead."""
        key, price = watch.target.key, watch.price
        need = Need.WAITING if watch.waiting else Need.RECHECK
        if self._ledger.has_room(key, today, price, need):
            return need
        if self._ledger.has_room(key, today, price, need, in_time=True) and self._may_wait(watch):
            return need
        return Need.ANSWERED if watch.waiting and watch.heard and self.may_try(watch) else None

    def _stretched(self, watch: Watch) -> bool:
        """Whether the recheck of an open target is delayed so that the month's budget lasts."""
        memory, now = watch.memory, self.clock.now()
        if memory.last_full is not Code.ACCESS_GRANTED or memory.last_full_at is None:
            return False
        return now - memory.last_full_at < watch.cadence.full_probe * min(
            self._ledger.stretch(now), _STRETCHED_MOST
        )

    def _may_wait(self, watch: Watch) -> bool:
        """Whether to wait for budget that other probes hold; at most as long as these should take."""
        now = self.clock.even()
        watch.no_room_since = watch.no_room_since or now
        return now - watch.no_room_since < 2 * watch.cadence.settling.total_seconds()
