"""What holds probes back. Times are seconds."""

from heapq import heapify, heappop, heappush
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.access.limits import Cadence
from monitor.access.pacing import Breaker, ImageGap, TokenBucket
from monitor.access.words import Code, Hold


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


def test_a_target_that_settles_goes_before_those_that_wait():
    gap = ImageGap(Cadence())
    gap.reserve(0)
    gap.sent(0)
    waiting = [gap.reserve(1) for _ in range(3)]
    settling = gap.reserve(5, first=True)
    assert settling.at == 20
    assert [gap.holds(slot) for slot in waiting] == [False] * 3
    second = gap.reserve(6, first=True)
    assert (second.at, gap.holds(settling), gap.holds(second)) == (40, True, True)
    gap.sent(20)
    assert [gap.reserve(at).at for at in (20, 40, 60)] == [60, 80, 100]


def test_a_429_voids_the_place_of_a_target_that_settles_too():
    gap = ImageGap(Cadence())
    gap.sent(0)
    slot = gap.reserve(1, first=True)
    gap.answered(Code.RATE_LIMITED, {}, 2)
    assert not gap.holds(slot)
    assert gap.reserve(20, first=True).at == 62


def test_who_settles_alone_takes_nobodys_place():
    gap = ImageGap(Cadence())
    gap.reserve(0)
    gap.sent(0)
    first = gap.reserve(30, first=True)
    after = gap.reserve(30)
    assert (first.at, after.at, gap.holds(first), gap.holds(after)) == (30, 50, True, True)


@given(st.lists(st.tuples(st.floats(0, 200), st.booleans()), min_size=2, max_size=30))
def test_whoever_goes_first_the_gap_is_kept_and_everybody_has_a_turn(probes):
    gap, sent, slots = ImageGap(Cadence()), [], {}
    waiting = [(at, n, first) for n, (at, first) in enumerate(probes)]
    heapify(waiting)
    while waiting:
        now, n, first = heappop(waiting)
        if not gap.holds(slots.get(n)):
            slots[n] = gap.reserve(now, first=first)
        if slots[n].at > now:
            heappush(waiting, (slots[n].at, n, first))
            continue
        gap.sent(now)
        sent.append(now)
    assert len(sent) == len(probes)
    assert all(later - earlier >= 19.999 for earlier, later in pairwise(sent))
    assert sent[-1] <= max(at for at, _ in probes) + 20 * len(probes)


def test_a_place_says_whether_the_servers_own_limit_holds_it_back():
    gap = ImageGap(Cadence())
    assert gap.reserve(0).held_by is Hold.IMAGE_GAP
    gap.answered(Code.VERIFICATION_REQUIRED, {"x-ratelimit-limit-requests": "2"}, 1)
    assert gap.reserve(1).held_by is Hold.ANNOUNCED_LIMIT


def test_never_more_than_half_of_an_announced_limit():
    gap = ImageGap(Cadence())
    gap.answered(Code.ACCESS_GRANTED, {"x-ratelimit-limit-requests": "2"}, 1)
    gap.answered(Code.ACCESS_GRANTED, {"x-ratelimit-limit-requests": "nonsense"}, 1)
    gap.answered(Code.ACCESS_GRANTED, {"x-ratelimit-limit-requests": "0"}, 1)
    assert [gap.reserve(1).at, gap.reserve(1).at] == [1, 61]


def test_a_bucket_lets_a_burst_through_and_then_its_rate():
    bucket = TokenBucket(5)
    slots = [bucket.reserve(100.0) for _ in range(15)]
    assert slots[:5] == pytest.approx([100.0] * 5)
    assert slots[14] == pytest.approx(102.0)


@given(st.lists(st.floats(0, 3), min_size=2, max_size=100), st.floats(0.5, 20))
def test_a_bucket_never_gives_more_than_rate_and_burst_within_a_second(waits, rate):
    bucket, now, slots = TokenBucket(rate), 0.0, []
    for wait in waits:
        now += wait
        slots.append(bucket.reserve(now))
    for slot in slots:
        within = sum(slot <= other < slot + 1 for other in slots)
        assert within <= max(rate, 1) + rate + 1


def test_refusals_by_the_edge_open_the_breaker_and_an_answer_closes_it():
    breaker = Breaker(keys=1, trial_every=60.0)
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
    breaker = Breaker(keys=10, trial_every=60.0)
    for n in range(20):
        breaker.answered("a", Code.RATE_LIMITED, n)
    assert not breaker.open
    breaker.answered("b", Code.RATE_LIMITED, 20)
    breaker.answered("c", Code.RATE_LIMITED, 21)
    assert breaker.open
