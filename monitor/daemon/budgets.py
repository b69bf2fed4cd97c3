"""The budgets over time: spending, durable holds, and the event when a budget is used up."""

import asyncio
from collections.abc import Iterable, Mapping
from datetime import date
from typing import Any

import structlog

from monitor.access.holds import Need, Posting, Reservation
from monitor.access.spending import BudgetLedger
from monitor.access.words import EventKind, Reason
from monitor.config import Settings
from monitor.daemon.changes import Changes
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

#: Seconds after which a command counts as ended; its probes take a few minutes.
_LENT = 900.0

log = structlog.get_logger()


class Budgets:
    """Keeps the ledger and the database in step."""

    def __init__(
        self,
        settings: Settings,
        recorder: Recorder,
        watches: Watches,
        changes: Changes,
        allowance: Mapping[str, float] | None = None,
    ) -> None:
        self._budget = settings.budget
        self.ledger = BudgetLedger(settings.budget, allowance)
        self._recorder = recorder
        self._watches = watches
        self._changes = changes
        #: scopes for which `budget` was told: a key and day, or a month
        self._told: set[str] = set()
        #: holds of commands, each with the loop time by which the command should have ended
        self._lent: list[tuple[float, Reservation]] = []

    def use(self, settings: Settings) -> None:
        """Use the budget of these settings from now on. A changed one is told again when it is used up."""
        if settings.budget != self._budget:
            self._told.clear()
        self._budget = self.ledger.budget = settings.budget
        self._register_all()

    async def load(self, today: date) -> None:
        """Load this month's spending and the holds, once. Holds left by a crash are in doubt."""
        first = today.replace(day=1)
        rows = await self._recorder.spend_since(first)
        settled = {(row.key, row.day): row.settled_usd for row in rows}
        self.ledger.load(settled, await self._recorder.holds())
        told = await self._recorder.facts_since(EventKind.BUDGET, first)
        self._told = {str(facts.get("budget_scope")) for facts in told}
        self._register_all()

    def register(self, watch: Watch) -> None:
        """Register the target with the ledger again: its state, price or cadence may have changed."""
        self.ledger.register(
            watch.account,
            watch.target.key,
            watch.price,
            waiting=watch.waiting,
            every=watch.cadence.full_probe,
        )

    def forget(self, watches: Iterable[Watch]) -> Posting:
        """Remove targets that left the settings. Returns what is to be written of that.

        Their probes under way end normally, and their doubts stay.
        """
        return joined(self.ledger.forget(watch.account) for watch in watches)

    async def write(self, posting: Posting) -> None:
        """Write a posting, before its probe is sent. Raises StoreError."""
        # after the answers that wait to be written: their postings are older
        try:
            await self._recorder.queue.write([Change(posting=posting)], urgent=False)
        except BaseException:
            self.ledger.unwritten(posting)
            raise

    async def tidy(self, today: date) -> None:
        """Release the holds for probes of past days, and drop those days."""
        now = asyncio.get_running_loop().time()
        for _, hold in (lent for lent in self._lent if lent[0] < now):
            self.ledger.doubt(hold)
        self._lent = [lent for lent in self._lent if lent[0] >= now]
        if posting := self.ledger.tidy(today):
            await self.write(posting)

    async def close(self) -> None:
        """Release the holds for later probes. Call it when no probe is in flight."""
        if posting := self.ledger.tidy(None):
            await self.write(posting)

    async def asked(self, item: InboxItem) -> bool:
        """Reserve or book what a command requests; False if the request is for something else.

        A hold that the command leaves behind is in doubt after its time. Raises StoreError.
        """
        if item.kind == RESERVE and (found := wanted_of(item.payload)):
            wanted, day, over = found
            reserved, posting = take(self.ledger, wanted, day, Need.WAITING, over=over)
            change = Change(posting=posting, inbox=item.id, reply=reply_of(reserved))
        elif item.kind == SPEND and (costs := costs_of(item.payload)) is not None:
            reserved = None
            posting = joined(booked(self.ledger, cost) for cost in costs)
            # book and settle in one transaction, so that it is not booked twice
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
        """Tell that no price is left for the target: once a day per key, once a month for all."""
        month = watch.price > self.ledger.left_of_month(today)
        await self._say(watch, today, month=month, more={})

    async def tell_lost(self, watch: Watch, today: date) -> None:
        """Tell that the full probe after an answered listing is in doubt, too."""
        month = watch.price > self.ledger.left_of_month(today)
        await self._say(watch, today, month=month, more={"lost": True})

    async def tell_bounded(self, watch: Watch, day: date, claimed: float, usd: float) -> None:
        """Tell that an answer's usage exceeds what was left; only what was left is booked."""
        log.warning("usage_bounded", target=watch.name, booked_usd=usd)
        # a server's claim may have any number of digits
        facts = {"claimed_usd": min(claimed, 1e12)}
        month = self.ledger.left_of_month(day) < self.ledger.left_of_day(watch.target.key, day)
        await self._say(watch, day, month=month, more=facts)

    async def _say(self, watch: Watch, today: date, *, month: bool, more: dict[str, Any]) -> None:
        key, ledger = watch.target.key, self.ledger
        scope = f"month {today:%Y-%m}" if month else f"key {key} on {today}"
        if scope in self._told:
            return
        # past days and months do not return
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
        await self._changes.tell(EventKind.BUDGET, Reason.BUDGET_EXHAUSTED, facts)

    def _register_all(self) -> None:
        for watch in self._watches:
            self.register(watch)
