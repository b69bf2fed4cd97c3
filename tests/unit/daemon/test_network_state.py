"""When the monitor's own network counts as down."""

from datetime import UTC, datetime, timedelta

from monitor.access.observation import Diagnosis
from monitor.access.words import Code, EventKind, Owner
from monitor.daemon.staleness import NetworkState

NOW = datetime(2026, 7, 1, tzinfo=UTC)
DOWN = Diagnosis(Code.NETWORK_ERROR, Owner.NETWORK, "no_answer_refused", message="refused")
SLOW = Diagnosis(Code.NETWORK_ERROR, Owner.NETWORK, "no_answer_timeout", message="no whole answer")
OTHER = Diagnosis(Code.SERVER_ERROR, Owner.PROVIDER, "status_5xx")


def test_every_route_must_fail_and_it_is_told_once():
    sense = NetworkState({"openai": 1, "relay": 1})
    assert [sense.answered("openai", DOWN, NOW) for _ in range(9)] == [None] * 9
    assert sense.answered("relay", DOWN, NOW) is None
    assert sense.answered("relay", DOWN, NOW) is EventKind.OFFLINE
    assert sense.answered("relay", DOWN, NOW) is None


def test_any_answer_of_any_route_is_online_again():
    sense = NetworkState({"openai": 1})
    sense.answered("openai", DOWN, NOW)
    assert sense.answered("openai", DOWN, NOW) is EventKind.OFFLINE
    assert sense.answered("openai", OTHER, NOW + timedelta(hours=2)) is EventKind.ONLINE
    assert sense.facts()["lasted_s"] == 7200
    assert sense.answered("openai", None, NOW) is None


def test_an_only_route_that_takes_the_request_and_does_not_answer_in_time_is_slow():
    sense = NetworkState({"openai": 1})
    assert [sense.answered("openai", SLOW, NOW) for _ in range(9)] == [None] * 9
    sense.answered("openai", DOWN, NOW)
    assert sense.answered("openai", SLOW, NOW) is None
    assert sense.answered("openai", DOWN, NOW) is EventKind.OFFLINE
    # it does not show that the network is back either: the connection may be an old one
    assert sense.answered("openai", SLOW, NOW) is None
    assert sense.offline


def test_all_of_several_routes_that_are_slow_at_once_are_this_network():
    sense = NetworkState({"openai": 1, "relay": 1})
    assert [sense.answered("openai", SLOW, NOW) for _ in range(2)] == [None] * 2
    assert sense.answered("relay", SLOW, NOW) is None
    assert sense.answered("relay", SLOW, NOW) is EventKind.OFFLINE


def test_two_unlucky_connections_among_many_are_no_outage():
    sense = NetworkState({"openai": 100})
    assert [sense.answered("openai", DOWN, NOW) for _ in range(4)] == [None] * 4
    sense.answered("openai", None, NOW)
    assert [sense.answered("openai", DOWN, NOW) for _ in range(4)] == [None] * 4
    assert sense.answered("openai", DOWN, NOW) is EventKind.OFFLINE


def test_a_route_that_nobody_asked_for_long_is_to_be_asked_when_all_others_fail():
    sense = NetworkState({"openai": 1, "relay": 1})
    sense.answered("relay", None, NOW)
    sense.answered("openai", None, NOW)
    later = NOW + timedelta(minutes=30)
    sense.answered("openai", DOWN, later)
    assert sense.to_ask(later) == []
    sense.answered("openai", DOWN, later)
    assert sense.to_ask(later) == ["relay"]
    assert sense.to_ask(later + timedelta(minutes=9)) == []
    assert sense.to_ask(later + timedelta(minutes=11)) == ["relay"]
    sense.answered("relay", DOWN, later)
    assert sense.answered("relay", DOWN, later) is EventKind.OFFLINE
    assert sense.to_ask(later + timedelta(hours=1)) == []


def test_a_route_that_answered_a_moment_ago_is_not_asked():
    sense = NetworkState({"openai": 1, "relay": 1})
    for minute in range(60):
        now = NOW + timedelta(minutes=minute)
        sense.answered("openai", DOWN, now)
        sense.answered("relay", OTHER, now)
        assert sense.to_ask(now) == []


def test_why_a_route_failed_last_is_kept_for_the_message():
    sense = NetworkState({"openai": 1})
    sense.answered("openai", DOWN, NOW)
    assert sense.causes == {"openai": ("no_answer_refused", "refused")}
