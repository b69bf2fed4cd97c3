"""Successes of every surface that carry a text which refuses: never granted. The first half."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import Any

from disguises.answers import (
    PICTURES,
    Asked,
    Body,
    as_json,
    b64,
    chat,
    chunk,
    frames,
    message,
    pieces,
    png,
    reasoning,
    response,
    response_frames,
)
from monitor.access.words import Surface

_TOOL = (Surface.IMAGE_TOOL,)
_RESPONSES = (Surface.RESPONSES, Surface.SUMMARY)
_ALL = tuple(surface for surface in Surface if surface is not Surface.MODELS)


@dataclass(frozen=True)
class Carrier:
    """A success that carries a text. `hides` where other text is put around it, or it is put where no error
    is looked for: an error object in it then need not be that error, but is still never granted."""

    name: str
    surfaces: tuple[Surface, ...]
    carry: Callable[[Asked, str, Random], Body]
    hides: bool = False
    #: The joined word stands there, too.
    answered: bool = False


def finish(chance: Random) -> str:
    """How a relay says that a text ended."""
    return chance.choice(["stop", "stop", "stop", "length"])


def ended(chance: Random) -> str:
    """The same for a response."""
    return chance.choice(["completed", "completed", "completed", "incomplete"])


def _content(ask: Asked, text: str, chance: Random) -> Body:
    return as_json(chat(ask, {"content": text}, finish(chance)), chance)


def _refusal(ask: Asked, text: str, chance: Random) -> Body:
    return as_json(chat(ask, {"content": None, "refusal": text}), chance)


def _word_first(ask: Asked, text: str, chance: Random) -> Body:
    return as_json(chat(ask, {"content": f"{ask.word}\n\n{text}"}), chance)


def _deltas(ask: Asked, text: str, chance: Random) -> Body:
    parts = [chunk(ask, {"content": part}) for part in pieces(text, chance)]
    first = chunk(ask, {"role": "assistant", "content": ""})
    return frames([first, *parts, chunk(ask, {}, finish(chance)), "data: [DONE]"], chance)


def _code_beside(ask: Asked, text: str, chance: Random) -> Body:
    said = chat(ask, {"content": text}) | {"code": chance.choice([403, 500, "429"]), "msg": text}
    return as_json(said, chance)


def _output_text(ask: Asked, text: str, chance: Random) -> Body:
    before = [reasoning("Thinking.")] if ask.surface is Surface.SUMMARY else []
    return as_json(response(ask, *before, message(text), status=ended(chance)), chance)


def _streamed(ask: Asked, text: str, chance: Random) -> Body:
    whole = response(ask, message(text), status=ended(chance))
    return frames(response_frames(whole, text, chance), chance)


def _picture_text(ask: Asked, text: str, chance: Random) -> Body:
    return as_json({"created": 1, "data": [{"b64_json": b64(text.encode())}]}, chance)


def _picture_word(ask: Asked, text: str, chance: Random) -> Body:
    return as_json({"created": 1, "data": [{"b64_json": text}]}, chance)


def _picture_link_and_error(ask: Asked, text: str, chance: Random) -> Body:
    entry = {"url": "https://images.acme.example/failed.png", "error": text}
    return as_json({"created": 1, "data": [entry]}, chance)


def _picture_code(ask: Asked, text: str, chance: Random) -> Body:
    data = [{"b64_json": b64(png())}]
    said = {"code": chance.choice([400, 403, 500, "403"]), "message": text, "data": data}
    return as_json(said, chance)


def _picture_error_object(ask: Asked, text: str, chance: Random) -> Body:
    error = {"message": text, "type": "invalid_request_error", "code": None}
    return as_json({"created": 1, "data": [{"b64_json": b64(png())}], "error": error}, chance)


def _picture_entry_text(ask: Asked, text: str, chance: Random) -> Body:
    return as_json({"created": 1, "data": [{"text": text}]}, chance)


def _page(ask: Asked, text: str, chance: Random) -> Body:
    page = f"<!DOCTYPE html><html><head><title>acme</title></head><body>{text}</body></html>"
    return Body(page.encode(), 200, "text/html")


def _bare_text(ask: Asked, text: str, chance: Random) -> Body:
    return Body(text.encode(), 200, "text/plain")


def _picture_frames(ask: Asked, text: str, chance: Random) -> Body:
    partial = {
        "type": "image_generation.partial_image",
        "b64_json": b64(png(128, 128)),
        "partial_image_index": 0,
    }
    error = {"type": "error", "error": {"message": text, "code": None}}
    return frames([partial, error], chance)


def _tool_message(ask: Asked, text: str, chance: Random) -> Body:
    return as_json(response(ask, message(text), status=ended(chance)), chance)


def _tool_failed(ask: Asked, text: str, chance: Random) -> Body:
    call = {"type": "image_generation_call", "id": "ig_FAKE", "status": "failed", "result": None}
    return as_json(response(ask, call, message(text)), chance)


def _tool_text(ask: Asked, text: str, chance: Random) -> Body:
    result = b64(text.encode())
    call = {"type": "image_generation_call", "id": "ig_FAKE", "status": "completed"}
    return as_json(response(ask, call | {"result": result}), chance)


def _json_of_text(ask: Asked, text: str, chance: Random) -> Body:
    value: Any = {"message": text}
    return Body(json.dumps(value).encode(), 200)


SEEN = (
    Carrier("content", (Surface.CHAT,), _content),
    Carrier("refusal_field", (Surface.CHAT,), _refusal),
    Carrier("word_first", (Surface.CHAT,), _word_first, hides=True, answered=True),
    Carrier("code_beside", (Surface.CHAT,), _code_beside, hides=True),
    Carrier("deltas", (Surface.CHAT, Surface.STREAM), _deltas),
    Carrier("output_text", _RESPONSES, _output_text),
    Carrier("streamed", (Surface.STREAM, Surface.RESPONSES), _streamed),
    Carrier("picture_text", PICTURES, _picture_text, hides=True),
    Carrier("picture_word", PICTURES, _picture_word, hides=True),
    Carrier("picture_link_and_error", PICTURES, _picture_link_and_error, hides=True),
    Carrier("picture_code", PICTURES, _picture_code, hides=True),
    Carrier("picture_error_object", PICTURES, _picture_error_object, hides=True),
    Carrier("picture_entry_text", PICTURES, _picture_entry_text, hides=True),
    Carrier("picture_frames", PICTURES, _picture_frames, hides=True),
    Carrier("page", _ALL, _page, hides=True),
    Carrier("bare_text", _ALL, _bare_text, hides=True),
    Carrier("json_of_text", _ALL, _json_of_text, hides=True),
    Carrier("tool_message", _TOOL, _tool_message),
    Carrier("tool_failed", _TOOL, _tool_failed, hides=True),
    Carrier("tool_text", _TOOL, _tool_text, hides=True),
)
