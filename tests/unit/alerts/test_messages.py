"""What people read, compared with stored texts in `messages/EVENT.{txt,html,slack}`.

After a change of wording, write them anew and read the difference:

    ACCESS_MONITOR_WRITE_MESSAGES=1 pytest tests/unit/alerts/test_messages.py
"""

import os
import re
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monitor.access.events import Event
from monitor.access.words import EventKind, Reason, State
from monitor.alerts.facts import EventFacts
from monitor.alerts.messages import FULL_MOST, Detail, Draft
from monitor.alerts.render import Message

FOLDER = Path(__file__).parent / "messages"
NOW = datetime(2026, 11, 20, 14, 22, 31, tzinfo=UTC)
Make = Callable[..., Event]


def compose(events: list[Event], *, now: datetime, summary: str | None = None) -> Message:
    return Draft(events, now=now, summary=summary).message()


def test_a_message_reads_as_stored(stored: tuple[str, list[Event]]) -> None:
    name, events = stored
    summary = "pool-a: 812 available, 40 unverified, 3 invalid credentials"
    message = compose(
        [replace(one, id=123 + n) for n, one in enumerate(events)],
        now=NOW,
        summary=summary if name == "pool" else None,
    )
    found = {
        "txt": f"{message.title}\n({message.level})\n\n{message.text}",
        "html": message.html,
        "slack": message.slack,
    }
    for suffix, text in found.items():
        path = FOLDER / f"{name}.{suffix}"
        if os.environ.get("ACCESS_MONITOR_WRITE_MESSAGES"):
            path.write_text(text, encoding="utf-8")
        assert text == path.read_text(encoding="utf-8")


def test_every_event_has_a_stored_message() -> None:
    assert {path.stem for path in FOLDER.glob("*.txt")} >= set(EventKind)


def test_a_provider_route_is_never_called_openai_access() -> None:
    for path in FOLDER.glob("*-provider.*"):
        text = path.read_text(encoding="utf-8")
        assert "OpenAI access" not in text
        assert "rovider access" in text


def test_first_light_says_not_to_switch_production_yet(event: Make) -> None:
    light = compose([replace(event(EventKind.FIRST_LIGHT, Reason.FIRST_GRANTED), id=1)], now=NOW)
    settled = compose([replace(event(EventKind.AVAILABLE, Reason.SETTLED), id=2)], now=NOW)
    assert "Do not switch production yet" in light.text
    assert "has settled" in settled.text


def ids(text: str) -> list[int]:
    return [int(id_) for id_ in re.findall(r"\[#(\d+)\]", text)]


def test_each_of_many_is_named_once_with_its_id_and_the_first_in_full(event: Make) -> None:
    told = [
        replace(event(EventKind.FIRST_LIGHT, Reason.FIRST_GRANTED,
                          target=f"pool-a-{n:08x}/gpt-image-2:images", scope="pool pool-a",
                          facts={"key": f"pool-a-{n:08x}"}), id=n)
        for n in range(1, 159)
    ]  # fmt: skip
    message = compose(told, now=NOW, summary="pool-a: 158 propagating")
    assert message.title == "158 changes, pool pool-a: 158 first light"
    for text in (message.text, message.html, message.slack):
        assert ids(text) == list(range(1, 159))
        assert text.count("Do not switch production yet") == 1
    heads = re.findall(
        r"^(?:== )?First light: gpt-image-2:images \((\S+)\) \[#", message.text, re.M
    )
    assert heads == [one.facts["key"] for one in told]
    assert len(message.text) < 158 * 70 + 1500


def test_of_many_changes_the_worst_are_shown_in_full(event: Make) -> None:
    light = event(EventKind.FIRST_LIGHT, Reason.FIRST_GRANTED)
    revoked = event(EventKind.REVOKED, Reason.REVOCATION)
    told = [replace(light if n < 400 else revoked, id=n) for n in range(1, 402)]
    message = compose(told, now=NOW, summary="pool-a: 399 propagating, 2 unverified")
    assert message.text.startswith("pool-a: 399 propagating, 2 unverified\n")
    assert message.text.count("== Access lost") == 2
    assert message.text.count("== First light") == 1
    assert "And 398 more: 398 first light.\nFirst light: " in message.text
    assert message.level == "failure"
    hostile = compose(told[:1], now=NOW, summary="<!channel>\n*x*<b>")
    assert "<!" not in hostile.slack
    assert "<b>*" not in hostile.html
    assert hostile.text.startswith("<!channel> *x*<b>\n")


def test_what_is_shown_in_full_is_bounded(event: Make) -> None:
    blocked = event(EventKind.BLOCKED, Reason.BLOCKER_SEEN)
    message = compose([replace(blocked, id=n) for n in range(1, 201)], now=NOW)
    assert message.text.count("== Blocked") == FULL_MOST
    assert f"And {200 - FULL_MOST} more: " in message.text
    assert sorted(ids(message.text)) == list(range(1, 201))


def test_the_same_advice_is_given_once_in_a_group(event: Make) -> None:
    light = event(EventKind.FIRST_LIGHT, Reason.FIRST_GRANTED)
    message = compose([replace(light, id=1), replace(light, id=2)], now=NOW)
    assert message.text.count("Do not switch production yet") == 1


def test_a_late_message_says_how_late_it_is(event: Make) -> None:
    light = event(EventKind.FIRST_LIGHT, Reason.FIRST_GRANTED)
    message = compose([replace(light, id=1)], now=NOW + timedelta(hours=2))
    assert "2 h 00 min before this message" in message.text


@pytest.mark.parametrize(
    ("after", "minutes", "said"),
    [(State.UNVERIFIED, 120, 1), (State.UNVERIFIED, 0, 0), (State.AVAILABLE, 120, 0)],
)
def test_a_late_message_of_another_state_says_that_of_now(
    event: Make, after: State, minutes: int, said: int
) -> None:
    known = event(EventKind.UNVERIFIED, Reason.GATED, after=after)
    now = NOW + timedelta(minutes=minutes)
    message = Draft([known], now=now, state=lambda _: State.AVAILABLE).message()
    assert message.text.count("By the last answer: available") == said


def test_missing_facts_leave_their_lines_out(event: Make) -> None:
    bare = replace(event(EventKind.OVERDUE, Reason.DEADLINE_PASSED), facts={}, target=None)
    text = compose([replace(bare, id=1)], now=NOW).text
    assert "None" not in text
    assert "Organization:" not in text


@pytest.mark.parametrize(("usd", "shown"), [(0.003, "$0.003."), (0.05, "$0.05."), (5.0, "$5.")])
def test_a_budget_is_shown_as_it_was_set_however_small_it_is(
    event: Make, usd: float, shown: str
) -> None:
    facts = {"spent_usd": 0.0028, "budget_usd": usd, "budget_scope": "key acme"}
    spent = event(EventKind.BUDGET, Reason.BUDGET_EXHAUSTED, facts=facts)
    assert f"$0.0028 of {shown} " in compose([replace(spent, id=1)], now=NOW).text


def test_a_long_name_is_shortened_in_the_title_alone_and_not_at_the_expense_of_the_key(
    event: Make,
) -> None:
    model = "accounts/acme-research-department/deployments/" + "long-model-" * 9 + "quantized"
    target = f"acme-prod/{model}:chat"
    facts = {"model": model, "surface": "chat"}
    locked = event(EventKind.LOCKED, Reason.LOCKED_BY_ANSWER, target=target, facts=facts)
    message = compose([replace(locked, id=123)], now=NOW)
    assert "quantized:chat (acme-prod) [#123]" in message.title
    assert f"Target: {target}\n" in message.text
    assert f"`access-monitor evidence {target}`" in message.text
    barest = Draft([locked], now=NOW).message(Detail(("rows",)))
    assert f"`access-monitor history {target}`" in barest.text


def test_who_is_offline_is_not_advised_as_if_the_server_were_slow() -> None:
    facts = {"routes": ["openai", "relay"], "rules": ["no_answer_timeout"]}
    offline = Event(EventKind.OFFLINE, Reason.ALL_ROUTES_FAIL, NOW, facts=facts)
    text = compose([offline], now=NOW).text
    assert "slow" not in text
    assert "Check this machine's network" in text


def test_a_hostile_answer_cannot_write_into_the_message(event: Make) -> None:
    words = (
        "<!channel> <script>*x*</script>\r\nBcc: a@b.example\n`code`\u202egnp\u0007 " + "A" * 9000
    )
    hostile = event(EventKind.REVOKED, Reason.REVOCATION, facts={"status": 403, "message": words})
    message = compose([replace(hostile, id=1)], now=NOW)
    assert "<!" not in message.slack
    assert "<script" not in message.html
    for text in (message.text, message.html, message.slack):
        assert "\u202e" not in text
        assert "\u0007" not in text
        assert "\nBcc" not in text
        assert "A" * 400 not in text
    line = next(one for one in message.slack.splitlines() if "Server said" in one)
    assert line.count("`") == 2  # one code span: the asterisks in it format nothing


def test_a_hostile_name_cannot_write_into_the_title(event: Make) -> None:
    name = "x\nSubject: y\u202e" + "z" * 500
    message = compose(
        [replace(event(EventKind.REVOKED, Reason.REVOCATION, facts={"model": name}), id=7)], now=NOW
    )
    assert "\n" not in message.title
    assert len(message.title) <= 120
    assert message.title.endswith("[#7]")


def test_nothing_to_tell_is_an_error() -> None:
    with pytest.raises(ValueError, match="nothing to tell"):
        compose([], now=NOW)


JSON: Any = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=30),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=4,
)


@settings(max_examples=150, deadline=None)
@given(
    kind=st.sampled_from(EventKind),
    reason=st.sampled_from(Reason),
    target=st.none() | st.text(max_size=40),
    facts=st.dictionaries(st.sampled_from(sorted(EventFacts.__annotations__)), JSON, max_size=8),
)
def test_whatever_the_facts_are_there_is_a_message(
    kind: EventKind, reason: Reason, target: str | None, facts: dict[str, Any]
) -> None:
    event = Event(kind, reason, NOW, target=target, scope=target, facts=facts)
    for told in ([replace(event, id=5)], [replace(event, id=5), replace(event, id=6)]):
        message = compose(told, now=NOW)
        assert len(message.title) <= 120
        assert message.title.isprintable()
        for text in (message.text, message.html, message.slack):
            assert ids(text) == [one.id for one in told]
        assert "<" not in message.slack
        assert ">" not in message.slack


def test_a_message_links_to_the_page_of_its_target_where_there_is_one(event: Make) -> None:
    page = "https://monitor.example/target?name=acme-prod%2Fgpt-image-2%3Aimages"
    told = event(EventKind.AVAILABLE, Reason.SETTLED, facts={"page": page})
    message = compose([told], now=NOW)
    assert f"The target's page: {page}\n" in message.text
    assert f'The target\'s page: <a href="{page}">{page}</a>' in message.html
    assert f"<{page}|The target's page>" in message.slack
    without = compose([event(EventKind.AVAILABLE, Reason.SETTLED)], now=NOW)
    assert "page" not in without.text


@pytest.mark.parametrize(
    "page", ["javascript:alert(1)", "https://a.example/<!channel>", "https://a.example/ x", 7, "/x"]
)
def test_what_is_no_address_of_ours_is_no_link(event: Make, page: object) -> None:
    told = event(EventKind.AVAILABLE, Reason.SETTLED, facts={"page": page})
    assert "page" not in compose([told], now=NOW).text
