"""What probes cost: reserved before they are sent, booked after they are answered.

While the gate is shut a probe costs nothing, but nobody knows beforehand that it is: every full probe
is one that may be billed. So its open price is reserved first, and what is reserved is remembered
durably (the *mark*) before the request leaves: after a crash the mark counts as spent. A slight mark
stays for the next probe instead of being lowered and raised again with each.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date

from monitor.access.limits import Budget
from monitor.access.words import Code, Effect

#: Reserved for a probe whose price is not known, in US dollars: costly until a bill is seen.
UNKNOWN_PRICE = 0.02

#: Marks beyond what is reserved may come to this share of a budget: what a crash costs at most for nothing.
_SLIGHT = 0.01

_ROUNDING = 1e-9


@dataclass(frozen=True, slots=True)
class Entry:
    """One key's spending on one day (UTC), in US dollars."""

    settled: float = 0.0
    reserved: float = 0.0
    #: the largest sum of reservations that was remembered durably
    mark: float = 0.0


_NOTHING = Entry()


@dataclass(slots=True)
class Ledger:
    """Spending by key and day, and what is reserved now by each target."""

    budget: Budget
    _entries: dict[tuple[str, date], Entry] = field(default_factory=dict)
    _months: dict[tuple[int, int], float] = field(default_factory=dict)
    _held: dict[int, tuple[str, date, float]] = field(default_factory=dict)
    _reserved: float = 0.0
    _marks: float = 0.0
    _doubtful: set[tuple[str, date]] = field(default_factory=set)

    def load(self, settled: Mapping[tuple[str, date], float]) -> None:
        """Begin with what earlier runs booked."""
        for (key, day), usd in settled.items():
            self._put(key, day, Entry(settled=usd))

    def entry(self, key: str, day: date) -> Entry:
        """What was booked and is reserved on that day for the key."""
        return self._entries.get((key, day), _NOTHING)

    def spent_in_month(self, day: date) -> float:
        """Booked and reserved by all keys in the month of that day."""
        return self._months.get((day.year, day.month), 0.0)

    def allows(self, key: str, day: date, usd: float, held: float = 0.0) -> bool:
        """Whether `usd` more fits both budgets, `held` of it being reserved already."""
        more = usd - held
        today = self.entry(key, day)
        return (
            today.settled + today.reserved + more <= self.budget.per_key_per_day + _ROUNDING
            and self.spent_in_month(day) + more <= self.budget.per_month + _ROUNDING
        )

    def reserve(self, target: int, key: str, day: date, usd: float) -> bool:
        """Reserve `usd` for a target's next probe, or return False when a budget has no room.

        `target` is any number that stands for it alone.

        What the target holds already counts toward it. A reservation of an earlier day is given back.
        """
        held = self._held.get(target)
        if held and held[1] != day:
            self.release(target)
            held = None
        has = held[2] if held else 0.0
        if usd <= has:
            return True
        if not self.allows(key, day, usd, has):
            return False
        self._hold(target, key, day, usd)
        return True

    def crowded(self, key: str, day: date, usd: float) -> bool:
        """Whether only what others have reserved for now is in the way of `usd`: it may soon be free."""
        today = self.entry(key, day)
        month = self._months.get((day.year, day.month), 0.0) - self._reserved
        return (
            today.settled + usd <= self.budget.per_key_per_day + _ROUNDING
            and month + usd <= self.budget.per_month + _ROUNDING
        )

    def book(self, target: int, usd: float, *, keep: float = 0.0) -> tuple[str, date] | None:
        """Book `usd` against the target's reservation and hold `keep` of it for what follows.

        Returns the key and day that were charged, None when nothing was reserved.
        """
        held = self._held.get(target)
        if held is None:
            return None
        key, day, amount = held
        # never more than was reserved, or the budget could be passed
        self._hold(target, key, day, min(keep, max(amount - usd, 0.0)))
        self.spent(key, day, usd)
        return key, day

    def spent(self, key: str, day: date, usd: float) -> None:
        """Book what was spent without a reservation: by a command beside the daemon."""
        if usd:
            entry = self.entry(key, day)
            self._put(key, day, Entry(entry.settled + usd, entry.reserved, entry.mark))

    def release(self, target: int) -> None:
        """Give the target's reservation back."""
        held = self._held.get(target)
        if held:
            self._hold(target, held[0], held[1], 0.0)

    def unmarked(self, key: str, day: date) -> float | None:
        """The sum that must be remembered durably before a probe leaves; None when it already is."""
        entry = self.entry(key, day)
        return entry.reserved if entry.reserved > entry.mark + _ROUNDING else None

    def marks(self) -> list[tuple[str, date]]:
        """The keys and days of which something is, or may be, remembered durably as reserved."""
        return [at for at, entry in self._entries.items() if entry.mark or at in self._doubtful]

    def marked(self, key: str, day: date, usd: float) -> None:
        """`usd` is on its way to be remembered durably; later marks follow in order."""
        self._doubtful.discard((key, day))
        entry = self.entry(key, day)
        self._put(key, day, Entry(entry.settled, entry.reserved, usd))

    def doubted(self, key: str, day: date) -> None:
        """A mark was refused: which one is remembered durably is not known until the next is."""
        self.marked(key, day, 0.0)
        self._doubtful.add((key, day))

    def lowered(self, key: str, day: date, cost: float) -> float | None:
        """The mark to remember with an answer that cost so much; None for a slight one, which stays as it is.

        A slight mark stays only after an answer that cost nothing: another's cost is durable with its answer,
        and a probe that left before that by the same mark would not be covered.
        """
        entry = self.entry(key, day)
        slight = (
            cost == 0
            and (key, day) not in self._doubtful
            and entry.mark - entry.reserved <= _SLIGHT * self.budget.per_key_per_day
            and self._marks - self._reserved <= _SLIGHT * self.budget.per_month
        )
        return None if slight else entry.reserved

    def forget_before(self, day: date) -> None:
        """Drop the days before `day` on which nothing is reserved or marked; the months stay."""
        for at, entry in list(self._entries.items()):
            if at[1] < day and not (entry.reserved or entry.mark or at in self._doubtful):
                del self._entries[at]

    def _hold(self, target: int, key: str, day: date, usd: float) -> None:
        old = self._held.pop(target, (key, day, 0.0))[2]
        if usd > 0:
            self._held[target] = (key, day, usd)
        entry = self.entry(key, day)
        reserved = entry.reserved - old + usd
        # what rounding leaves is nothing: a day on which something is reserved is never forgotten
        self._put(
            key, day, Entry(entry.settled, reserved if reserved > _ROUNDING else 0.0, entry.mark)
        )

    def _put(self, key: str, day: date, entry: Entry) -> None:
        old, month = self.entry(key, day), (day.year, day.month)
        more = entry.settled + entry.reserved - old.settled - old.reserved
        self._months[month] = self._months.get(month, 0.0) + more
        self._reserved += entry.reserved - old.reserved
        self._marks += entry.mark - old.mark
        self._entries[key, day] = entry


def cost_of(
    code: Code, status: int | None, *, sent: bool, billed: float | None, price: float
) -> float:
    """What to book for an answered full probe, in US dollars.

    `billed` is from the answer's own usage. A refusal costs nothing. A timeout, a 5xx or an unreadable
    200 may have been billed without a word, so it counts as open.
    """
    if code.effect is Effect.GRANTED:
        return price if billed is None else billed
    if not sent:
        return 0.0
    lost = status is None or status >= 500 or 200 <= status < 300
    if code.effect is Effect.INCONCLUSIVE and lost:
        return price if billed is None else billed
    return 0.0
