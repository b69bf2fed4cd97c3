"""The other half of the envelopes."""

import json
from random import Random

from disguises.answers import Asked, Body, as_json, frames, response
from disguises.saying import Refusal
from disguises.telling import Envelope, status


def _error_text(ask: Asked, refusal: Refusal, chance: Random) -> Body:
    said = f"{refusal.status} {refusal.text}"
    return as_json({"success": False, "error": said}, chance, status(refusal, chance))


def _raw_metadata(ask: Asked, refusal: Refusal, chance: Random) -> Body:
    metadata = {"raw": json.dumps(refusal.object(), indent=2), "provider_name": "Acme"}
    error = {"message": "Provider returned error", "code": 400, "metadata": metadata}
    return as_json({"error": error, "user_id": "user_FAKE"}, chance, status(refusal, chance))


def _detail(ask: Asked, refusal: Refusal, chance: Random) -> Body:
    object_ = {"message": refusal.text, "code": refusal.error.get("code")}
    value = {"detail": chance.choice([object_, refusal.text])}
    return as_json(value, chance, status(refusal, chance))


def _base_response(ask: Asked, refusal: Refusal, chance: Random) -> Body:
    base = {"status_code": 2000 + refusal.status, "status_msg": refusal.text}
    return as_json({"reply": "", "choices": None, "base_resp": base}, chance)


def _failed(ask: Asked, refusal: Refusal, chance: Random) -> Body:
    error = {"code": refusal.error.get("code") or "server_error", "message": refusal.text}
    whole = response(ask, status="failed", error=error)
    ping = {"type": "ping"}
    return frames([ping, ping, {"type": "response.failed", "response": whole}], chance)


def _failure(ask: Asked, refusal: Refusal, chance: Random) -> Body:
    text = f"relay error: {refusal.text}"
    value = {"status": "failure", "message": text, "error": {"message": text}}
    return as_json(value, chance, status(refusal, chance))


def _errors(ask: Asked, refusal: Refusal, chance: Random) -> Body:
    errors = [{"code": 7001, "message": refusal.text}]
    value = {"result": None, "success": False, "errors": errors, "messages": []}
    return as_json(value, chance, status(refusal, chance))


def _typed(ask: Asked, refusal: Refusal, chance: Random) -> Body:
    value = {"type": "error", "error": {"type": "api_error", "message": refusal.text}}
    return as_json(value, chance, status(refusal, chance))


def _body_and_status(ask: Asked, refusal: Refusal, chance: Random) -> Body:
    value = {"msg": "no valid answer", "body": refusal.object(), "status": refusal.status}
    return as_json(value, chance, chance.choice([200, 500]))


def _typographic(ask: Asked, refusal: Refusal, chance: Random) -> Body:
    text = json.dumps(refusal.object(), ensure_ascii=False).replace('"', "”")
    return Body(text.encode(), status(refusal, chance))


def _twice(ask: Asked, refusal: Refusal, chance: Random) -> Body:
    return as_json({"error": refusal.object()}, chance, status(refusal, chance))


def _pipes(ask: Asked, refusal: Refusal, chance: Random) -> Body:
    text = f"{refusal.status}|invalid_request_error|{refusal.text}"
    return Body(text.encode(), refusal.status, "text/plain")


def _page(ask: Asked, refusal: Refusal, chance: Random) -> Body:
    text = f"<html><body><h1>{refusal.status}</h1><p>{refusal.text}</p></body></html>"
    return Body(text.encode(), status(refusal, chance), "text/html")


HELD_OUT = (
    Envelope("error_text", _error_text),
    Envelope("raw_metadata", _raw_metadata),
    Envelope("detail", _detail),
    Envelope("base_response", _base_response),
    Envelope("failed", _failed, streams=True),
    Envelope("failure", _failure),
    Envelope("errors", _errors),
    Envelope("typed", _typed),
    Envelope("body_and_status", _body_and_status),
    Envelope("typographic", _typographic),
    Envelope("twice", _twice),
    Envelope("pipes", _pipes),
    Envelope("page", _page, gated=False),
)
