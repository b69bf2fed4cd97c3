"""What a probe may cost, before it is sent, and what it did cost, afterwards; the budgets over time."""

import asyncio
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import InitVar, dataclass
from datetime import date, timedelta
from typing import Any

import structlog

from monitor.access.cadence import listed_since_blocked
from monitor.access.holds import Need, Posting, Reservation, fate_of
from monitor.access.limits import Budget
from monitor.access.spending import BudgetLedger
from monitor.access.words import Code, EventKind, ProbeKind, Reason
from monitor.config import Settings
from monitor.config.settings import Route
from monitor.daemon.changes import Changes
from monitor.daemon.clock import Clock
from monitor.daemon.probe import Probe
from monitor.daemon.watches import Watch, Watches
from monitor.oneshot.booking import (
    RESERVE,
    SPEND,
    Reserved,
    booked,
    costs_of,
    joined,
    reply_of,
    take,
    wanted_of,
)
from monitor.oneshot.probe_once import cost_by_answer
from monitor.store.errors import OverMonthError, StoreError, UnansweredError
from monitor.store.recorder import Recorder
from monitor.store.records import Change, InboxItem

log = structlog.get_logger()

#: Seconds after which a command counts as ended; its probes take a few minutes.
_LENT = 900.0

#: Largest factor by which rechecks of open targets are stretched while any budget is left for them.
_STRETCHED_MOST = 1e6

#: Seconds until the next attempt when other probes hold the rest of the budget at present.
_SOON = 5.0


@dataclass(eq=False)
class Payments:
    """Reserves the prices of full probes, settles them, and keeps the ledger and the database in step.

    `allowance` is what each key may spend in total, for a monitor beside the daemon. `soon` is the wait
    for budget, in seconds.
    """

    recorder: Recorder
    watches: Watches
    changes: Changes
    clock: Clock
    allowance: InitVar[Mapping[str, float] | None] = None

    def __post_init__(self, allowance: Mapping[str, float] | None) -> None:
        self._ledger = BudgetLedger(Budget(), allowance)
        #: scopes for which `budget` was told: a key and day, or a month
        self._told: set[str] = set()
        #: holds of commands, each with the loop time by which the command should have ended
        self._lent: list[tuple[float, Reservation]] = []
        if self.recorder.fleet:
            self._ledger.first_id = self.recorder.fleet.first_hold

    def use(self, settings: Settings) -> None:
        """Use these figures from now on. A changed budget is told again when it is used up."""
        if settings.budget != self._ledger.budget:
            self._told.clear()
        self._ledger.budget, self._ledger.workers = settings.budget, settings.workers
        self._catalog = settings.catalog
        self.soon = min(_SOON, settings.cadence.eager.total_seconds())
        for watch in self.watches:
            self._register(watch)

    async def load(self, today: date) -> None:
        """Load the month's spending and the holds, once. Holds left by a crash are in doubt."""
        (await self.take_over(None, today))()
        await self._read_told(today)

    async def take_over(self, keys: Collection[str] | None, today: date) -> Callable[[], None]:
        """Read what is booked and held for keys that come from another worker, or for all.

        Their holds are in doubt. Call what it returns once they are this worker's; it takes no time.
        """
        # of yesterday's month, too: the clock may be set back over midnight
        first = (today - timedelta(days=1)).replace(day=1)
        rows = await self.recorder.spend_since(first, keys)
        holds = await self.recorder.holds(keys)
        settled = {(row.key, row.day): row.settled_usd for row in rows}
        return lambda: self._ledger.load(settled, holds)

    def leave(self, keys: Collection[str]) -> None:
        """These keys are another worker's from now on."""
        self._ledger.leave(keys)
        self._lent = [lent for lent in self._lent if lent[1].key not in keys]

    def know_month(self, today: date, usd: float) -> None:
        """All workers together have booked and held so much this month."""
        self._ledger.know_month(today, usd)

    async def reserve(self, watch: Watch) -> Probe | None:
        """The next probe of the watch, its price reserved durably; None if it should wait.

        Without room in the budget it is a listing.
        """
        asked, watch.asked = watch.asked or watch.untried, False
        if asked:
            watch.kind = ProbeKind.FULL
        if watch.kind is not ProbeKind.FULL or watch.price <= 0:
            return Probe(watch, watch.kind)
        if self.recorder.fleet and not self.recorder.fleet.holds_lease:
            # another worker may have the target, and spend its budget
            return Probe(watch, ProbeKind.LISTING)
        today, ledger = self.clock.now().date(), self._ledger
        self._register(watch)
        if not watch.waiting and not asked and self._stretched(watch):
            return Probe(watch, ProbeKind.LISTING)
        need = self._need(watch, today)
        if need is None:
            watch.no_room_since = None
            if not ledger.has_room(
                watch.target.key, today, watch.price, Need.ANSWERED, in_time=True
            ):
                await self._tell(watch, today, month=watch.price > ledger.left_of_month(today))
            return Probe(watch, ProbeKind.LISTING, over_budget=True)
        found = ledger.reserve(watch.account, watch.target.key, today, watch.price, need)
        if found is None:
            watch.asked = asked
            return None
        watch.no_room_since = None
        hold, posting = found
        if posting:
            try:
                await self._write(posting)
            except StoreError as error:
                # the database refuses the reservation: until it accepts one, send only free listings
                ledger.dropped(hold)
                spent = isinstance(error, OverMonthError)
                return Probe(watch, ProbeKind.LISTING, over_budget=spent)
            except BaseException:
                ledger.dropped(hold)
                raise
        return Probe(watch, ProbeKind.FULL, hold, tries=need is Need.ANSWERED)

    def unanswered(self, probe: Probe, *, left: bool) -> None:
        """A request that left may have reached the server: an image is billed even if nobody fetches it."""
        if probe.hold and left:
            self._ledger.doubt(probe.hold)
        elif probe.hold:
            self._ledger.dropped(probe.hold)

    def cost(self, probe: Probe, route: Route) -> float | None:
        """What a full probe cost by its answer, in US dollars; None if that is in doubt."""
        watch, code = probe.watch, probe.code
        if not probe.hold or not code:
            return None
        return cost_by_answer(
            self._catalog,
            route,
            watch.target.capability,
            probe.observation,
            code=code,
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
        """Tell when the answer claims more than was left, or when the last of the budget is in doubt.

        Only what was left is booked.
        """
        watch, hold, ledger = probe.watch, probe.hold, self._ledger
        if hold and probe.claimed:
            log.warning("usage_bounded", target=watch.name, booked_usd=probe.cost)
            left = ledger.left_of_day(watch.target.key, hold.day)
            month = ledger.left_of_month(hold.day) < left
            # a server's claim may have any number of digits
            await self._tell(watch, hold.day, month=month, claimed_usd=min(probe.claimed, 1e12))
        if hold and probe.tries and ledger.is_doubted(hold):
            # keep the rest for a while: a fault that loses probes seldom ends at once
            watch.kept_until = self.clock.even() + watch.cadence.eager_for.total_seconds()
            month = watch.price > ledger.left_of_month(hold.day)
            await self._tell(watch, hold.day, month=month, lost=True)

    def forget(self, watches: Iterable[Watch]) -> Posting:
        """Remove targets that left the settings. Returns what is to be written of that.

        Their probes under way end normally, and their doubts stay.
        """
        return joined(self._ledger.forget(watch.account) for watch in watches)

    async def tidy(self, today: date) -> None:
        """Release the holds for probes of past days, and drop the days before yesterday."""
        now = asyncio.get_running_loop().time()
        for _, hold in (lent for lent in self._lent if lent[0] < now):
            self._ledger.doubt(hold)
        self._lent = [lent for lent in self._lent if lent[0] >= now]
        if posting := self._ledger.tidy(today):
            await self._write(posting)

    def close(self) -> Posting:
        """Release the holds for later probes. Returns what is to be written of that.

        Call it when no probe is in flight.
        """
        return self._ledger.tidy(None)

    async def asked(self, item: InboxItem) -> bool:
        """Reserve or book what a command requests; False if the request is for something else.

        A hold that the command leaves behind is in doubt after its time. Raises StoreError.
        """
        if item.kind == RESERVE and (found := wanted_of(item.payload)):
            wanted, day, over = found
            reserved, posting = take(self._ledger, wanted, day, Need.WAITING, over=over)
            change = Change(posting=posting, inbox=item.id, reply=reply_of(reserved))
        elif item.kind == SPEND and (costs := costs_of(item.payload)) is not None:
            reserved = None
            posting = joined(booked(self._ledger, cost) for cost in costs)
            # book and settle in one transaction, so that it is not booked twice
            change = Change(posting=posting, inbox=item.id)
        else:
            return False
        try:
            await self.recorder.write([change])
        except UnansweredError:
            # the command may have the money; if not, it is asked for again, and held twice for a while
            if reserved:
                self._lend(reserved)
            raise
        except BaseException as error:
            self._ledger.unwritten(posting)
            for hold in reserved.holds if reserved else ():
                self._ledger.dropped(hold)
            if isinstance(error, OverMonthError):
                return True  # the next beat knows what is left, and answers
            raise
        if reserved:
            self._lend(reserved)
        return True

    def _lend(self, reserved: Reserved) -> None:
        ends = asyncio.get_running_loop().time() + _LENT
        self._lent += [(ends, hold) for hold in reserved.holds]

    def _register(self, watch: Watch) -> None:
        """Register the target with the ledger again: its state, price or cadence may have changed."""
        self._ledger.register(
            watch.account,
            watch.target.key,
            watch.price,
            waiting=watch.waiting,
            every=watch.cadence.full_probe,
        )

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
        if listed_since_blocked(memory):  # only a full probe ends the blocker
            return False
        return now - memory.last_full_at < watch.cadence.full_probe * min(
            self._ledger.stretch(now), _STRETCHED_MOST
        )

    def _may_wait(self, watch: Watch) -> bool:
        """Whether to wait for budget that other probes hold; at most as long as these should take."""
        now = self.clock.even()
        watch.no_room_since = watch.no_room_since or now
        return now - watch.no_room_since < 2 * watch.cadence.settling.total_seconds()

    async def _write(self, posting: Posting) -> None:
        """Write a posting, before its probe is sent. Raises StoreError."""
        # after the answers that wait to be written: their postings are older
        try:
            await self.recorder.queue.write([Change(posting=posting)], urgent=False)
        except BaseException:
            self._ledger.unwritten(posting)
            raise

    async def _read_told(self, today: date) -> None:
        told = await self.recorder.facts_since(EventKind.BUDGET, today.replace(day=1))
        self._told |= {str(facts.get("budget_scope")) for facts in told}

    async def _tell(self, watch: Watch, today: date, *, month: bool, **more: Any) -> None:
        """Tell that too little is left of the `month` for all, or of the day for the key; each once."""
        key, ledger = watch.target.key, self._ledger
        scope = f"month {today:%Y-%m}" if month else f"key {key} on {today}"
        if self.recorder.fleet and scope not in self._told:
            await self._read_told(today)
        if scope in self._told:
            return
        # past days and months do not return
        current = (f"month {today:%Y-%m}", f"on {today}")
        self._told = {told for told in self._told if told.endswith(current)} | {scope}
        facts = {
            "budget_scope": scope,
            "budget_usd": ledger.budget.per_month if month else ledger.budget.per_key_per_day,
            "spent_usd": ledger.spent_in_month(today) if month else ledger.committed(key, today),
            "doubted_usd": ledger.doubted(watch.account),
            "key": key,
            **more,
        }
        if watch.pool and not month:
            facts["pool"] = watch.pool.name
        of_key = [one for one in self.watches if one.target.key == key] or [watch]
        concerned = () if month else of_key
        await self.changes.tell(EventKind.BUDGET, Reason.BUDGET_EXHAUSTED, facts, concerned)
