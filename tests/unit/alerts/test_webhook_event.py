"""What a webhook is sent: by the published schema, bounded, with a key that never changes."""

import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import jsonschema_rs
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from monitor.access.events import Event
from monitor.access.words import Code, EventKind, Reason, State
from monitor.alerts import webhook_event
from monitor.alerts.facts import Details, EventFacts
from monitor.alerts.webhook_event import BODY_MOST, body_of, schema, trial_body, webhook_id

AT = datetime(2026, 11, 20, 14, 5, 0, 123000, tzinfo=UTC)
VALID = jsonschema_rs.validator_for(schema())
LIGHT = Event(
    EventKind.AVAILABLE,
    Reason.SETTLED,
    AT,
    target="acme-prod/vendor/painter:free:images",
    scope="org-acme",
    route="openai",
    before=State.PROPAGATING,
    after=State.AVAILABLE,
    diagnosis=Code.ACCESS_GRANTED,
    request_id="req_FAKE1",
    facts={
        "organization": "org-acme",
        "contract": "direct",
        "status": 200,
        "waited_s": 61.5,
        "evidence": "# a bundle",
        "silenced": {"slack": {"silence": 1, "until": "2026-11-20T15:00:00+00:00"}},
    },
    id=123,
)


def told(event: Event) -> dict[str, Any]:
    body = body_of(event, lambda value: value)
    assert len(body) <= BODY_MOST
    read = json.loads(body)
    VALID.validate(read)
    return read


def test_an_event_is_told_whole() -> None:
    read = told(LIGHT)
    data = read.pop("data")
    assert read == {"type": "available", "timestamp": "2026-11-20T14:05:00.123Z"}
    assert {name: value for name, value in data.items() if value} == {
        "id": 123,
        "kind": "transition",
        "target": "acme-prod/vendor/painter:free:images",
        "organization": "org-acme",
        "key": "acme-prod",
        "model": "vendor/painter:free",
        "surface": "images",
        "route": "openai",
        "contract": "direct",
        "from": "propagating",
        "to": "available",
        "reason": "settled",
        "diagnosis": "access_granted",
        "status": 200,
        "request_id": "req_FAKE1",
        "details": {"waited_s": 61.5},  # neither the bundle nor other channels
    }


def test_a_test_is_of_the_schema_too() -> None:
    VALID.validate(json.loads(trial_body("This is a test.", AT)))


def test_the_schema_takes_nothing_else() -> None:
    jsonschema_rs.meta.validate(schema())
    good = json.loads(body_of(LIGHT, lambda value: value))
    for wrong in (
        good | {"more": 1},
        good | {"type": "opened"},
        good | {"data": good["data"] | {"status": "200"}},
        good | {"data": good["data"] | {"details": {"evidence": "x"}}},
    ):
        assert not VALID.is_valid(wrong)


def test_the_key_is_the_events_own() -> None:
    first = webhook_id(LIGHT)
    assert first == webhook_id(replace(LIGHT, facts={}, channels=("ops",)))
    others = [
        replace(LIGHT, id=124),
        replace(LIGHT, at=AT.replace(second=1)),  # the same number in another database
        replace(LIGHT, target="acme-test/gpt-image-2:images"),
    ]
    assert len({first, *map(webhook_id, others)}) == 4
    assert set(first) <= set("abcdefghijklmnopqrstuvwxyz0123456789_")


def test_what_is_long_is_cut_and_what_does_not_fit_is_named() -> None:
    many = [f"acme-{n}/gpt-image-2:images" + "x" * 400 for n in range(1000)]
    facts = {"message": "no\x00\u202e " * 1000, "stale": many, "direct_shut": many[:9], "probes": 3}
    data = told(replace(LIGHT, facts=facts))["data"]
    assert len(data["message"]) == 500
    assert data["message"].isprintable()
    assert data["left_out"] == ["stale"]
    assert set(data["details"]) == {"direct_shut", "probes"}


def test_a_list_that_is_cut_is_named() -> None:
    stale = [f"acme-{n}/gpt-image-2:images" for n in range(80)]
    data = told(replace(LIGHT, facts={"stale": stale}))["data"]
    assert data["details"]["stale"] == stale[:50]
    assert data["left_out"] == ["stale"]
    assert told(replace(LIGHT, facts={"stale": stale[:50]}))["data"]["left_out"] == []


def test_texts_of_the_largest_signs_fit() -> None:
    large = "\U0001f680" * 900
    names = ("organization", "project", "key", "pool", "model", "message")
    told(replace(LIGHT, facts=dict.fromkeys(names, large)))


def test_the_redactor_has_the_last_word() -> None:
    body = body_of(LIGHT, lambda value: {**value, "type": "hidden"})
    assert json.loads(body)["type"] == "hidden"


def test_every_fact_is_sent_or_kept_back_on_purpose() -> None:
    lifted = set(webhook_event.EventData.__annotations__)
    sent = lifted | set(Details.__annotations__)
    assert set(EventFacts.__annotations__) - sent == {
        "evidence", "rules", "silenced", "hidden_before",
    }  # fmt: skip


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=6,
)


@given(
    st.dictionaries(
        st.sampled_from(sorted(EventFacts.__annotations__)) | st.text(), JSON, max_size=9
    )
)
@example({"changed": [{"": None}]})
def test_whatever_the_facts_are_the_body_is_of_the_schema(facts: dict[str, Any]) -> None:
    told(replace(LIGHT, facts=facts))


@pytest.mark.parametrize("kind", EventKind)
def test_every_kind_of_event_has_a_type(kind: EventKind) -> None:
    assert told(replace(LIGHT, kind=kind, target=None, facts={}))["type"] == kind
