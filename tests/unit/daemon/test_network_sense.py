"""When the monitor's own network counts as down."""

from monitor.access.words import Code, EventKind
from monitor.daemon.network import NetworkSense

DOWN = Code.NETWORK_ERROR


def test_every_route_must_fail_and_it_is_told_once():
    sense = NetworkSense({"openai": 1, "relay": 1})
    assert [sense.answered("openai", DOWN) for _ in range(9)] == [None] * 9
    assert sense.answered("relay", DOWN) is None
    assert sense.answered("relay", DOWN) is EventKind.OFFLINE
    assert sense.answered("relay", DOWN) is None


def test_any_answer_of_any_route_is_online_again():
    sense = NetworkSense({"openai": 1})
    sense.answered("openai", DOWN)
    assert sense.answered("openai", DOWN) is EventKind.OFFLINE
    assert sense.answered("openai", Code.SERVER_ERROR) is EventKind.ONLINE
    assert sense.answered("openai", None) is None


def test_two_unlucky_connections_among_many_are_no_outage():
    sense = NetworkSense({"openai": 100})
    assert [sense.answered("openai", DOWN) for _ in range(4)] == [None] * 4
    sense.answered("openai", None)
    assert [sense.answered("openai", DOWN) for _ in range(4)] == [None] * 4
    assert sense.answered("openai", DOWN) is EventKind.OFFLINE
