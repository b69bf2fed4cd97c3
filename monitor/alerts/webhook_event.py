"""What a webhook is sent: one event as JSON. Pure.

`WebhookEvent` and `TrialEvent` are its form: the published JSON Schema and the table in docs/webhook.md are
made from them.
"""

import hashlib
import json
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, TypeAdapter, with_config
from typing_extensions import TypedDict

from monitor.access.events import Event
from monitor.access.fields import about
from monitor.access.readable import printable, rfc3339
from monitor.access.words import Code, Contract, EventKind, Gate, Owner, Reason, State, Surface
from monitor.alerts.facts import Details, TargetFacts, Time, sound

#: Bytes of a body. Standard Webhooks recommends less than 20 kB.
BODY_MOST = 20_000
#: Characters of one text in it, and entries of one list.
_TEXT_MOST, _LIST_MOST = 500, 50

_STRICT = ConfigDict(extra="forbid")

EventData = TypedDict(
    "EventData",
    {
        "id": Annotated[int, about("The event's number, as in the history; it grows with time")],
        "kind": Annotated[
            Literal["transition", "event"], about("transition when the target's state changed")
        ],
        "target": Annotated[
            str | None, about("KEY/MODEL:SURFACE; null for what concerns a route or the monitor")
        ],
        "organization": Annotated[str | None, about("The organization that the key acts for")],
        "project": Annotated[str | None, about("The project that the key acts for")],
        "key": Annotated[str | None, about("The name of the key")],
        "pool": Annotated[str | None, about("The pool that the key belongs to")],
        "route": Annotated[str | None, about("The route")],
        "contract": Annotated[
            Contract | None, about("Access over a provider's route is never OpenAI access")
        ],
        "model": Annotated[str | None, about("The model")],
        "surface": Annotated[Surface | None, about("The surface of the API")],
        "from": Annotated[State | None, about("The state before, when it changed")],
        "to": Annotated[State | None, about("The state after, when it changed")],
        "reason": Annotated[Reason, about("Why the state changed, or why this is told")],
        "diagnosis": Annotated[Code | None, about("What the last answer means")],
        "gate": Annotated[Gate | None, about("Which gate refused")],
        "owner": Annotated[Owner | None, about("Who owns the problem")],
        "status": Annotated[int | None, about("The HTTP status of the answer")],
        "message": Annotated[str | None, about("The server's own words, cut")],
        "request_id": Annotated[str | None, about("The request id of the answer")],
        "page": Annotated[str | None, about("The address of the target's page")],
        "details": Annotated[Details, about("What events of some kinds have besides")],
        "left_out": Annotated[list[str], about("Details that did not fit, or not whole")],
    },
)
EventData.__doc__ = "The event. What does not apply is null."


class WebhookEvent(TypedDict):
    """One event."""

    type: Annotated[EventKind, about("The kind of event, as in the settings of a channel")]
    timestamp: Annotated[Time, about("When it happened; the header has the time of the attempt")]
    data: EventData


class TrialData(TypedDict):
    """What a test says."""

    message: str


class TrialEvent(TypedDict):
    """What `access-monitor alerts test` sends."""

    type: Literal["test"]
    timestamp: Time
    data: TrialData


for _form in (EventData, WebhookEvent, TrialData, TrialEvent):
    with_config(_STRICT)(_form)

_DETAILS = tuple(Details.__annotations__)


def schema() -> dict[str, Any]:
    """The JSON Schema of the body."""
    made = TypeAdapter(WebhookEvent | TrialEvent).json_schema(mode="serialization")
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "access-monitor webhook",
        **made,
    }


def webhook_id(event: Event) -> str:
    """The idempotency key: the same at each attempt and on every channel.

    It is made of what is stored of the event, and so is the same after a crash. Numbers begin anew with a
    new database; the rest keeps its events apart from those of an earlier one.
    """
    told = (event.id, rfc3339(event.at), event.kind, event.reason, event.target, event.scope)
    digest = hashlib.sha256(json.dumps([*told, event.route]).encode()).hexdigest()
    return f"evt_{event.id}_{digest[:16]}"


def body_of(event: Event, redact: Callable[[Any], Any]) -> bytes:
    """The body that tells an event. `redact` is applied last to every value."""
    facts = sound(event)
    lifted = {name: facts.get(name) for name in TargetFacts.__annotations__}
    details = {name: facts[name] for name in _DETAILS if name in facts}
    data = {
        **lifted,
        "id": event.id,
        "kind": event.entry,
        "target": event.target,
        "route": event.route,
        "from": event.before,
        "to": event.after,
        "reason": event.reason,
        "diagnosis": event.diagnosis,
        "request_id": event.request_id,
        "details": details,
        "left_out": [name for name, value in details.items() if _is_cut(value)],
    }
    told = {"type": event.kind, "timestamp": rfc3339(event.at), "data": data}
    return _fitting(redact(_bounded(told)))


def trial_body(text: str, at: datetime) -> bytes:
    """The body of a test."""
    told = {"type": "test", "timestamp": rfc3339(at), "data": {"message": text}}
    return _json(_bounded(told))


def _bounded(value: Any) -> Any:
    """The value with its texts and lists cut, without control and invisible characters."""
    if isinstance(value, str):
        text = printable(value)
        return text if len(text) <= _TEXT_MOST else f"{text[: _TEXT_MOST - 1]}…"
    if isinstance(value, Mapping):
        return {name: _bounded(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_bounded(item) for item in value[:_LIST_MOST]]
    return value


def _is_cut(value: Any) -> bool:
    return isinstance(value, list | tuple) and len(value) > _LIST_MOST


def _fitting(told: dict[str, Any]) -> bytes:
    """As JSON, without the longest details where they do not fit."""
    details, left_out = told["data"]["details"], told["data"]["left_out"]
    while len(body := _json(told)) > BODY_MOST and details:
        longest = max(details, key=lambda name: len(_json(details[name])))
        del details[longest]
        if longest not in left_out:
            left_out.append(longest)
    return body


def _json(value: Any) -> bytes:
    # a sign takes 4 bytes at most, escaped it would take 12
    return json.dumps(value, separators=(",", ":"), allow_nan=False, ensure_ascii=False).encode()
