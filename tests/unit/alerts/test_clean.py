import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.access.readable import duration
from monitor.alerts.facts import clean, title
from monitor.alerts.render import prose_html, slack_prose, slack_words


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-5, "0 s"),
        (45.9, "45 s"),
        (60, "1 min"),
        (1_020, "17 min"),
        (3_599, "59 min"),
        (7_500, "2 h 05 min"),
        (86_399, "23 h 59 min"),
        (273_600, "3 d 4 h"),
    ],
)
def test_a_duration_reads_as_people_say_it(seconds: float, text: str) -> None:
    assert duration(seconds) == text


@given(st.text(), st.integers(2, 50))
def test_cleaned_text_is_one_printable_line_within_its_cap(text: str, cap: int) -> None:
    cleaned = clean(text, cap)
    assert cleaned.isprintable()
    assert len(cleaned) <= cap


@given(st.text())
def test_words_in_slack_stay_in_their_code_span(text: str) -> None:
    shown = slack_words(clean(text))
    assert shown == "" or (shown[0] == shown[-1] == "`" and "`" not in shown[1:-1])
    assert "<" not in shown


def test_a_title_is_cut_before_its_tag() -> None:
    cut = title("x" * 300, "[#12]")
    assert len(cut) == 120
    assert cut.endswith("… [#12]")


def test_a_command_in_prose_is_marked_and_names_are_not_formatted() -> None:
    prose = "Tell it: `access-monitor declare verified acme`. <b> *x*"
    assert "<kbd>access-monitor declare verified acme</kbd>. &lt;b&gt;" in prose_html(prose)
    assert slack_prose(prose).endswith("&lt;b&gt; ∗x∗")


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("@everyone @all, [#7] is <@123>", "@ everyone @ all, [ #7] is <@ 123>"),
        ("@**all** and <users/all>", "@ **all** and < users/all>"),
        ("![x](http://a.example) [y](http://b.example)", "![x] (http://a.example) [y] (http://b.example)"),
        ("mail ops@acme.example, at 5 @ 3, see [1] (#8)", "mail ops@acme.example, at 5 @ 3, see [1] (#8)"),
    ],
)  # fmt: skip
def test_words_from_outside_call_nobody_and_look_like_no_number_of_ours(
    said: str, shown: str
) -> None:
    assert clean(said) == shown
    assert clean(clean(said)) == shown
