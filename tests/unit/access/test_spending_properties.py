"""The ledger under random steps, beside a model of it: answers, crashes, midnights, reloads, commands."""

from collections import defaultdict
from datetime import date, timedelta

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from monitor.access.holds import Fate, Need, Posting, Reservation
from monitor.access.limits import Budget
from monitor.access.spending import BudgetLedger

TINY = 1e-6
PER_KEY, PER_MONTH = 0.10, 0.40
#: account: its key and price
ACCOUNTS = {
    "a1": ("a", 0.011),
    "a2": ("a", 0.0017),
    "b1": ("b", 0.02),
    "c1": ("c", 0.033),
    "c2": ("c", 0.0002),
}
accounts = st.sampled_from(sorted(ACCOUNTS))


class Files:
    """What the database keeps."""

    def __init__(self) -> None:
        self.settled: dict[tuple[str, date], float] = defaultdict(float)
        self.held: dict[int, Reservation] = {}

    def write(self, posting: Posting) -> None:
        for spend in posting.spends:
            self.settled[spend.key, spend.day] += spend.usd
        for hold in posting.held:
            assert hold.id not in self.held
            self.held[hold.id] = hold
        for id_ in posting.freed:
            self.held.pop(id_, None)

    def of(self, key: str, day: date) -> float:
        held = sum(one.usd for one in self.held.values() if (one.key, one.day) == (key, day))
        return self.settled[key, day] + held

    def of_month(self) -> float:
        return sum(self.settled.values()) + sum(one.usd for one in self.held.values())


class Money(RuleBasedStateMachine):
    """Probes, answers, and all that comes between them."""

    @initialize(waiting=st.sets(accounts))
    def begin(self, waiting):
        self.files, self.ledger = Files(), BudgetLedger(Budget(PER_KEY, PER_MONTH))
        self.day = self.latest = date(2026, 11, 1)
        self.waiting = set(waiting)
        self.flying: dict[str, tuple[Reservation, Need]] = {}
        self.register()

    def register(self) -> None:
        for account, (key, price) in ACCOUNTS.items():
            waits = account in self.waiting
            self.ledger.register(account, key, price, waiting=waits, every=timedelta(days=1))

    def dearest(self, key: str) -> float:
        prices = (price for account, (its, price) in ACCOUNTS.items()
                  if its == key and account in self.waiting)  # fmt: skip
        return max(prices, default=0.0)

    @rule(account=accounts, answered=st.booleans(), written=st.booleans())
    def send(self, account, answered, written):
        key, price = ACCOUNTS[account]
        if account in self.flying:
            return
        need = Need.WAITING if account in self.waiting else Need.RECHECK
        if answered and account in self.waiting:
            need = Need.ANSWERED
        before = self.ledger.left_of_day(key, self.day)
        found = self.ledger.reserve(account, key, self.day, price, need)
        if found is None:
            return
        if need is Need.WAITING:
            # the second promise: two prices of the dearest that waits stay
            assert before - price >= Need.WAITING.prices * self.dearest(key) - TINY
        hold, posting = found
        if posting and not written:  # the database refuses it: the probe does not leave
            self.ledger.unwritten(posting)
            self.ledger.dropped(hold)
            return
        self.files.write(posting)
        assert hold.id in self.files.held  # durable before it leaves
        self.flying[account] = hold, need

    @precondition(lambda self: self.flying)
    @rule(
        data=st.data(),
        cost=st.sampled_from([None, 0.0, 0.5, 1.0, 3.0, 1e12]),
        fate=st.sampled_from(Fate),
    )
    def answer(self, data, cost, fate):
        account = data.draw(st.sampled_from(sorted(self.flying)))
        hold, _ = self.flying.pop(account)
        usd = None if cost is None else cost * hold.usd
        if usd is None:
            fate = Fate.KEPT
        elif usd > 0 and fate is Fate.GIVEN_BACK:
            fate = Fate.BOOKED
        doubts = self.ledger.doubted(account)
        before = self.files.of_month()
        settled = self.ledger.settle(hold, usd, fate)
        self.files.write(settled.posting)
        match fate:
            case Fate.KEPT:
                kept = doubts + (hold.usd if usd is None else 0.0)
                assert abs(self.ledger.doubted(account) - kept) < TINY
            case Fate.BOOKED:
                assert self.ledger.doubted(account) == 0
                booked = sum(one.usd for one in settled.posting.spends)
                assert abs(booked - doubts - settled.usd) < TINY
            case Fate.GIVEN_BACK:
                assert self.ledger.doubted(account) == 0
                assert self.files.of_month() <= before - doubts + TINY
        assert settled.cut == (usd is not None and usd > settled.usd + TINY)

    @rule(account=accounts)
    def opens_or_shuts(self, account):
        self.waiting ^= {account}
        self.register()

    @rule()
    def midnight(self):
        if self.day.day < 28:
            self.day += timedelta(days=1)
            self.latest = max(self.latest, self.day)
            self.files.write(self.ledger.tidy(self.day))

    @precondition(lambda self: self.day == self.latest and self.day.day > 1)
    @rule()
    def the_clock_is_set_back_over_midnight(self):
        self.day -= timedelta(days=1)
        self.files.write(self.ledger.tidy(self.day))

    @rule()
    def crash(self):
        self.flying.clear()
        held = list(self.files.held.values())
        self.ledger = BudgetLedger(Budget(PER_KEY, PER_MONTH))
        self.ledger.load(dict(self.files.settled), held)
        self.register()
        for account in ACCOUNTS:
            in_doubt = sum(one.usd for one in held if one.account == account)
            assert abs(self.ledger.doubted(account) - in_doubt) < TINY

    @rule()
    def stop(self):
        """In order: probes under way are cut, what is held for later is given back."""
        for hold, _ in self.flying.values():
            self.ledger.doubt(hold)
        self.files.write(self.ledger.tidy(None))
        self.crash()

    @rule(account=accounts)
    def leaves_the_settings_and_returns(self, account):
        doubts = self.ledger.doubted(account)
        self.files.write(self.ledger.forget(account))
        assert self.ledger.doubted(account) == doubts
        self.register()

    @invariant()
    def budgets_hold(self):
        """The first promise, by the file: it is what the next start knows."""
        if not hasattr(self, "files"):
            return
        for key in "abc":
            assert self.files.of(key, self.day) <= PER_KEY + TINY
            assert self.ledger.committed(key, self.day) <= PER_KEY + TINY
        assert self.files.of_month() <= PER_MONTH + TINY

    @invariant()
    def the_file_has_all_that_is_held(self):
        if not hasattr(self, "files"):
            return
        for key in "abc":
            assert self.ledger.committed(key, self.day) <= self.files.of(key, self.day) + TINY


Money.TestCase.settings = settings(max_examples=150, stateful_step_count=60, deadline=None)
TestMoney = Money.TestCase
