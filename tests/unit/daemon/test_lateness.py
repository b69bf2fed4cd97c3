"""A monitor that cannot keep up: how its rounds get longer, and what is said of it."""

from datetime import UTC, datetime, timedelta
from heapq import heapify, heapreplace
from itertools import pairwise

import pytest
import structlog

from monitor.access.cadence import next_probe, phase_of
from monitor.access.limits import Cadence
from monitor.access.memory import TargetState
from monitor.access.words import State
from monitor.daemon.schedule import Lateness

START = datetime(2026, 11, 20, 12, tzinfo=UTC)
EVERY = 10.0


def played(targets: int, in_a_second: float, seconds: float) -> tuple[list[list[float]], Lateness]:
    """When each target was probed by a monitor that makes so many probes a second."""
    cadence = Cadence(eager=timedelta(seconds=EVERY))
    memory = TargetState(State.UNVERIFIED, since=START, gated_seen=True, eager_since=START)
    phases = [phase_of(f"target {n}") for n in range(targets)]
    queue = [(START + timedelta(seconds=EVERY * phase), n) for n, phase in enumerate(phases)]
    heapify(queue)
    made: list[list[float]] = [[] for _ in phases]
    lateness, now = Lateness(), START
    while (elapsed := (now - START).total_seconds()) < seconds:
        due, n = queue[0]
        begun = max(due, now)
        late = (begun - due).total_seconds()
        made[n].append((begun - START).total_seconds())
        now = begun + timedelta(seconds=1 / in_a_second)
        behind = lateness.made(late, EVERY, elapsed)
        plan = next_probe(memory, now, cadence, phase=phases[n], behind=behind)
        heapreplace(queue, (plan.at, n))
    return made, lateness


@pytest.mark.parametrize("share", [0.95, 0.8, 0.4])
def test_rounds_get_longer_by_as_much_for_all_targets(share):
    made, lateness = played(200, 20 * share, 400)
    counts = [len(times) for times in made]
    assert max(counts) - min(counts) <= 1
    # once it is known, nothing is left unused, and all are as far apart
    gaps = [b - a for times in made for a, b in pairwise(times) if a > 250]
    assert max(gaps) - min(gaps) < 0.5
    assert max(gaps) == pytest.approx(EVERY / share, abs=0.5)
    assert lateness.missed == pytest.approx(sum(counts) * (1 / share - 1), rel=0.25)


def test_who_keeps_up_stays_on_the_grid_and_misses_nothing():
    made, lateness = played(200, 40, 100)
    gaps = [b - a for times in made for a, b in pairwise(times)]
    assert max(gaps) < EVERY + 1
    assert lateness.missed == 0
    assert lateness.words() == ()


def test_it_is_said_once_and_its_end_once():
    lateness = Lateness()
    with structlog.testing.capture_logs() as logs:
        assert [lateness.made(5.0, EVERY, now) for now in range(20)] == [True] * 20
        assert lateness.words() != ()
        for now in range(20, 25):
            assert lateness.made(0.4, EVERY, now)
        assert lateness.made(0.0, EVERY, 30)
        assert not lateness.made(0.0, EVERY, 40)
    said = [(entry["event"], entry.get("rounds_missed")) for entry in logs]
    assert said == [("falling_behind", None), ("caught_up", 10.2)]
    assert lateness.words() == ()


def test_a_moment_in_which_many_are_due_is_not_said():
    lateness = Lateness()
    with structlog.testing.capture_logs() as logs:
        for now in (0.0, 1.0, 2.0, 4.0):
            lateness.made(3.0, EVERY, now)
        for now in range(5, 30):
            lateness.made(0.0, EVERY, now)
    assert logs == []
