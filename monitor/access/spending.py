"""What probes cost: reserved before they are sent, booked or given back after they are answered.

While the gate is shut a probe costs nothing, but nobody knows that beforehand: each full probe may be
billed. So its open price is *held* before it leaves, and the hold is durable: a row of target, key,
day and price that the next start reads. A hold is in one of three conditions, and none of them needs a
write of its own:

- *in flight*: a probe is under way on it;
- *idle*: the last probe cost nothing; the hold stays for the next one, until another needs the room;
- *a doubt*: the probe may have been billed, and nobody said so. After a restart each hold that is left
  is one. It stays, on the day and month in which its probe was sent, until the next conclusive answer
  of its target: refused before any granted answer, it is given back; otherwise it is booked.

Invariants, in this order (a test plays random steps against a model of them):

1. What is booked and held never exceeds a key's day nor the month, but by what is taken `over` them.
2. While a target waits, doubts leave two prices of its key's day, but for a probe that an answered
   listing brought (`Need.ANSWERED`); and of the month two prices of each that waits, at most a half.
3. Rechecks of open targets leave three prices of the same, of the month at most three quarters, and
   are stretched so that what is left lasts until the month ends.

Money is in US dollars, days and months are UTC. Pure: no clock, no database.
"""

from collections import OrderedDict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import TypeVar

from monitor.access.holds import NOTHING, Fate, Need, Posting, Reservation, Settled, Spend
from monitor.access.limits import Budget

_ROUNDING = 1e-9

_At = TypeVar("_At")


@dataclass(frozen=True, slots=True)
class _Spender:
    key: str
    price: float
    waiting: bool
    #: dollars a second that its rechecks cost
    rate: float


@dataclass(slots=True)
class BudgetLedger:
    """Spending by key and day, and what is held.

    `allowance` is for a monitor beside the daemon: what each key may spend in all, whatever the day.
    """

    budget: Budget
    allowance: Mapping[str, float] | None = None
    #: so many share the month; each counts its own targets only
    workers: int = 1
    #: new holds have numbers above this; None for those above the loaded ones
    first_id: int | None = None
    #: booked and held
    _days: dict[tuple[str, date], float] = field(default_factory=dict)
    _months: dict[tuple[int, int], float] = field(default_factory=dict)
    _in_flight: dict[int, Reservation] = field(default_factory=dict)
    _idle: OrderedDict[str, Reservation] = field(default_factory=OrderedDict)
    _idle_months: dict[tuple[int, int], float] = field(default_factory=dict)
    _doubts: dict[str, list[Reservation]] = field(default_factory=dict)
    _spenders: dict[str, _Spender] = field(default_factory=dict)
    _by_key: dict[str, set[str]] = field(default_factory=dict)
    _waiting: float = 0.0
    _rate: float = 0.0
    _last_id: int = 0
    #: held no more, and to be written with what is written next
    _freed: list[int] = field(default_factory=list)

    def load(
        self, settled: Mapping[tuple[str, date], float], holds: Iterable[Reservation] = ()
    ) -> None:
        """Begin with what earlier runs booked, and with what they left held: that is in doubt."""
        for (key, day), usd in settled.items():
            self._add(key, day, usd)
        for hold in holds:
            if self.first_id is None:
                self._last_id = max(self._last_id, hold.id)
            self._add(hold.key, hold.day, hold.usd)
            self._doubts.setdefault(hold.account, []).append(hold)

    def leave(self, keys: Collection[str]) -> None:
        """Other workers have these keys from now on, with what is booked, held and in doubt for them."""
        self._days = {at: usd for at, usd in self._days.items() if at[0] not in keys}
        self._in_flight = {id_: one for id_, one in self._in_flight.items() if one.key not in keys}
        doubts = {
            account: [hold for hold in holds if hold.key not in keys]
            for account, holds in self._doubts.items()
        }
        self._doubts = {account: holds for account, holds in doubts.items() if holds}

    def know_month(self, day: date, usd: float) -> None:
        """All workers together have booked and held so much in the month of that day."""
        self._months[_month(day)] = usd

    # --- who spends the budget ---

    def register(
        self, account: str, key: str, price: float, *, waiting: bool, every: timedelta
    ) -> None:
        """A target is under watch: it waits for its opening, or is open and rechecked `every` so often."""
        rate = 0.0 if waiting else price / max(every.total_seconds(), 1e-3)
        new = _Spender(key, price, waiting, rate)
        if price <= 0 or self._spenders.get(account) == new:
            return
        self._unregister(account)
        self._spenders[account] = new
        self._by_key.setdefault(key, set()).add(account)
        self._waiting += price if waiting else 0.0
        self._rate += rate

    def forget(self, account: str) -> Posting:
        """A target is no longer under watch. Its doubts stay."""
        self._unregister(account)
        self._release(account)
        return self.posting()

    # --- before a probe ---

    def reserve(
        self, account: str, key: str, day: date, usd: float, need: Need
    ) -> tuple[Reservation, Posting] | None:
        """Hold `usd` for a probe that is about to leave; None when the budgets have no room for it.

        The posting must be written before the probe leaves. It is empty where an idle hold serves.
        """
        if not self.has_room(key, day, usd, need):
            return None
        own = self._idle.get(account)
        if own and own.day == day and own.usd >= usd:
            del self._idle[account]
            self._count_idle(own, -own.usd)
            self._in_flight[own.id] = own
            return own, NOTHING
        self._release(account)
        self._make_room(key, day, usd)
        hold = self.hold(account, key, day, usd)
        return hold, self.posting(held=(hold,))

    def hold(self, account: str, key: str, day: date, usd: float) -> Reservation:
        """Hold `usd` whether there is room or not; for who was told to go `over` the budget."""
        self._last_id = max(self._last_id, self.first_id or 0) + 1
        hold = Reservation(self._last_id, account, key, day, usd)
        self._add(key, day, usd)
        self._in_flight[hold.id] = hold
        return hold

    def has_room(
        self, key: str, day: date, usd: float, need: Need, *, in_time: bool = False
    ) -> bool:
        """Whether `usd` would be held now, or else `in_time`: once the probes under way are answered."""
        return (
            usd <= self.left_of_day(key, day, need, in_time=in_time) + _ROUNDING
            and usd <= self.left_of_month(day, need, in_time=in_time) + _ROUNDING
        )

    def left_of_day(
        self,
        key: str,
        day: date,
        need: Need = Need.ANSWERED,
        *,
        in_time: bool = False,
        idle: bool = True,
    ) -> float:
        """What a probe with this need may cost by the key's day, with what is `idle` or without."""
        if self.allowance is None:
            left = self.budget.per_key_per_day - self.committed(key, day)
        else:
            spent = sum(usd for (name, _), usd in self._days.items() if name == key)
            left = self.allowance.get(key, 0.0) - spent
        if idle:
            left += self._idle_on(key, day)
        if in_time:
            left += sum(h.usd for h in self._in_flight.values() if (h.key, h.day) == (key, day))
        spenders = [self._spenders[account] for account in self._by_key.get(key, ())]
        dearest = max([one.price for one in spenders if one.waiting], default=0.0)
        return left - need.prices * dearest

    def left_of_month(
        self, day: date, need: Need = Need.ANSWERED, *, in_time: bool = False, idle: bool = True
    ) -> float:
        """What a probe with this need may cost by the month, with what is `idle` or without."""
        most = self.budget.per_month
        left = most - self.spent_in_month(day)
        if idle:
            left += self._idle_months.get(_month(day), 0.0)
        if in_time:
            left += sum(h.usd for h in self._in_flight.values() if _month(h.day) == _month(day))
        return left - min(need.prices * self._waiting * self.workers, need.share * most)

    def stretch(self, now: datetime) -> float:
        """By how much rechecks are to be rarer than asked for, so that the rest of the month lasts."""
        left = self.left_of_month(now.date(), Need.RECHECK)
        if left <= 0:
            return float("inf")
        rate = self._rate * self.workers
        return max(1.0, rate * (_next_month(now) - now).total_seconds() / left)

    # --- after it ---

    def settle(
        self,
        hold: Reservation,
        cost: float | None,
        fate: Fate,
        *,
        again: bool = True,
        estimated: bool = False,
        probes: int = 1,
    ) -> Settled:
        """The probe on this hold was answered, and cost so much; None leaves it in doubt.

        More than its price is booked as far as there is room. What is held stays idle where the target
        is probed `again`. `fate` is that of the target's earlier doubts.
        """
        if self._in_flight.pop(hold.id, None) is None:
            return Settled(0.0, self.posting())
        spends = self._decide(hold.account, fate, estimated=estimated)
        usd, cut = 0.0, False
        if cost is None:
            self._doubts.setdefault(hold.account, []).append(hold)
        elif cost > 0:
            self._end(hold)
            room = min(self.left_of_day(hold.key, hold.day), self.left_of_month(hold.day))
            # what was held is there by itself: by force, or by a budget that was since lowered, too
            most = max(room, hold.usd)
            usd, cut = min(cost, most), cost > most
            self._make_room(hold.key, hold.day, usd)
            self._add(hold.key, hold.day, usd)
            spends.append(Spend(hold.key, hold.day, usd, probes, estimated))
        elif again and self._may_stay(hold):
            self._idle[hold.account] = hold
            self._count_idle(hold, hold.usd)
        else:
            self._end(hold)
        return Settled(usd, self.posting(spends), cut)

    def doubt(self, hold: Reservation) -> None:
        """Nobody knows what became of the probe on this hold."""
        if self._in_flight.pop(hold.id, None):
            self._doubts.setdefault(hold.account, []).append(hold)

    def is_doubted(self, hold: Reservation) -> bool:
        """Whether the hold is a doubt."""
        return hold in self._doubts.get(hold.account, ())

    def resume(self, hold: Reservation) -> bool:
        """Take a hold that became a doubt as in flight again; False when it was decided meanwhile."""
        doubts = self._doubts.get(hold.account, [])
        if hold in doubts:
            doubts.remove(hold)
            self._in_flight[hold.id] = hold
        return hold.id in self._in_flight

    def spent(self, key: str, day: date, usd: float, *, estimated: bool = False) -> Posting:
        """Book what was spent without a hold."""
        if not usd:
            return self.posting()
        self._add(key, day, usd)
        return self.posting([Spend(key, day, usd, 1, estimated)])

    def dropped(self, hold: Reservation) -> None:
        """What was to be written could not be, so the probe was not sent."""
        if self._in_flight.pop(hold.id, None):
            self._end(hold)

    def unwritten(self, posting: Posting) -> None:
        """The database refused it: what is held no more is said again with what is written next."""
        self._freed += posting.freed

    # --- what there is ---

    def committed(self, key: str, day: date) -> float:
        """Booked and held for the key on that day."""
        return self._days.get((key, day), 0.0)

    def spent_in_month(self, day: date) -> float:
        """Booked and held for all keys in the month of that day."""
        return self._months.get(_month(day), 0.0)

    def doubted(self, account: str) -> float:
        """What of the account is in doubt."""
        return sum(hold.usd for hold in self._doubts.get(account, ()))

    def tidy(self, today: date | None) -> Posting:
        """Give back what is idle since before `today`, without it all; forget the days before yesterday.

        Yesterday may come again: by a clock that is set back over midnight.
        """
        for account, hold in list(self._idle.items()):
            if today is None or hold.day < today:
                self._release(account)
        if today and self.allowance is None:
            yesterday = today - timedelta(days=1)
            self._days = {at: usd for at, usd in self._days.items() if at[1] >= yesterday}
        return self.posting()

    def _decide(self, account: str, fate: Fate, *, estimated: bool) -> list[Spend]:
        found: list[Spend] = []
        if fate is Fate.KEPT:
            return found
        for hold in self._doubts.pop(account, ()):
            if fate is Fate.BOOKED:
                self._freed.append(hold.id)
                found.append(Spend(hold.key, hold.day, hold.usd, 1, estimated))
            else:
                self._end(hold)
        return found

    def _may_stay(self, hold: Reservation) -> bool:
        """Whether it may stay idle: after a crash it is a doubt, and must leave what doubts leave."""
        return (
            hold.account in self._spenders
            and hold.account not in self._idle
            and self.left_of_day(hold.key, hold.day, Need.WAITING, idle=False) >= -_ROUNDING
            and self.left_of_month(hold.day, Need.WAITING, idle=False) >= -_ROUNDING
        )

    def _make_room(self, key: str, day: date, usd: float) -> None:
        """Let go of idle holds until so much more leaves what doubts leave."""
        for idle in self._idle_of(key):
            if usd + self._idle_on(key, day) <= self.left_of_day(key, day, Need.WAITING):
                break
            self._release(idle.account)
        month = _month(day)
        while self._idle and usd + self._idle_months.get(month, 0.0) > self.left_of_month(
            day, Need.WAITING
        ):
            self._release(next(iter(self._idle)))

    def _idle_on(self, key: str, day: date) -> float:
        return sum([hold.usd for hold in self._idle_of(key) if hold.day == day])

    def _idle_of(self, key: str) -> list[Reservation]:
        accounts = self._by_key.get(key, ())
        return [self._idle[account] for account in accounts if account in self._idle]

    def _release(self, account: str) -> None:
        if idle := self._idle.pop(account, None):
            self._count_idle(idle, -idle.usd)
            self._end(idle)

    def _count_idle(self, hold: Reservation, usd: float) -> None:
        _count(self._idle_months, _month(hold.day), usd)

    def _end(self, hold: Reservation) -> None:
        self._add(hold.key, hold.day, -hold.usd)
        self._freed.append(hold.id)

    def _unregister(self, account: str) -> None:
        old = self._spenders.pop(account, None)
        if old:
            self._by_key[old.key].discard(account)
            self._waiting -= old.price if old.waiting else 0.0
            self._rate -= old.rate

    def posting(self, spends: Iterable[Spend] = (), held: tuple[Reservation, ...] = ()) -> Posting:
        """What is to be written, together with what is held no more and was not said yet."""
        freed, self._freed = tuple(self._freed), []
        return Posting(tuple(spends), held, freed)

    def _add(self, key: str, day: date, usd: float) -> None:
        _count(self._days, (key, day), usd)
        _count(self._months, _month(day), usd)


def _count(sums: dict[_At, float], at: _At, usd: float) -> None:
    total = sums.get(at, 0.0) + usd
    # what rounding leaves is nothing
    sums[at] = total if abs(total) > _ROUNDING else 0.0


def _month(day: date) -> tuple[int, int]:
    return day.year, day.month


def _next_month(now: datetime) -> datetime:
    first = datetime(now.year, now.month, 1, tzinfo=UTC)
    return (first + timedelta(days=32)).replace(day=1)
