"""Times as people type them."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.access.typed_times import echo, parse_time

BERLIN = ZoneInfo("Europe/Berlin")
NOW = datetime(2026, 11, 20, 13, 0, 30, tzinfo=UTC)  # 14:00:30 in Berlin


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("now", "2026-11-20 14:00:30+01:00"),
        ("14:00", "2026-11-20 14:00:00+01:00"),
        ("14:05", "2026-11-19 14:05:00+01:00"),
        ("today 9:00", "2026-11-20 09:00:00+01:00"),
        ("yesterday 9:00", "2026-11-19 09:00:00+01:00"),
        ("Yesterday at 2:05 PM", "2026-11-19 14:05:00+01:00"),
        ("2pm", "2026-11-20 14:00:00+01:00"),
        ("12:05am", "2026-11-20 00:05:00+01:00"),
        ("12:05Z", "2026-11-20 13:05:00+01:00"),
        ("20 min ago", "2026-11-20 13:40:30+01:00"),
        ("20min", "2026-11-20 13:40:30+01:00"),
        ("an hour ago", "2026-11-20 13:00:30+01:00"),
        ("2 hours and 5 minutes ago", "2026-11-20 11:55:30+01:00"),
        ("1h30m ago", "2026-11-20 12:30:30+01:00"),
        ("1.5 h ago", "2026-11-20 12:30:30+01:00"),
        ("3 days ago", "2026-11-17 14:00:30+01:00"),
        ("2026-11-20 12:05", "2026-11-20 12:05:00+01:00"),
        ("2026-11-20T12:05:00Z", "2026-11-20 13:05:00+01:00"),
        ("2026-11-20t12:05:00.250-05:00", None),
        ("2026-11-20 05:05:00.5 -05:00", "2026-11-20 11:05:00+01:00"),
        ("2026-07-01 12:05 UTC", "2026-07-01 14:05:00+02:00"),
    ],
)
def test_the_forms_people_use_are_local_the_latest_one_past_and_echoed_with_their_offset(
    text, wanted
):
    if wanted is None:
        with pytest.raises(ValueError, match="in the future"):
            parse_time(text, NOW, BERLIN)
    else:
        assert echo(parse_time(text, NOW, BERLIN), BERLIN) == wanted


@pytest.mark.parametrize(
    "text",
    [
        "", "ago", "14", "25:00", "14:60", "13pm", "0am", "20", "5 ago", "soon", "2026-11-20",
        "2026-02-30 10:00", "14:05+99:00", "1 d and ago", "２０ min ago", "0000-01-01 10:00",
        "0001-01-01 00:00+12:00", "999999 weeks ago", "20 min ago\nx", "14:05:00:00", "-5 min ago",
    ],
)  # fmt: skip
def test_what_is_no_time_says_so(text):
    with pytest.raises(ValueError, match=r"is no time"):
        parse_time(text, NOW, BERLIN)


@pytest.mark.parametrize("text", ["2026-11-20 14:01", "today 14:05", "2026-11-20T13:00:31Z"])
def test_one_in_the_future_is_an_error(text):
    with pytest.raises(ValueError, match=r"is in the future: 2026-11-20 14:.*\+01:00"):
        parse_time(text, NOW, BERLIN)


def test_of_an_hour_that_the_clocks_repeat_the_latest_one_past_is_meant():
    first, second = (datetime(2026, 10, 25, hour, 30, tzinfo=UTC) for hour in (0, 1))
    between = datetime(2026, 10, 25, 1, 0, tzinfo=UTC)
    assert parse_time("2:30", between, BERLIN) == first
    assert parse_time("2:30", datetime(2026, 10, 25, 4, tzinfo=UTC), BERLIN) == second
    assert parse_time("2026-10-25 02:30", NOW, BERLIN) == second
    assert parse_time("2026-10-25 02:30+02:00", NOW, BERLIN) == first


def test_an_hour_that_the_clocks_skip_does_not_exist():
    after = datetime(2026, 3, 29, 10, tzinfo=UTC)
    for text in ("2026-03-29 02:30", "today 2:30"):
        with pytest.raises(ValueError, match="clocks were put forward"):
            parse_time(text, after, BERLIN)
    assert parse_time("2:30", after, BERLIN) == datetime(2026, 3, 28, 1, 30, tzinfo=UTC)


def test_without_a_zone_the_machines_own_is_taken():
    here = datetime(2026, 11, 20, 10, 0).astimezone()
    assert parse_time("2026-11-20 10:00", here) == here


@given(st.text(max_size=30))
def test_any_text_is_a_time_in_the_past_or_a_value_error(text):
    try:
        at, said = parse_time(text, NOW, BERLIN), "is "
    except ValueError as error:
        at, said = NOW, str(error)
    assert at <= NOW
    assert said.startswith(("is ", "does "))
