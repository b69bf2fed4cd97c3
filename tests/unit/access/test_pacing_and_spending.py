"""What holds probes back, and what they may cost. Times are seconds, money is US dollars."""

import itertools
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.access.limits import Budget, Cadence
from monitor.access.pacing import Breaker, ImageGap, TokenBucket
from monitor.access.spending import Ledger, cost_of
from monitor.access.words import Code

DAY = date(2026, 11, 20)
NEXT_DAY = date(2026, 11, 21)


def test_image_probes_of_one_organization_keep_20_seconds_between_them():
    gap = ImageGap(Cadence())
    assert [gap.reserve(5).at for _ in range(3)] == [5, 25, 45]
    assert gap.reserve(100).at == 100


def test_after_a_429_they_keep_60_for_an_hour_and_places_given_before_are_void():
    gap = ImageGap(Cadence())
    gap.reserve(0)
    waiting = gap.reserve(0)
    gap.answered(Code.RATE_LIMITED, {}, 1)
    assert not gap.holds(waiting)
    again = gap.reserve(2)
    assert gap.holds(again)
    assert [again.at, gap.reserve(2).at] == [61, 121]
    assert [gap.reserve(4000).at, gap.reserve(4000).at] == [4000, 4020]


def test_never_more_than_half_of_an_announced_limit():
    gap = ImageGap(Cadence())
    gap.answered(Code.ACCESS_GRANTED, {"x-ratelimit-limit-requests": "2"}, 1)
    gap.answered(Code.ACCESS_GRANTED, {"x-ratelimit-limit-requests": "nonsense"}, 1)
    gap.answered(Code.ACCESS_GRANTED, {"x-ratelimit-limit-requests": "0"}, 1)
    assert [gap.reserve(1).at, gap.reserve(1).at] == [1, 61]


def test_a_bucket_lets_a_burst_through_and_then_its_rate():
    bucket = TokenBucket(5)
    places = [bucket.reserve(100.0) for _ in range(15)]
    assert places[:5] == pytest.approx([100.0] * 5)
    assert places[14] == pytest.approx(102.0)


@given(st.lists(st.floats(0, 3), min_size=2, max_size=100), st.floats(0.5, 20))
def test_a_bucket_never_gives_more_than_rate_and_burst_within_a_second(waits, rate):
    bucket, now, places = TokenBucket(rate), 0.0, []
    for wait in waits:
        now += wait
        places.append(bucket.reserve(now))
    for place in places:
        within = sum(place <= other < place + 1 for other in places)
        assert within <= max(rate, 1) + rate + 1


def test_refusals_by_the_edge_open_the_breaker_and_an_answer_closes_it():
    breaker = Breaker(keys=1)
    for n in range(5):
        assert breaker.ready_at(n) == n
        breaker.answered("a", Code.EDGE_ERROR, n)
    assert breaker.open
    assert breaker.ready_at(10) == 64
    assert breaker.ready_at(64) == 64
    breaker.sent(64)
    assert breaker.ready_at(65) == 124
    breaker.answered("a", Code.VERIFICATION_REQUIRED, 66)
    assert breaker.ready_at(66) == 66


def test_429_from_many_keys_opens_it_and_from_one_key_does_not():
    breaker = Breaker(keys=10)
    for n in range(20):
        breaker.answered("a", Code.RATE_LIMITED, n)
    assert not breaker.open
    breaker.answered("b", Code.RATE_LIMITED, 20)
    breaker.answered("c", Code.RATE_LIMITED, 21)
    assert breaker.open


def test_a_key_can_spend_its_day_and_no_more():
    ledger = Ledger(Budget(per_key_per_day=0.05, per_month=5))
    probes = 0
    while ledger.reserve("t", "acme", DAY, 0.02):
        ledger.book("t", 0.02)
        probes += 1
    assert probes == 2
    assert ledger.reserve("t", "acme", NEXT_DAY, 0.02)
    assert ledger.reserve("u", "other", DAY, 0.02)


def test_the_month_holds_all_keys_together():
    ledger = Ledger(Budget(per_key_per_day=1, per_month=2.5))
    ledger.load({("a", DAY): 1.0, ("b", DAY): 1.0})
    assert not ledger.reserve("t", "c", NEXT_DAY, 0.6)
    assert ledger.reserve("t", "c", NEXT_DAY, 0.5)
    assert ledger.reserve("u", "d", date(2026, 12, 1), 1.0)


def test_what_leaves_must_be_marked_first_and_a_mark_serves_again():
    ledger = Ledger(Budget())
    ledger.reserve("t", "acme", DAY, 0.004)
    assert ledger.unmarked("acme", DAY) == 0.004
    ledger.marked("acme", DAY, 0.004)
    ledger.release("t")
    ledger.reserve("t", "acme", DAY, 0.004)
    assert ledger.unmarked("acme", DAY) is None
    ledger.reserve("u", "acme", DAY, 0.004)
    assert ledger.unmarked("acme", DAY) == 0.008


def test_a_slight_mark_stays_after_an_answer_that_cost_nothing():
    ledger = Ledger(Budget(per_key_per_day=0.05))
    ledger.reserve("t", "acme", DAY, 0.0004)
    ledger.marked("acme", DAY, 0.0004)
    ledger.book("t", 0.0)
    assert ledger.lowered("acme", DAY, 0.0) is None


@pytest.mark.parametrize(
    ("reserved", "cost", "per_month"),
    [
        pytest.param(0.0004, 0.0001, 5.0, id="what was billed is durable only with its answer"),
        pytest.param(0.02, 0.0, 5.0, id="a crash would cost much of the day's budget"),
        pytest.param(0.0004, 0.0, 0.01, id="a crash would cost much of the month's budget"),
    ],
)
def test_a_mark_is_lowered_when(reserved, cost, per_month):
    ledger = Ledger(Budget(per_key_per_day=0.05, per_month=per_month))
    ledger.reserve("t", "acme", DAY, reserved)
    ledger.marked("acme", DAY, reserved)
    ledger.book("t", cost)
    assert ledger.lowered("acme", DAY, cost) == 0.0


def test_after_a_mark_was_refused_what_was_remembered_before_is_given_back():
    ledger = Ledger(Budget(per_key_per_day=0.05))
    ledger.reserve("t", "acme", DAY, 0.0004)
    ledger.marked("acme", DAY, 0.0004)
    ledger.reserve("u", "acme", DAY, 0.0004)
    ledger.doubted("acme", DAY)
    ledger.release("u")
    assert ledger.marks() == [("acme", DAY)]
    ledger.book("t", 0.0)
    assert ledger.lowered("acme", DAY, 0.0) == 0.0
    ledger.marked("acme", DAY, 0.0)
    assert ledger.marks() == []


def test_whatever_the_order_of_the_answers_nothing_stays_reserved():
    prices = {"t": 0.0001 / 3, "u": 0.0017, "v": 0.1 + 0.2}
    for order in itertools.permutations(prices):
        ledger = Ledger(Budget(per_key_per_day=1.0))
        for target, price in prices.items():
            ledger.reserve(target, "acme", DAY, price)
        for target in order:
            ledger.book(target, 0.0)
        assert ledger.entry("acme", DAY).reserved == 0.0


def test_days_gone_by_are_forgotten_and_the_month_is_not():
    ledger = Ledger(Budget(per_month=1.0))
    ledger.load({("a", DAY): 1.0})
    ledger.forget_before(NEXT_DAY)
    assert ledger.entry("a", DAY).settled == 0
    assert not ledger.reserve("t", "a", NEXT_DAY, 0.01)


@given(
    st.lists(
        st.tuples(st.sampled_from("tuv"), st.sampled_from("ab"), st.floats(0, 0.02), st.booleans()),
        max_size=60,
    )
)
def test_reserved_and_booked_never_exceed_a_budget(steps):
    ledger = Ledger(Budget(per_key_per_day=0.05, per_month=0.08))
    for target, key, price, keep in steps:
        name = f"{key}/{target}"
        if ledger.reserve(name, key, DAY, 2 * price):
            ledger.book(name, price, keep=price if keep else 0.0)
        for k in "ab":
            entry = ledger.entry(k, DAY)
            assert entry.settled + entry.reserved <= 0.05 + 1e-6
        assert ledger.spent_in_month(DAY) <= 0.08 + 1e-6


@pytest.mark.parametrize(
    ("code", "status", "sent", "billed", "cost"),
    [
        (Code.ACCESS_GRANTED, 200, True, 0.0016, 0.0016),
        (Code.ACCESS_GRANTED, 200, True, None, 0.002),
        (Code.VERIFICATION_REQUIRED, 403, True, None, 0.0),
        (Code.VERIFICATION_REQUIRED, 200, True, None, 0.0),
        (Code.QUOTA_EXHAUSTED, 429, True, None, 0.0),
        (Code.NETWORK_ERROR, None, True, None, 0.002),
        (Code.NETWORK_ERROR, None, False, None, 0.0),
        (Code.SERVER_ERROR, 500, True, None, 0.002),
        (Code.EDGE_ERROR, 524, True, None, 0.002),
        (Code.EDGE_ERROR, 403, True, None, 0.0),
        (Code.UNRECOGNIZED, 200, True, None, 0.002),
        (Code.RATE_LIMITED, 429, True, None, 0.0),
    ],
)
def test_what_an_answer_costs(code, status, sent, billed, cost):
    assert cost_of(code, status, sent=sent, billed=billed, price=0.002) == cost
