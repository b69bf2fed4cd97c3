"""The monitor's money over time: what was spent, what is reserved durably, and who is told of its end."""

from collections.abc import Awaitable, Callable, Collection
from datetime import date
from typing import Any

from monitor.access.limits import Budget
from monitor.access.spending import Ledger
from monitor.access.words import EventKind, Reason
from monitor.daemon.backlog import Backlog
from monitor.daemon.watches import Watch
from monitor.store.recorder import Recorder
from monitor.store.records import Change, Spend

Tell = Callable[[EventKind, Reason, dict[str, Any]], Awaitable[None]]


class Treasury:
    """Keeps the ledger and the database in step."""

    def __init__(self, recorder: Recorder, backlog: Backlog, budget: Budget) -> None:
        self.ledger = Ledger(budget)
        self._recorder = recorder
        self._backlog = backlog
        self._budget = budget
        #: scopes of which `budget` was told: of a key and day, or of a month
        self._told: set[str] = set()

    def use(self, budget: Budget) -> None:
        """From here on this budget holds; its end is told anew."""
        if budget != self._budget:
            self._told.clear()
        self._budget = self.ledger.budget = budget

    async def load(self, today: date) -> None:
        """Begin with this month. A mark left by a crash may have been billed: it counts as spent."""
        first = today.replace(day=1)
        rows = await self._recorder.spend_since(first)
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
        self.ledger.load({(row.key, row.day): row.settled_usd + row.reserved_usd for row in rows})
        told = await self._recorder.facts_since(EventKind.BUDGET, first)
        self._told = {str(facts.get("budget_scope")) for facts in told}

    async def mark(self, key: str, day: date, usd: float) -> None:
        """Remember durably what is reserved, before a probe leaves. Raises StoreError."""
        # behind the answers that wait to be written: their word on what is reserved is older
        await self._backlog.insist([Change(spend=Spend(key, day, reserved_usd=usd))])

    async def tidy(self, today: date) -> None:
        """Give the marks of days gone by back, and forget those days."""
        past = [
            (key, day)
            for key, day in self.ledger.marks()
            if day < today and not self.ledger.entry(key, day).reserved
        ]
        await self._unmark(past)
        self.ledger.forget_before(today)

    async def close(self, cut: Collection[tuple[str, date]]) -> None:
        """Nothing is under way any more: what was reserved and not spent is not owed.

        `cut` are the keys and days of probes that were cut off: they may be billed.
        """
        await self._unmark([at for at in self.ledger.marks() if at not in cut])

    async def over_budget(self, watch: Watch, today: date, wanted: float, tell: Tell) -> None:
        """Tell once a day for each key, once a month for all."""
        key, ledger = watch.target.key, self.ledger
        month = ledger.spent_in_month(today) + wanted > self._budget.per_month
        scope = f"month {today:%Y-%m}" if month else f"key {key} on {today}"
        if scope in self._told:
            return
        # what is over cannot come again
        current = (f"month {today:%Y-%m}", f"on {today}")
        self._told = {told for told in self._told if told.endswith(current)} | {scope}
        spent = ledger.spent_in_month(today) if month else ledger.entry(key, today).settled
        facts = {
            "budget_scope": scope,
            "budget_usd": self._budget.per_month if month else self._budget.per_key_per_day,
            "spent_usd": spent,
            "key": key,
        }
        if watch.pool and not month:
            facts["pool"] = watch.pool.name
        await tell(EventKind.BUDGET, Reason.BUDGET_EXHAUSTED, facts)

    async def _unmark(self, places: Collection[tuple[str, date]]) -> None:
        if places:
            # behind the answers that wait, as in `mark`
            await self._backlog.insist(
                [Change(spend=Spend(key, day, reserved_usd=0.0)) for key, day in places]
            )
        for key, day in places:
            self.ledger.marked(key, day, 0.0)
