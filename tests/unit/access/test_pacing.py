"""What holds probes back. Times are seconds."""

from collections import Counter
from datetime import timedelta
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


@pytest.mark.parametrize("latency", [0.2, 5.0])
def test_of_those_that_are_answered_429_again_and_again_each_has_its_turn(latency):
    gap, sent, slots = ImageGap(Cadence()), Counter(), {}
    queue = [(0.1 * n, n, False) for n in range(4)]
    while queue:
        now, n, answered = heappop(queue)
        if answered:
            gap.answered(Code.RATE_LIMITED, {}, now)
            heappush(queue, (now + 60, n, False))
            continue
        if not gap.holds(slots.get(n)):
            slots[n] = gap.reserve(now)
        if slots[n].at > now:
            heappush(queue, (slots[n].at, n, False))
            continue
        gap.sent(now)
        slots[n] = None
        sent[n] += 1
        if sum(sent.values()) == 40:
            break
        heappush(queue, (now + latency, n, True))
    assert set(sent.values()) == {10}


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


def test_another_gap_holds_from_the_last_probe_on_and_places_given_before_are_void():
    gap = ImageGap(Cadence(image_gap=timedelta(seconds=1)))
    gap.sent(0)
    waiting = gap.reserve(0), gap.reserve(0, first=True)
    gap.use(Cadence(image_gap=timedelta(seconds=15)), 0.5)
    assert not any(map(gap.holds, waiting))
    assert [gap.reserve(0.5).at for _ in range(9)][::8] == [15, 135]
    gap.use(Cadence(image_gap=timedelta(seconds=2)), 1)
    assert gap.reserve(1).at == 2


def test_the_same_gap_keeps_the_places_that_were_given():
    gap = ImageGap(Cadence())
    gap.sent(0)
    waiting = gap.reserve(0)
    gap.use(Cadence(), 1)
    assert gap.holds(waiting)


def test_an_announced_limit_ends_an_hour_after_it_was_last_said():
    gap = ImageGap(Cadence())
    gap.answered(Code.ACCESS_GRANTED, {"x-ratelimit-limit-requests": "1"}, 0)
    gap.answered(Code.VERIFICATION_REQUIRED, {}, 1000)
    assert [gap.reserve(3500).at, gap.reserve(3500).at] == [3500, 3620]
    again = [gap.reserve(3700) for _ in range(2)]
    assert [slot.at for slot in again] == [3740, 3760]
    assert again[1].held_by is Hold.IMAGE_GAP


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
        assert breaker.ready_at(n, "a") == n
        assert not breaker.answered("a", Code.EDGE_ERROR, n)
    assert breaker.open
    assert breaker.ready_at(10, "a") == breaker.ready_at(10, "b") == 64
    assert breaker.ready_at(64, "a") == 64
    breaker.sent(64, "a")
    assert breaker.ready_at(65, "a") == 124
    assert breaker.answered("a", Code.VERIFICATION_REQUIRED, 66)
    assert not breaker.answered("a", Code.VERIFICATION_REQUIRED, 66)
    assert breaker.ready_at(66, "a") == 66


def test_429_from_many_keys_opens_it_and_from_one_key_does_not():
    breaker = Breaker(keys=10, trial_every=60.0)
    for n in range(20):
        breaker.answered("a", Code.RATE_LIMITED, n)
    assert not breaker.open
    breaker.answered("b", Code.RATE_LIMITED, 20)
    breaker.answered("c", Code.RATE_LIMITED, 21)
    assert breaker.open


def limited_breaker(*keys: str) -> Breaker:
    breaker = Breaker(keys=10, trial_every=60.0)
    for key in keys:
        breaker.answered(key, Code.RATE_LIMITED, 0)
    assert breaker.open
    return breaker


def test_429_of_other_keys_hold_no_key_that_was_not_refused():
    breaker = limited_breaker("a", "b", "c")
    assert [breaker.ready_at(1, key) for key in "abcd"] == [60, 60, 60, 1]
    breaker.sent(1, "d")
    assert breaker.ready_at(2, "a") == 60
    breaker.answered("d", Code.RATE_LIMITED, 3)
    assert breaker.ready_at(4, "d") == 60


def test_refusals_by_the_edge_hold_also_those_that_were_not_refused():
    breaker = limited_breaker("a", "b", "c")
    for n in range(5):
        breaker.answered("a", Code.EDGE_ERROR, n)
    assert breaker.ready_at(5, "d") == 60


@pytest.mark.parametrize("interval", [5.0, 25.0, 300.0])
def test_trials_go_in_turn_and_first_to_who_was_never_asked(interval):
    names = [*(f"key-{n}" for n in range(8)), "new"]
    breaker, trials = limited_breaker(*names), []
    sent = {name: -0.1 * n for n, name in enumerate(names[:8])}
    queue = [(5.0, name) for name in names]
    while len(trials) < 36:
        now, name = heappop(queue)
        at = breaker.ready_at(now, name, sent.get(name, float("-inf")))
        if at <= now:
            breaker.sent(now, name)
            breaker.answered(name, Code.RATE_LIMITED, now)
            trials.append((now, name))
            sent[name], at = now, now + interval
        heappush(queue, (at, name))
    order = [name for _, name in trials]
    assert order[0] == "new"
    # of nine that are always due, none has a second turn before the others have had one
    assert all(len(set(order[n : n + 9])) == 9 for n in range(0, 36, 9))
    times = [now for now, _ in trials]
    assert all(60 <= later - earlier <= 63 for earlier, later in pairwise(times))


def test_other_figures_hold_at_once_and_what_was_learnt_stays():
    breaker = limited_breaker("a", "b", "c")
    breaker.use(10, 10.0, 1)
    assert breaker.ready_at(2, "a") == 11
    breaker.sent(11, "a")
    assert breaker.ready_at(12, "a") == 21
    few = Breaker(keys=10, trial_every=60.0)
    few.use(2, 60.0, 0)
    few.answered("a", Code.RATE_LIMITED, 1)
    few.answered("b", Code.RATE_LIMITED, 2)
    assert few.open


def test_429_of_many_keys_over_a_long_time_do_not_open_it():
    breaker = Breaker(keys=10, trial_every=60.0)
    for n in range(30):
        breaker.answered(f"key-{n}", Code.RATE_LIMITED, 31 * n)
    assert not breaker.open
