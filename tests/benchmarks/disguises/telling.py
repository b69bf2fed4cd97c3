"""Envelopes in which servers and relays tell an error: never granted, and a gate in them is the gate."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from random import Random

from disguises.answers import Asked, Body, as_json, chunk, frames
from disguises.saying import Refusal


@dataclass(frozen=True)
class Envelope:
    """A way to tell an error. `gated` where the vendor's sentence in it must be read as the gate."""

    name: str
    tell: Callable[[Asked, Refusal, Random], Body]
    gated: bool = True
    streams: bool = False


def status(refusal: Refusal, chance: Random) -> int:
    """The refusal's own status, what a relay makes of it, or a success."""
    return chance.choice([refusal.status, refusal.status, 400, 500, 200])


def _object(ask: Asked, refusal: Refusal, chance: Random) -> Body:
    return as_json(refusal.object(), chance, status(refusal, chance))


def _emptied(ask: Asked, refusal: Refusal, chance: Random) -> Body:
    error = refusal.object()["error"]
    error = {name: value or "" for name, value in error.items()}
    error["message"] += " (request id: 20261120140503acmeFAKE)"
    return as_json({"error": error | {"localized_message": "Unknown error"}}, chance, 400)


def _stringified(ask: Asked, refusal: Refusal, chance: Random) -> Body:
    return as_json(json.dumps(refusal.object()), chance, status(refusal, chance))


def _nested(ask: Asked, refusal: Refusal, chance: Random) -> Body:
    inner = json.dumps(refusal.object(), ensure_ascii=False)
    outer = {"error": {"message": inner, "type": "upstream_error", "code": refusal.status}}
    return as_json(outer, chance, status(refusal, chance))


def _sdk(ask: Asked, refusal: Refusal, chance: Random) -> Body:
    text = f"openai.APIStatusError: Error code: {refusal.status} - {refusal.object()}"
    return Body(text.encode(), status(refusal, chance), "text/plain")


def _code_msg(ask: Asked, refusal: Refusal, chance: Random) -> Body:
    value = {"code": refusal.status, "msg": refusal.text, "data": None}
    return as_json(value, chance, status(refusal, chance))


def _error_event(ask: Asked, refusal: Refusal, chance: Random) -> Body:
    error = refusal.object()["error"]
    value = chance.choice([{"error": error}, {"type": "error", "error": error}, error])
    text = f"event: error\ndata: {json.dumps(value)}\n\n"
    return Body(text.encode(), 200, "text/event-stream")


def _content_then_error(ask: Asked, refusal: Refusal, chance: Random) -> Body:
    begun = chunk(ask, {"role": "assistant", "content": ask.first})
    return frames([begun, refusal.object(), "data: [DONE]"], chance)


def _array(ask: Asked, refusal: Refusal, chance: Random) -> Body:
    return as_json([refusal.object()], chance, status(refusal, chance))


SEEN = (
    Envelope("object", _object),
    Envelope("emptied", _emptied),
    Envelope("stringified", _stringified),
    Envelope("nested", _nested),
    Envelope("sdk", _sdk),
    Envelope("code_msg", _code_msg),
    Envelope("error_event", _error_event, streams=True),
    Envelope("content_then_error", _content_then_error, streams=True),
    Envelope("array", _array),
)
