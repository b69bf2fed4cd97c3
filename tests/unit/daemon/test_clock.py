"""Even time, and the wall clock's steps."""

from datetime import UTC, datetime, timedelta

from monitor.daemon.clock import Clock

START = datetime(2026, 11, 20, 12, tzinfo=UTC)


class Watch:
    """A wall clock and even seconds, turned by hand."""

    def __init__(self) -> None:
        self.wall, self.even = START, 1000.0

    def passes(self, seconds: float) -> None:
        self.wall += timedelta(seconds=seconds)
        self.even += seconds


def clock_of(watch: Watch) -> Clock:
    return Clock(wall=lambda: watch.wall, even=lambda: watch.even)


def test_time_passes_evenly_whatever_is_done_to_the_wall_clock():
    watch = Watch()
    clock = clock_of(watch)
    watch.passes(10)
    watch.wall -= timedelta(hours=1)
    assert clock.now() == START + timedelta(seconds=10)


def test_a_step_is_told_once_with_its_size_and_followed():
    watch = Watch()
    clock = clock_of(watch)
    watch.passes(10)
    watch.wall -= timedelta(hours=1)
    assert clock.step() == timedelta(hours=-1)
    assert clock.step() is None
    assert clock.now() == watch.wall


def test_a_clock_that_is_disciplined_is_followed_without_a_word():
    watch = Watch()
    clock = clock_of(watch)
    watch.passes(3600)
    watch.wall += timedelta(seconds=1.5)
    assert clock.step() is None
    assert clock.now() == watch.wall


def test_a_wall_clock_that_stands_still_is_not_followed_until_it_goes_again():
    watch = Watch()
    clock = clock_of(watch)
    for _ in range(10):
        watch.even += 1
        assert clock.step() is None
        assert clock.stands
    assert clock.now() == START + timedelta(seconds=10)
    watch.passes(1)
    assert clock.step() == timedelta(seconds=-10)
    assert not clock.stands
    assert clock.now() == watch.wall


def test_two_questions_at_one_moment_are_no_standing_clock():
    clock = clock_of(Watch())
    assert clock.step() is None
    assert not clock.stands
