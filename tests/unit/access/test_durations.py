from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.access.fields import format_duration, parse_duration


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("20s", 20), ("5m", 300), ("2h", 7200), ("7d", 604800), ("1h30m", 5400), ("250ms", 0.25)],
)
def test_a_duration_is_read_with_its_units(text: str, seconds: float) -> None:
    assert parse_duration(text) == timedelta(seconds=seconds)


@pytest.mark.parametrize(
    "text",
    ["", "20", "s", "1.5h", "30m1h", "1h1h", " 5m", "5m\n", "5 m", "5M", "٣m", "1e3s", "9" * 30],
)
def test_what_is_no_duration_is_an_error_that_shows_how_to_write_one(text: str) -> None:
    with pytest.raises(ValueError, match="1h30m"):
        parse_duration(text)


@pytest.mark.parametrize("text", ["9999d", "999999999999999d", "99999999999d1h", "9" * 5000 + "s"])
def test_what_is_too_long_says_the_most(text: str) -> None:
    with pytest.raises(ValueError, match=r"long.*3660d"):
        parse_duration(text)


@given(st.integers(min_value=1, max_value=3660 * 86_400_000))
def test_a_written_duration_reads_back_as_the_same(milliseconds: int) -> None:
    value = timedelta(milliseconds=milliseconds)
    assert parse_duration(format_duration(value)) == value


def test_no_time_at_all_is_written_as_0s() -> None:
    assert format_duration(timedelta()) == "0s"
