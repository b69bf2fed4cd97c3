"""The other half of the real successes."""

import json
from random import Random
from typing import Any

from disguises.answers import (
    HOST,
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
from disguises.succeeding import Success, begun, joined, picture
from monitor.access.words import Surface

_TOOL = (Surface.IMAGE_TOOL,)
_RESPONSES = (Surface.RESPONSES, Surface.SUMMARY)


def _hidden_thoughts(ask: Asked, chance: Random) -> Body:
    # a reasoning model on chat: all the tokens went into thoughts that are not shown
    details = {"completion_tokens_details": {"reasoning_tokens": 16, "audio_tokens": 0}}
    usage = {"prompt_tokens": 24, "completion_tokens": 16, "total_tokens": 40} | details
    content = chance.choice(["", None])
    said = chat(ask, {"content": content, "refusal": None}, "length", usage=usage)
    return as_json(said, chance)


def _shown_thoughts(ask: Asked, chance: Random) -> Body:
    name = chance.choice(["reasoning_content", "reasoning"])
    thoughts = f"We need to join {ask.first} and"
    return as_json(
        chat(ask, {"content": chance.choice(["", None]), name: thoughts}, "length"), chance
    )


def _tool_call_cut(ask: Asked, chance: Random) -> Body:
    call = {"id": "call_FAKE", "type": "function",
            "function": {"name": "join", "arguments": '{"first": "'}}  # fmt: skip
    return as_json(chat(ask, {"content": None, "tool_calls": [call]}, "length"), chance)


def _parts(ask: Asked, chance: Random) -> Body:
    content = [{"type": "text", "text": joined(ask, chance)}]
    return as_json(chat(ask, {"content": content}), chance)


def _kept_alive(ask: Asked, chance: Random) -> Body:
    # some servers send blanks or empty lines before the answer, so that the connection stays open
    text = chance.choice([" ", "\n\n\n", "   \r\n"]) + json.dumps(chat(ask, {"content": ask.word}))
    return Body(text.encode())


def _said_to_be_fine(ask: Asked, chance: Random) -> Body:
    more: dict[str, Any] = chance.choice(
        [{"error": None}, {"code": 0, "msg": "ok"}, {"success": True}, {"code": 200, "message": ""}]
    )
    return as_json(chat(ask, {"content": joined(ask, chance)}) | more, chance)


def _gateway(ask: Asked, chance: Random) -> Body:
    said = chat(
        ask, {"content": joined(ask, chance), "reasoning": None}, model=f"openai/{ask.model}"
    )
    said["choices"][0] |= {"native_finish_reason": "completed"}
    return as_json(said | {"provider": "Acme"}, chance)


def _frames_with_pauses(ask: Asked, chance: Random) -> Body:
    alive = chunk(ask, {"role": "assistant", "content": ""}) | {"model": "keepalive"}
    pause: Any = chance.choice([": ACME PROCESSING", alive, chunk(ask, {}) | {"choices": []}])
    thought = chunk(ask, {chance.choice(["reasoning_content", "reasoning"]): "Joining."})
    parts = [chunk(ask, {"content": part}) for part in pieces(joined(ask, chance), chance)]
    nothing = chunk(ask, {}) | {"choices": None, "usage": {"completion_tokens": 3}}
    return frames([pause, pause, thought, *parts, nothing, chunk(ask, {}, "stop")], chance)


def _frames_cut(ask: Asked, chance: Random) -> Body:
    name = chance.choice(["reasoning_content", "content"])
    parts = [chunk(ask, {name: part}) for part in pieces(begun(ask, chance), chance)]
    return frames([*parts, chunk(ask, {}, "length"), "data: [DONE]"], chance)


def _single_lines(ask: Asked, chance: Random) -> Body:
    whole = response(ask, message(ask.word))
    events = response_frames(whole, ask.word, chance)
    text = "".join(f"data: {json.dumps(event)}\n" for event in events) + "data: [DONE]\n"
    return Body(text.encode(), 200, "text/event-stream")


def _incomplete_alone(ask: Asked, chance: Random) -> Body:
    bare = {"status": "incomplete", "incomplete_details": {"reason": "max_output_tokens"},
            "usage": {"input_tokens": 24, "output_tokens": 16, "total_tokens": 40}}  # fmt: skip
    return frames([{"type": "response.incomplete", "response": bare}], chance, named=True)


def _thought_then_said(ask: Asked, chance: Random) -> Body:
    item = {"item_id": "rs_FAKE", "output_index": 0, "summary_index": 0}
    thought = {"type": "response.reasoning_summary_text.delta", "delta": "**Joining**"} | item
    text = joined(ask, chance)
    whole = response(ask, reasoning("**Joining**"), message(text))
    first, *others = response_frames(whole, text, chance)
    return frames([first, thought, *others], chance)


def _deltas_only(ask: Asked, chance: Random) -> Body:
    # a relay that leaves the output out of the last event
    whole = response(ask) | {"output": []}
    return frames(response_frames(whole, joined(ask, chance), chance), chance)


def _response_twice(ask: Asked, chance: Random) -> Body:
    # as the official client shows it, and as some relays send it
    text = joined(ask, chance)
    return as_json(response(ask, message(text), output_text=text), chance)


def _response_cut(ask: Asked, chance: Random) -> Body:
    whole = response(
        ask, reasoning(), message(begun(ask, chance, thought=True)), status="incomplete"
    )
    return as_json(whole, chance)


def _picture_wrapped(ask: Asked, chance: Random) -> Body:
    data = [{"b64_json": b64(picture(chance)), "revised_prompt": "a grey dot on white"}]
    more: dict[str, Any] = chance.choice(
        [{"code": 0, "success": True}, {"error": None}, {"code": 200}]
    )
    return as_json({"data": data} | more, chance)


def _picture_large(ask: Asked, chance: Random) -> Body:
    noise = chance.randbytes(60_000)
    data = png(1440, 480)[:-12] + noise
    return as_json({"created": 1_795_000_000, "data": [{"b64_json": b64(data)}]}, chance)


def _picture_small(ask: Asked, chance: Random) -> Body:
    size = chance.choice([(64, 64), (256, 256), (96, 1024)])
    return as_json({"created": 1, "data": [{"b64_json": b64(png(*size))}]}, chance)


def _picture_both(ask: Asked, chance: Random) -> Body:
    entry = {"b64_json": b64(picture(chance)), "url": "https://images.acme.example/c.png"}
    return as_json({"created": 1, "data": [entry]}, chance)


def _picture_own_link(ask: Asked, chance: Random) -> Body:
    return as_json({"created": 1, "data": [{"url": f"http://{HOST}/files/e.png"}]}, chance)


def _picture_partials(ask: Asked, chance: Random) -> Body:
    kind = "image_edit" if ask.surface is Surface.EDITS else "image_generation"
    shown = picture(chance)
    partial = {"type": f"{kind}.partial_image", "partial_image_index": 0, "b64_json": b64(shown)}
    done = {"type": f"{kind}.completed", "b64_json": b64(shown), "usage": {"total_tokens": 60}}
    return frames([": ping", partial, done], chance)


def _picture_listed(ask: Asked, chance: Random) -> Body:
    data = chance.choice(
        [{"url": "https://images.acme.example/d.png"}, {"b64_json": b64(picture(chance))}]
    )
    text = (
        f"event: image_generation.completed\ndata: {json.dumps({'created': 1, 'data': [data]})}\n\n"
    )
    return Body(text.encode(), 200, "text/event-stream")


def _tool_and_words(ask: Asked, chance: Random) -> Body:
    call = {"type": "image_generation_call", "id": "ig_FAKE", "status": "completed"}
    call |= {"result": b64(picture(chance)), "revised_prompt": "a grey dot", "quality": "low"}
    status = chance.choice(["completed", "incomplete"])
    whole = response(ask, reasoning(), call, message("Here is your dot."), status=status)
    return as_json(whole | {"model": "gpt-5.4-nano-2026-03-05"}, chance)


HELD_OUT = (
    Success("hidden_thoughts", (Surface.CHAT,), _hidden_thoughts),
    Success("shown_thoughts", (Surface.CHAT,), _shown_thoughts),
    Success("tool_call_cut", (Surface.CHAT,), _tool_call_cut),
    Success("parts", (Surface.CHAT,), _parts),
    Success("kept_alive", (Surface.CHAT,), _kept_alive),
    Success("said_to_be_fine", (Surface.CHAT,), _said_to_be_fine),
    Success("gateway", (Surface.CHAT,), _gateway),
    Success("frames_with_pauses", (Surface.CHAT, Surface.STREAM), _frames_with_pauses),
    Success("frames_cut", (Surface.CHAT, Surface.STREAM), _frames_cut),
    Success("single_lines", (Surface.STREAM, Surface.RESPONSES), _single_lines),
    Success("incomplete_alone", (Surface.STREAM, Surface.RESPONSES), _incomplete_alone),
    Success("thought_then_said", (Surface.STREAM, Surface.RESPONSES), _thought_then_said),
    Success("deltas_only", (Surface.STREAM, Surface.RESPONSES), _deltas_only),
    Success("response_twice", _RESPONSES, _response_twice),
    Success("response_cut", _RESPONSES, _response_cut),
    Success("picture_wrapped", PICTURES, _picture_wrapped),
    Success("picture_large", PICTURES, _picture_large),
    Success("picture_small", PICTURES, _picture_small),
    Success("picture_both", PICTURES, _picture_both),
    Success("picture_own_link", PICTURES, _picture_own_link),
    Success("picture_partials", PICTURES, _picture_partials),
    Success("picture_listed", PICTURES, _picture_listed),
    Success("tool_and_words", _TOOL, _tool_and_words),
)
