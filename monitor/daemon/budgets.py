"""The budgets over time: what was spent, what is held durably, and the event when one is used up."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from datetime import date
from typing import Any

import structlog

from monitor.access.holds import Need, Posting, Reservation
from monitor.access.limits import Budget
from monitor.access.spending import BudgetLedger
from monitor.access.words import EventKind, Reason
from monitor.daemon.watches import Watch, Watches
from monitor.oneshot.booking import (
    RESERVE,
    SPEND,
    booked,
    costs_of,
    joined,
    reply_of,
    take,
    wanted_of,
)
from monitor.store.recorder import Recorder
from monitor.store.records import Change, InboxItem

#: Seconds after which a command counts as ended: its probes take a few minutes.
_LENT = 900.0

log = structlog.get_logger()

Tell = Callable[[EventKind, Reason, dict[str, Any]], Awaitable[None]]


class Budgets:
    """Keeps the ledger and the database in step. `tell` records and tells an event of the monitor."""

    def __init__(
        self,
        recorder: Recorder,
        budget: Budget,
        tell: Tell,
        allowance: Mapping[str, float] | None = None,
    ) -> None:
        self.ledger = BudgetLedger(budget, allowance)
        self._recorder = recorder
        self._budget = budget
        self._tell = tell
        #: scopes of which `budget` was told: of a key and day, or of a month
        self._told: set[str] = set()
        #: what commands hold, and until when (the loop's time) they should have ended
        self._lent: list[tuple[float, Reservation]] = []

    def use(self, budget: Budget) -> None:
        """Use this budget from now on; a changed one is told again when it is used up."""
        if budget != self._budget:
            self._told.clear()
        self._budget = self.ledger.budget = budget

    async def load(self, today: date) -> None:
        """Begin with this month, and with what is still held: after a crash it is in doubt."""
        first = today.replace(day=1)
        rows = await self._recorder.spend_since(first)
        settled = {(row.key, row.day): row.settled_usd for row in rows}
        self.ledger.load(settled, await self._recorder.holds())
        told = await self._recorder.facts_since(EventKind.BUDGET, first)
        self._told = {str(facts.get("budget_scope")) for facts in told}

    def follow(self, watches: Watches) -> None:
        """Register these targets with the ledger."""
        for watch in watches:
            self.stake(watch)

    def stake(self, watch: Watch) -> None:
        """Register the target again: its state, price or cadence may have changed."""
        self.ledger.stake(
            watch.account,
            watch.target.key,
            watch.price,
            waiting=watch.waiting,
            every=watch.cadence.full_probe,
        )

    async def forget(self, watch: Watch) -> None:
        """The target left the settings. A probe of it under way ends by itself, and doubts stay."""
        if posting := self.ledger.forget(watch.account):
            await self._recorder.queue.keep([Change(posting=posting)])

    async def write(self, posting: Posting) -> None:
        """Have it written before a probe leaves. Raises StoreError."""
        # behind the answers that wait to be written: their word on what is held is older
        try:
            await self._recorder.queue.write([Change(posting=posting)], urgent=False)
        except BaseException:
            self.ledger.unwritten(posting)
            raise

    async def tidy(self, today: date) -> None:
        """Give back what was held for probes of days gone by, and forget those days."""
        now = asyncio.get_running_loop().time()
        for _, hold in (lent for lent in self._lent if lent[0] < now):
            self.ledger.doubt(hold)
        self._lent = [lent for lent in self._lent if lent[0] >= now]
        if posting := self.ledger.tidy(today):
            await self.write(posting)

    async def close(self) -> None:
        """Release what is held for later probes: no probe is in flight any more."""
        if posting := self.ledger.tidy(None):
            await self.write(posting)

    async def asked(self, item: InboxItem) -> bool:
        """Hold or book for a command what it asks for; False when it asks for something else.

        What it leaves held is in doubt once it should have ended. Raises StoreError.
        """
        if item.kind == RESERVE and (found := wanted_of(item.payload)):
            wanted, day, over = found
            reserved, posting = take(self.ledger, wanted, day, Need.WAITING, over=over)
            change = Change(posting=posting, inbox=item.id, reply=reply_of(reserved))
        elif item.kind == SPEND and (costs := costs_of(item.payload)) is not None:
            reserved = None
            posting = joined(booked(self.ledger, cost) for cost in costs)
            # booked and settled in one transaction: it must not be booked twice
            change = Change(posting=posting, inbox=item.id)
        else:
            return False
        try:
            await self._recorder.write([change])
        except BaseException:
            self.ledger.unwritten(posting)
            for hold in reserved.holds if reserved else ():
                self.ledger.dropped(hold)
            raise
        if reserved:
            ends = asyncio.get_running_loop().time() + _LENT
            self._lent += [(ends, hold) for hold in reserved.holds]
        return True

    async def tell_exhausted(self, watch: Watch, today: date) -> None:
        """Tell that no price is left for the target: once a day for each key, once a month for all."""
        month = watch.price > self.ledger.left_of_month(today)
        await self._say(watch, today, month=month, more={})

    async def tell_lost(self, watch: Watch, today: date) -> None:
        """Tell that the full probe after an answered listing is in doubt, too."""
        month = watch.price > self.ledger.left_of_month(today)
        await self._say(watch, today, month=month, more={"lost": True})

    async def tell_bounded(self, watch: Watch, day: date, claimed: float, usd: float) -> None:
        """Tell that an answer's usage claimed more than was left: it is booked up to the bound."""
        log.warning("usage_bounded", target=watch.name, booked_usd=usd)
        # what a server claims may have any number of digits
        facts = {"claimed_usd": min(claimed, 1e12)}
        month = self.ledger.left_of_month(day) < self.ledger.left_of_day(watch.target.key, day)
        await self._say(watch, day, month=month, more=facts)

    async def _say(self, watch: Watch, today: date, *, month: bool, more: dict[str, Any]) -> None:
        key, ledger = watch.target.key, self.ledger
        scope = f"month {today:%Y-%m}" if month else f"key {key} on {today}"
        if scope in self._told:
            return
        # what is over cannot come again
        current = (f"month {today:%Y-%m}", f"on {today}")
        self._told = {told for told in self._told if told.endswith(current)} | {scope}
        facts = {
            "budget_scope": scope,
            "budget_usd": self._budget.per_month if month else self._budget.per_key_per_day,
            "spent_usd": ledger.spent_in_month(today) if month else ledger.committed(key, today),
            "doubted_usd": ledger.doubted(watch.account),
            "key": key,
            **more,
        }
        if watch.pool and not month:
            facts["pool"] = watch.pool.name
        await self._tell(EventKind.BUDGET, Reason.BUDGET_EXHAUSTED, facts)
