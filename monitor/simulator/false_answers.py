"""Relays with false successes: a fault turns the gate's refusal, or an answer, into one."""

import json
from base64 import b64encode
from collections.abc import Callable, Mapping
from dataclasses import replace
from time import time
from types import MappingProxyType

from monitor.simulator import pictures, texts
from monitor.simulator.answers import Answer, encode, error_of
from monitor.simulator.asking import Endpoint
from monitor.simulator.fault_context import FaultContext
from monitor.simulator.refusals import Refusal, Stage, gate_refusal
from monitor.simulator.scenario import PROVIDER
from monitor.simulator.simulated_models import BUILT_IN

#: What the relay answered when it was asked for the first time.
_REMEMBERED = ("violet", "walrus")
_PAGE = (
    "<!DOCTYPE html>\n<html><head><title>Login</title></head><body>Please log in.</body></html>\n"
)


def _refusal_as_text(context: FaultContext) -> Answer:
    return _as_success(context, f"Sorry: {_refusal(context).message}")


def _error_as_text(context: FaultContext) -> Answer:
    error = error_of(_refusal(context), provider=context.key.contract == PROVIDER)
    return _as_success(context, f"```json\n{json.dumps({'error': error}, indent=2)}\n```")


def _page_as_text(context: FaultContext) -> Answer:
    return _as_success(context, _PAGE)


def _parrot(context: FaultContext) -> Answer:
    """A mock: it repeats what it was told."""
    ask = context.ask
    if ask.endpoint is Endpoint.CHAT:
        return _as_success(context, texts.prompt_of(ask))
    return _as_success(context, str(ask.body.get("input", ask.body.get("prompt", ""))))


def _replayed(context: FaultContext) -> Answer:
    """A cache that compares the model only."""
    return _as_success(context, *_REMEMBERED)


def _failed_call(context: FaultContext) -> Answer:
    """The hosted tool's call failed, and the response is completed all the same."""
    if not context.ask.tool:
        return context.answer
    answer = _as_success(context, "")
    if not answer.body or answer is context.answer:
        return answer
    whole = json.loads(answer.body)
    call = {"id": "ig_1", "type": "image_generation_call", "status": "failed", "result": None}
    return replace(answer, body=encode(whole | {"output": [call]}))


def _code_beside_data(context: FaultContext) -> Answer:
    """An envelope that says 403 around a picture."""
    if context.ask.endpoint not in (Endpoint.IMAGES, Endpoint.EDITS) or not _concerns(context):
        return context.answer
    item = {"b64_json": pictures.picture("1024x1024").decode()}
    return _answer(context, {"code": 403, "success": False, "data": [item]})


#: By name, for `faults.FAULTS`.
FALSE_ANSWERS: Mapping[str, Callable[[FaultContext], Answer]] = MappingProxyType(
    {
        "refusal_as_text": _refusal_as_text,
        "error_as_text": _error_as_text,
        "page_as_text": _page_as_text,
        "parrot": _parrot,
        "replayed": _replayed,
        "failed_call": _failed_call,
        "code_beside_data": _code_beside_data,
    }
)


def _refusal(context: FaultContext) -> Refusal:
    refusal, ask = context.answer.refusal, context.ask
    return refusal or gate_refusal(ask.surfaces[0], ask.model)


def _concerns(context: FaultContext) -> bool:
    """Only the gate's refusal is turned into a success: any other stays what it is."""
    refusal = context.answer.refusal
    return refusal is None or refusal.stage is Stage.GATE


def _as_success(context: FaultContext, *words: str) -> Answer:
    """These words as the answer that was asked for: a text, or base64 in a picture's place."""
    ask = context.ask
    if ask.endpoint in (None, Endpoint.MODELS) or not _concerns(context):
        return context.answer
    text = "".join(words)
    if ask.endpoint in (Endpoint.IMAGES, Endpoint.EDITS):
        item = {"b64_json": b64encode(text.encode()).decode()}
        return _answer(context, {"created": int(time()), "data": [item]})
    name = str(ask.body["model"])
    model = BUILT_IN.get(name, BUILT_IN["gpt-5.1"])
    written = texts.Written(0, words, complete=True)
    if ask.endpoint is Endpoint.CHAT:
        made = texts.completed(ask, model, name, written)
    else:
        made = texts.told(ask, model, None, name, written)
    headers = context.answer.headers
    return replace(made, what=context.fault.what, headers=headers, charges=())


def _answer(context: FaultContext, value: object) -> Answer:
    return Answer(context.fault.what, 200, encode(value), headers=context.answer.headers)
