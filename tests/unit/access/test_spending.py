"""What probes may cost: holds, doubts and bookings. Money is US dollars."""

from datetime import UTC, date, datetime, timedelta

import pytest

from monitor.access.holds import Fate, Need, Reservation, Spend, cost_of, fate_of
from monitor.access.limits import Budget
from monitor.access.spending import BudgetLedger
from monitor.access.words import Code

DAY = date(2026, 11, 20)
NEXT_DAY = date(2026, 11, 21)
A_DAY = timedelta(days=1)


def ledger(*prices: float, per_key: float = 0.05, per_month: float = 5.0) -> BudgetLedger:
    """A ledger on which targets of these prices wait, all of the key acme."""
    made = BudgetLedger(Budget(per_key_per_day=per_key, per_month=per_month))
    for number, price in enumerate(prices):
        made.register(f"t{number}", "acme", price, waiting=True, every=A_DAY)
    return made


def lose(books: BudgetLedger, usd: float, need: Need = Need.WAITING, day: date = DAY) -> bool:
    """A probe that ends in doubt; False when it could not be sent."""
    found = books.reserve("t0", "acme", day, usd, need)
    if found is None:
        return False
    books.settle(found[0], None, Fate.KEPT)
    return True


def answer(books: BudgetLedger, usd: float, cost: float, fate: Fate, need: Need = Need.WAITING):
    found = books.reserve("t0", "acme", DAY, usd, need)
    assert found is not None
    return books.settle(found[0], cost, fate)


def test_doubts_leave_two_prices_of_the_day_and_a_probe_after_an_answer_may_use_them():
    books = ledger(0.01)
    lost = 0
    while lose(books, 0.01):
        lost += 1
    assert lost == 3
    assert lose(books, 0.01, Need.ANSWERED)
    assert lose(books, 0.01, Need.ANSWERED)
    assert not lose(books, 0.01, Need.ANSWERED)
    assert lose(books, 0.01, day=NEXT_DAY)


def test_a_gated_answer_before_any_light_gives_the_doubts_back():
    books = ledger(0.01)
    lose(books, 0.01)
    lose(books, 0.01)
    settled = answer(books, 0.01, 0.0, Fate.GIVEN_BACK)
    assert (settled.posting.freed, settled.posting.spends) == ((1, 2), ())
    assert books.committed("acme", DAY) == pytest.approx(0.01)  # what is held for the next one


def test_another_conclusive_answer_books_them_on_the_day_on_which_they_were_sent():
    books = ledger(0.01)
    lose(books, 0.01)
    found = books.reserve("t0", "acme", NEXT_DAY, 0.01, Need.WAITING)
    settled = books.settle(found[0], 0.004, Fate.BOOKED)
    assert settled.posting.spends == (
        Spend("acme", DAY, 0.01, 1),
        Spend("acme", NEXT_DAY, 0.004, 1),
    )
    assert books.committed("acme", DAY) == pytest.approx(0.01)
    assert books.committed("acme", NEXT_DAY) == pytest.approx(0.004)


def test_a_probe_in_doubt_and_one_that_says_nothing_leave_the_doubts_as_they_are():
    books = ledger(0.01)
    lose(books, 0.01)
    answer(books, 0.01, 0.0, Fate.KEPT)
    assert books.doubted("t0") == 0.01


def test_what_is_left_held_at_a_start_is_in_doubt():
    books = ledger(0.01)
    books.load({("acme", DAY): 0.02}, [Reservation(7, "t0", "acme", DAY, 0.01)])
    assert books.committed("acme", DAY) == pytest.approx(0.03)
    settled = answer(books, 0.01, 0.0, Fate.GIVEN_BACK, Need.ANSWERED)
    assert settled.posting.freed == (7,)


def test_a_refused_target_is_probed_again_without_another_row():
    books = ledger(0.01)
    _, first = books.reserve("t0", "acme", DAY, 0.01, Need.WAITING)
    assert len(first.held) == 1
    books = ledger(0.01)
    assert not answer(books, 0.01, 0.0, Fate.GIVEN_BACK).posting
    _, second = books.reserve("t0", "acme", DAY, 0.01, Need.WAITING)
    assert not second


def test_what_is_held_for_a_probe_to_come_gives_way():
    books = ledger(0.01, 0.01)
    answer(books, 0.01, 0.0, Fate.GIVEN_BACK)
    sent = [books.reserve("t1", "acme", DAY, 0.01, Need.ANSWERED) for _ in range(5)]
    assert all(sent)
    assert {id_ for _, posting in sent for id_ in posting.freed} == {1}


def test_the_month_holds_all_keys_together():
    books = BudgetLedger(Budget(per_key_per_day=1, per_month=2.5))
    books.load({("a", DAY): 1.0, ("b", DAY): 1.0})
    assert not books.reserve("t", "c", NEXT_DAY, 0.6, Need.ANSWERED)
    assert books.reserve("t", "c", NEXT_DAY, 0.5, Need.ANSWERED)
    assert books.reserve("u", "d", date(2026, 12, 1), 1.0, Need.ANSWERED)


def test_rechecks_leave_three_prices_of_the_month_to_each_that_waits():
    books = ledger(0.01, per_month=0.05)
    for _ in range(2):
        hold, _ = books.reserve("o", "open", DAY, 0.01, Need.RECHECK)
        books.settle(hold, 0.01, Fate.BOOKED)
    assert not books.reserve("o", "open", DAY, 0.01, Need.RECHECK)
    assert lose(books, 0.01)


def test_rechecks_are_stretched_so_that_the_month_lasts():
    books = BudgetLedger(Budget(per_month=0.10))
    for name in "abcdef":
        books.register(name, name, 0.01, waiting=False, every=A_DAY)
    ten_days_left = datetime(2026, 11, 21, tzinfo=UTC)
    assert books.stretch(ten_days_left) == pytest.approx(6.0)
    books.register("w", "w", 0.01, waiting=True, every=A_DAY)
    assert books.stretch(ten_days_left) == pytest.approx(0.6 / 0.07)
    assert books.stretch(datetime(2026, 11, 30, 12, tzinfo=UTC)) == 1.0


@pytest.mark.parametrize("usage", [1e9, float("inf"), 10.0**300])
def test_what_usage_claims_is_booked_up_to_what_is_left_of_the_day(usage):
    books = ledger(0.01)
    settled = answer(books, 0.01, usage, Fate.BOOKED)
    assert settled.cut
    assert settled.usd == pytest.approx(0.05)
    assert books.spent_in_month(DAY) == pytest.approx(0.05)


def test_what_nobody_is_under_watch_for_is_held_no_more_and_its_doubts_stay():
    books = ledger(0.01)
    lose(books, 0.01)
    answer(books, 0.01, 0.0, Fate.KEPT)
    assert books.forget("t0").freed == (2,)
    assert books.committed("acme", DAY) == pytest.approx(0.01)


def test_an_idle_hold_never_takes_what_doubts_must_leave():
    books = ledger(*[0.01] * 5)
    holds = [books.reserve(f"t{n}", "acme", DAY, 0.01, Need.ANSWERED)[0] for n in range(5)]
    for hold in holds:
        books.settle(hold, 0.0, Fate.GIVEN_BACK)
    # after a crash now what is idle would be in doubt
    assert books.committed("acme", DAY) <= 0.03 + 1e-9


def test_of_an_allowance_no_day_gives_more():
    books = BudgetLedger(Budget(per_key_per_day=1.0), allowance={"acme": 0.02})
    assert lose(books, 0.01)
    assert lose(books, 0.01, day=NEXT_DAY)
    assert not lose(books, 0.01, day=NEXT_DAY)


def test_a_clock_that_is_set_back_over_midnight_gives_a_day_no_second_budget():
    books = ledger(0.01)
    answer(books, 0.01, 0.01, Fate.BOOKED)
    books.tidy(NEXT_DAY)
    books.tidy(DAY)
    assert books.committed("acme", DAY) == pytest.approx(0.01)


def test_days_gone_by_are_forgotten_and_the_month_is_not():
    books = BudgetLedger(Budget(per_month=1.0))
    books.load({("a", DAY): 1.0})
    books.tidy(NEXT_DAY + timedelta(days=1))
    assert books.committed("a", DAY) == 0
    assert not books.reserve("t", "a", NEXT_DAY, 0.01, Need.ANSWERED)


@pytest.mark.parametrize(
    ("code", "status", "sent", "billed", "cost"),
    [
        (Code.ACCESS_GRANTED, 200, True, 0.0016, 0.0016),
        (Code.ACCESS_GRANTED, 200, True, None, 0.002),
        (Code.VERIFICATION_REQUIRED, 403, True, None, 0.0),
        (Code.VERIFICATION_REQUIRED, 200, True, None, 0.0),
        (Code.VERIFICATION_REQUIRED, 502, True, None, 0.0),
        (Code.VERIFICATION_REQUIRED, 200, True, 0.001, 0.001),
        (Code.QUOTA_EXHAUSTED, 200, True, 0.001, 0.001),
        (Code.QUOTA_EXHAUSTED, 429, True, None, 0.0),
        (Code.NETWORK_ERROR, None, True, None, None),
        (Code.NETWORK_ERROR, None, False, None, 0.0),
        (Code.NETWORK_ERROR, 200, True, None, None),
        (Code.SERVER_ERROR, 500, True, None, 0.0),
        (Code.SERVER_ERROR, 503, True, None, 0.0),
        (Code.EDGE_ERROR, 403, True, None, 0.0),
        (Code.EDGE_ERROR, 522, True, None, 0.0),
        (Code.BAD_REQUEST, 400, True, None, 0.0),
        (Code.RATE_LIMITED, 429, True, None, 0.0),
        (Code.UNRECOGNIZED, 200, True, None, None),
        (Code.UNRECOGNIZED, 200, True, 0.001, 0.001),
        (Code.SERVER_ERROR, 200, True, None, None),
        *[(Code.EDGE_ERROR, status, True, None, None) for status in (408, 499, 502, 504, 520, 524)],
    ],
)
def test_what_an_answer_costs_and_what_is_in_doubt(code, status, sent, billed, cost):
    assert cost_of(code, status, sent=sent, billed=billed, price=0.002) == cost


@pytest.mark.parametrize(
    ("code", "granted_before", "fate"),
    [
        (Code.VERIFICATION_REQUIRED, False, Fate.GIVEN_BACK),
        (Code.VERIFICATION_LOCKED, False, Fate.GIVEN_BACK),
        (Code.VERIFICATION_REQUIRED, True, Fate.BOOKED),
        (Code.ACCESS_GRANTED, False, Fate.BOOKED),
        (Code.QUOTA_EXHAUSTED, False, Fate.KEPT),
        (Code.SERVER_ERROR, True, Fate.KEPT),
    ],
)
def test_which_answers_decide_what_is_in_doubt(code, granted_before, fate):
    assert fate_of(code, granted_before=granted_before) is fate
