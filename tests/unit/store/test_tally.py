"""What the daemon counts for the metrics, and how it is stored."""

import json

import pytest

from monitor.store.tally import COUNTED, DURATIONS, LATENESS, Histogram, Tally

TOOK = {"connect": 12.0, "tls": None, "first_byte": 90.0, "total": 120.0}


def counted() -> Tally:
    tally = Tally()
    tally.probed("openai", "access_granted", 0.2, TOOK)
    tally.probed("openai", "access_granted", 400.0, TOOK)
    tally.probed("relay", "none", 0.0, {"total": 200_000.0})
    tally.notified("ops", "delivered", 3)
    tally.notified("ops", "failed", 1)
    return tally


def stored(tally: Tally) -> Tally:
    return Tally.of(json.loads(json.dumps({COUNTED: tally.as_json(), "probes": 7})))


def test_it_is_read_back_as_it_was_stored_and_counts_on():
    again = stored(counted())
    assert again.as_json() == counted().as_json()
    again.probed("openai", "access_granted", 0.0, TOOK)
    assert again.probes["openai"]["access_granted"] == 3
    assert again.durations["openai"]["total"].cumulative()[-1] == 3


def test_what_is_stored_does_not_change_while_counting_goes_on():
    tally = counted()
    before = json.dumps(tally.as_json())
    kept = tally.as_json()
    tally.notified("ops", "delivered", 1)
    tally.probed("openai", "server_error", 0.0, TOOK)
    kept["lateness"] = json.loads(before)["lateness"]
    assert kept["notifications"] == json.loads(before)["notifications"]
    assert kept["probes"] == json.loads(before)["probes"]


def test_values_are_counted_up_to_their_bound_and_steps_that_are_not_known_are_not():
    tally = counted()
    total = tally.durations["openai"]["total"]
    assert total.cumulative()[DURATIONS.index(0.1)] == 0
    assert total.cumulative()[DURATIONS.index(0.25)] == 2
    assert total.total == pytest.approx(0.24)
    assert set(tally.durations["openai"]) == {"connect", "first_byte", "total"}
    assert tally.durations["relay"]["total"].cumulative()[-2:] == [0, 1]
    assert tally.lateness.cumulative()[LATENESS.index(300.0) :] == [2, 3]


def test_a_value_equal_to_a_bound_is_within_it():
    one = Histogram((1.0, 2.0))
    one.add(1.0)
    assert one.cumulative() == [1, 1, 1]


def test_routes_and_channels_that_left_the_settings_are_forgotten():
    tally = counted()
    tally.keep({"relay"}, {"pager"})
    assert list(tally.probes) == list(tally.durations) == ["relay"]
    assert not tally.notifications


@pytest.mark.parametrize("status", [
    {}, {COUNTED: None}, {COUNTED: {"probes": {"openai": {"x": "many"}}}}, {COUNTED: {"probes": [1]}},
    {COUNTED: {"lateness": {}}}, {COUNTED: {"durations": {"openai": {"total": {"counts": 3, "sum": 0}}}}},
])  # fmt: skip
def test_what_cannot_be_read_is_counted_anew(status):
    assert Tally.of(status).as_json() == Tally().as_json()


def test_a_histogram_of_other_bounds_begins_anew():
    status = {COUNTED: {"lateness": {"counts": [1, 2, 3], "sum": 4.0}}}
    assert Tally.of(status).lateness.cumulative() == [0] * (len(LATENESS) + 1)
