"""What a message leaves out when a service has little room, and in which order."""

import re
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monitor.access.events import Event
from monitor.access.words import EventKind, Reason
from monitor.alerts.messages import Draft, MessageLimits, first_of
from monitor.alerts.render import Message

NOW = datetime(2026, 11, 20, 14, 22, 31, tzinfo=UTC)
EVIDENCE = "# Access evidence\n" + "| 403 | `verification_required` |\n" * 60
Make = Callable[..., Event]


def room(size: int) -> MessageLimits:
    return MessageLimits(lambda message: len(message.title) + len(message.text) <= size)


def told(items: list[Event], within: MessageLimits) -> list[Message]:
    left = [replace(one, id=n) for n, one in enumerate(items, 1)]
    messages = []
    while left:
        number, message = first_of(Draft(left, now=NOW), within)
        messages.append(message)
        left = left[number:]
    return messages


@pytest.fixture
def overdue(event: Make) -> Event:
    facts: dict[str, Any] = {
        "status": 403,
        "message": "Your organization must be verified.",
        "waited_s": 7_530,
        "evidence": EVIDENCE,
    }
    return event(EventKind.OVERDUE, Reason.DEADLINE_PASSED, facts=facts)


def test_the_evidence_goes_first_then_what_to_do_then_the_facts(overdue: Event) -> None:
    shown = {}
    for size in (4000, 1000, 600, 350):
        (message,) = told([overdue], room(size))
        shown[size] = [
            word
            for word in ("Access evidence", "What to do:", "Server said", "has not opened")
            if word in message.text
        ]
    assert shown == {
        4000: ["Access evidence", "What to do:", "Server said", "has not opened"],
        1000: ["What to do:", "Server said", "has not opened"],
        600: ["Server said", "has not opened"],
        350: ["has not opened"],
    }


def test_what_was_left_out_is_said_with_the_command_that_shows_it(overdue: Event) -> None:
    (message,) = told([overdue], room(1000))
    target = "acme-prod/gpt-image-2:images"
    assert f"Left out: the evidence (`access-monitor evidence {target}`)." in message.text
    (message,) = told([overdue], room(600))
    assert f"Left out: what to do (`access-monitor history {target}`), the evidence" in message.text
    (message,) = told([overdue], room(4000))
    assert "Left out" not in message.text


def test_a_text_message_holds_the_headline_and_the_id(overdue: Event) -> None:
    (message,) = told([overdue], room(160))
    assert message.title.startswith("Overdue: gpt-image-2:images (acme-prod)")
    assert message.text.startswith("OpenAI access to gpt-image-2 on images has not opened")
    (message,) = told([overdue], room(67))
    assert message.text == "[#1]\n"
    assert len(message.title) <= 60
    assert message.title.endswith("[#1]")


def test_a_short_title_leaves_the_rest_of_the_message_whole(overdue: Event) -> None:
    (message,) = told([overdue], MessageLimits(title=50))
    assert len(message.title) <= 50
    assert message.title.endswith("… [#1]")
    assert "Access evidence" in message.text


def test_many_share_one_message_with_less_in_it_before_they_need_two(event: Make) -> None:
    light = event(EventKind.FIRST_LIGHT, Reason.FIRST_GRANTED)
    (message,) = told([light] * 5, room(1000))
    assert message.text.count("First light: gpt-image-2:images (acme-prod)") == 5
    assert message.text.count("Do not switch production yet") == 1


def test_many_go_in_as_few_messages_as_can_be_about_equally_long(event: Make) -> None:
    light = event(EventKind.FIRST_LIGHT, Reason.FIRST_GRANTED)
    within = room(2000)
    messages = told([light] * 158, within)
    sizes = [one.text.count("First light: ") for one in messages]
    assert sum(sizes) == 158
    assert max(sizes) - min(sizes) <= 1
    barest = len("First light: gpt-image-2:images (acme-prod) [#100]\n")
    assert len(messages) <= 158 * barest // 2000 + 1
    assert all(f"{size} changes, org-acme-0001: {size} first light" == one.title
               for size, one in zip(sizes, messages, strict=True))  # fmt: skip


@settings(max_examples=100, deadline=None)
@given(
    size=st.integers(20, 4000),
    events=st.lists(st.sampled_from(EventKind), min_size=1, max_size=60),
)
def test_whatever_the_room_all_is_told_once_in_order_and_fits(
    size: int, events: list[EventKind]
) -> None:
    within = room(size)
    items = [
        Event(event, Reason.GATED, NOW, target="acme-prod/gpt-image-2:images", scope="org")
        for event in events
    ]
    messages = told(items, within)
    ids = [[int(id_) for id_ in re.findall(r"\[#(\d+)\]", one.text)] for one in messages]
    assert [id_ for some in ids for id_ in sorted(some)] == list(range(1, len(events) + 1))
    for message in messages:
        # one alone goes out however small the room is: the service has the last word
        assert within.takes(message) or message.text == f"[#{message.title[-4:].strip('[#]')}]\n"
