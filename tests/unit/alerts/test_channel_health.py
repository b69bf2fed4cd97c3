"""When a failed message goes again, and when a channel counts as down."""

import pytest

from monitor.alerts.channel_health import DOWN_AFTER, DOWN_GROUPS, ChannelHealth


def test_the_first_waits_are_short_and_then_they_double():
    backoff = ChannelHealth(1.0, 900.0).backoff
    waits = [backoff(n, 0.5) for n in range(1, 12)]
    assert waits == [1, 1, 1.5, 2, 3, 4, 6, 8, 16, 32, 64]
    assert backoff(10_000, 1.0) == 900.0
    assert backoff(1, 0.0) == pytest.approx(0.875)
    assert backoff(1, 1.0) == pytest.approx(1.125)


def failing(health, *, groups, seconds):
    told = [health.failed(n, n * seconds / max(groups - 1, 1), 0.0) for n in range(groups)]
    return any(told)


def test_a_channel_is_down_when_enough_messages_failed_for_long_enough():
    for groups, seconds, down in (
        (DOWN_GROUPS, DOWN_AFTER, True),
        (DOWN_GROUPS - 1, 10 * DOWN_AFTER, False),
        (10 * DOWN_GROUPS, DOWN_AFTER - 0.1, False),
    ):
        health = ChannelHealth(1.0, 900.0)
        assert failing(health, groups=groups, seconds=seconds) is down
        assert health.down is down


def test_one_message_that_always_fails_makes_no_channel_down():
    health = ChannelHealth(1.0, 900.0)
    assert not any(health.failed("one", float(at), 0.0) for at in range(100))
    assert health.ready_at(100.0) <= 100.0


def test_a_success_in_between_begins_the_count_anew():
    health = ChannelHealth(1.0, 900.0)
    failing(health, groups=DOWN_GROUPS - 1, seconds=DOWN_AFTER)
    assert health.succeeded() is False
    assert not health.failed("next", DOWN_AFTER + 1, 0.0)


def test_while_it_is_down_trials_get_rarer_and_something_new_hastens_one():
    health = ChannelHealth(1.0, 900.0)
    failing(health, groups=DOWN_GROUPS, seconds=DOWN_AFTER)
    for n in range(12):
        at = health.ready_at(0.0)
        health.failed(n, at, 0.0)
    assert health.ready_at(at) - at > 60
    health.retry_soon(at + 20)
    assert health.ready_at(at + 20) == at + 20
    assert health.succeeded() is True
    assert not health.down
    assert health.ready_at(at) == at


def test_a_service_that_asks_for_time_gets_it():
    health = ChannelHealth(1.0, 900.0)
    health.failed(1, 0.0, 0.0, asked=50.0)
    health.failed(2, 0.0, 0.0, asked=40.0)
    assert health.ready_at(10.0) == 50.0
    assert health.ready_at(60.0) <= 60.0


def test_what_is_given_up_untried_says_why_the_last_attempt_failed():
    health = ChannelHealth(1.0, 900.0)
    health.failed(1, 0.0, 0.0, reason="Connection refused")
    assert health.why == "the channel has not worked for too long: Connection refused"
    health.failed(2, 0.0, 0.0, asked=float("inf"), reason="HTTP 410")
    assert health.why.endswith("as it answered before: HTTP 410")
