"""What holds probes back. Times are seconds."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.access.limits import Cadence
from monitor.access.pacing import Breaker, ImageGap, TokenBucket
from monitor.access.words import Code


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
