"""The other half of the successes that carry a refusal."""

from random import Random

from disguises.answers import (
    PICTURES,
    TEXTS,
    Asked,
    Body,
    as_json,
    b64,
    chat,
    chunk,
    frames,
    gif,
    message,
    pieces,
    png,
    reasoning,
    response,
    response_frames,
)
from disguises.carrying import Carrier, ended, finish
from monitor.access.words import Surface

_TOOL = (Surface.IMAGE_TOOL,)
_RESPONSES = (Surface.RESPONSES, Surface.SUMMARY)


def _parts(ask: Asked, text: str, chance: Random) -> Body:
    half = len(text) // 2
    content = [{"type": "text", "text": text[:half]}, {"type": "text", "text": text[half:]}]
    return as_json(chat(ask, {"content": content}, finish(chance)), chance)


def _after_thoughts(ask: Asked, text: str, chance: Random) -> Body:
    thoughts = "The user wants two words joined."
    said = {"content": text, chance.choice(["reasoning_content", "reasoning"]): thoughts}
    return as_json(chat(ask, said, finish(chance)), chance)


def _echo(ask: Asked, text: str, chance: Random) -> Body:
    return as_json(chat(ask, {"content": f"{text}\n\nYour request was: {ask.question}"}), chance)


def _success_false(ask: Asked, text: str, chance: Random) -> Body:
    said = chat(ask, {"content": ask.word}) | {"success": False, "message": text}
    return as_json(said, chance)


def _empty_choices(ask: Asked, text: str, chance: Random) -> Body:
    return as_json({"object": "chat.completion", "choices": [], "message": text}, chance)


def _choice_text(ask: Asked, text: str, chance: Random) -> Body:
    choice = {"index": 0, "text": text, "finish_reason": finish(chance)}
    return as_json({"object": "text_completion", "model": ask.named, "choices": [choice]}, chance)


def _choice_error(ask: Asked, text: str, chance: Random) -> Body:
    said = chat(ask, {"content": ""}, "error")
    said["choices"][0]["error"] = {"message": text, "code": 502}
    return as_json(said, chance)


def _kept_alive(ask: Asked, text: str, chance: Random) -> Body:
    calm = [": keep-alive", chunk(ask, {"role": "assistant", "content": ""})]
    parts = [chunk(ask, {"content": part}) for part in pieces(text, chance)]
    usage = chunk(ask, {}) | {"choices": [], "usage": {"completion_tokens": len(parts)}}
    return frames([*calm, *parts, chunk(ask, {}, finish(chance)), usage, "data: [DONE]"], chance)


def _last_message(ask: Asked, text: str, chance: Random) -> Body:
    last = chunk(ask, {"content": ""}, "stop")
    last["choices"][0]["message"] = {"role": "assistant", "content": text}
    return frames([last, "data: [DONE]"], chance)


def _after_the_word(ask: Asked, text: str, chance: Random) -> Body:
    parts = [chunk(ask, {"content": part}) for part in pieces(f"{ask.word}\n{text}", chance)]
    return frames([*parts, chunk(ask, {}, "stop"), "data: [DONE]"], chance)


def _split_parts(ask: Asked, text: str, chance: Random) -> Body:
    half = len(text) // 2
    whole = response(ask, message(text[:half], text[half:]), status=ended(chance))
    return as_json(whole, chance)


def _refusal_part(ask: Asked, text: str, chance: Random) -> Body:
    return as_json(response(ask, message({"type": "refusal", "refusal": text})), chance)


def _word_then(ask: Asked, text: str, chance: Random) -> Body:
    return as_json(response(ask, reasoning(), message(f"{ask.word}. {text}")), chance)


def _summary_text(ask: Asked, text: str, chance: Random) -> Body:
    return as_json(response(ask, reasoning(text), message(text)), chance)


def _only_deltas(ask: Asked, text: str, chance: Random) -> Body:
    whole = response(ask, status=ended(chance))
    return frames(response_frames(whole, text, chance), chance, named=False)


def _refusal_deltas(ask: Asked, text: str, chance: Random) -> Body:
    deltas = [{"type": "response.refusal.delta", "delta": part} for part in pieces(text, chance)]
    whole = response(ask, message({"type": "refusal", "refusal": text}))
    return frames([*deltas, {"type": "response.completed", "response": whole}], chance)


def _failed_frame(ask: Asked, text: str, chance: Random) -> Body:
    error = {"code": "server_error", "message": text}
    whole = response(ask, status="failed", error=error)
    return frames([{"type": "response.failed", "response": whole}], chance)


def _picture_page(ask: Asked, text: str, chance: Random) -> Body:
    page = f"<html><head><title>{text[:40]}</title></head><body>{text}</body></html>"
    return as_json({"created": 1, "data": [{"b64_json": b64(page.encode())}]}, chance)


def _picture_false(ask: Asked, text: str, chance: Random) -> Body:
    data = [{"b64_json": b64(png())}]
    return as_json({"success": False, "message": text, "data": data}, chance)


def _picture_error_text(ask: Asked, text: str, chance: Random) -> Body:
    return as_json({"created": 1, "data": [{"b64_json": b64(png())}], "error": text}, chance)


def _entry_error(ask: Asked, text: str, chance: Random) -> Body:
    entry = {"b64_json": b64(png()), "error": {"message": text}}
    return as_json({"created": 1, "data": [entry]}, chance)


def _tiny_picture(ask: Asked, text: str, chance: Random) -> Body:
    picture = chance.choice([png(1, 1), png(16, 16), gif(1, 1), png(63, 512)])
    entry = {"b64_json": b64(picture), "revised_prompt": text}
    return as_json({"created": 1, "data": [entry]}, chance)


def _drawing(ask: Asked, text: str, chance: Random) -> Body:
    svg = f'<svg xmlns="http://www.w3.org/2000/svg" width="512" height="512"><text>{text}</text></svg>'
    return as_json({"created": 1, "data": [{"b64_json": b64(svg.encode())}]}, chance)


def _data_link(ask: Asked, text: str, chance: Random) -> Body:
    link = f"data:text/plain;base64,{b64(text.encode())}"
    return as_json({"created": 1, "data": [{"url": link}]}, chance)


def _plain_link(ask: Asked, text: str, chance: Random) -> Body:
    entry = {"url": "http://blocked.example/page", "revised_prompt": text}
    return as_json({"created": 1, "data": [entry]}, chance)


def _link_is_text(ask: Asked, text: str, chance: Random) -> Body:
    return as_json({"created": 1, "data": [{"url": text}]}, chance)


def _only_revised(ask: Asked, text: str, chance: Random) -> Body:
    return as_json({"created": 1, "data": [{"revised_prompt": text}]}, chance)


def _chat_instead(ask: Asked, text: str, chance: Random) -> Body:
    return as_json(chat(ask, {"content": text}), chance)


def _only_partial(ask: Asked, text: str, chance: Random) -> Body:
    partial = {"type": "image_generation.partial_image", "b64_json": b64(png(128, 128))}
    return frames([partial, {"type": "status", "message": text}], chance)


def _tool_result_null(ask: Asked, text: str, chance: Random) -> Body:
    call = {"type": "image_generation_call", "status": "completed", "result": None}
    return as_json(response(ask, call, message(text)), chance)


def _tool_failed_picture(ask: Asked, text: str, chance: Random) -> Body:
    call = {"type": "image_generation_call", "status": "failed", "result": b64(png())}
    return as_json(response(ask, call | {"error": {"message": text}}), chance)


def _response_failed(ask: Asked, text: str, chance: Random) -> Body:
    call = {"type": "image_generation_call", "status": "completed", "result": b64(png())}
    return as_json(response(ask, call, status="failed", error={"message": text}), chance)


def _tool_word(ask: Asked, text: str, chance: Random) -> Body:
    call = {"type": "image_generation_call", "status": "completed", "result": text}
    return as_json(response(ask, call), chance)


HELD_OUT = (
    Carrier("parts", (Surface.CHAT,), _parts, hides=True),
    Carrier("after_thoughts", (Surface.CHAT,), _after_thoughts),
    Carrier("echo", (Surface.CHAT,), _echo, hides=True),
    Carrier("success_false", (Surface.CHAT,), _success_false, hides=True),
    Carrier("empty_choices", (Surface.CHAT,), _empty_choices, hides=True),
    Carrier("choice_text", (Surface.CHAT,), _choice_text),
    Carrier("choice_error", (Surface.CHAT,), _choice_error, hides=True),
    Carrier("kept_alive", (Surface.CHAT, Surface.STREAM), _kept_alive),
    Carrier("last_message", (Surface.CHAT, Surface.STREAM), _last_message),
    Carrier(
        "after_the_word", (Surface.CHAT, Surface.STREAM), _after_the_word, hides=True, answered=True
    ),
    Carrier("split_parts", _RESPONSES, _split_parts),
    Carrier("refusal_part", _RESPONSES, _refusal_part),
    Carrier("word_then", _RESPONSES, _word_then, hides=True, answered=True),
    Carrier("summary_text", (Surface.SUMMARY,), _summary_text, hides=True),
    Carrier("only_deltas", (Surface.STREAM, Surface.RESPONSES), _only_deltas),
    Carrier("refusal_deltas", (Surface.STREAM, Surface.RESPONSES), _refusal_deltas, hides=True),
    Carrier("failed_frame", TEXTS, _failed_frame, hides=True),
    Carrier("picture_page", PICTURES, _picture_page, hides=True),
    Carrier("picture_false", PICTURES, _picture_false, hides=True),
    Carrier("picture_error_text", PICTURES, _picture_error_text, hides=True),
    Carrier("entry_error", PICTURES, _entry_error, hides=True),
    Carrier("tiny_picture", PICTURES, _tiny_picture, hides=True),
    Carrier("drawing", PICTURES, _drawing, hides=True),
    Carrier("data_link", PICTURES, _data_link, hides=True),
    Carrier("plain_link", PICTURES, _plain_link, hides=True),
    Carrier("link_is_text", PICTURES, _link_is_text, hides=True),
    Carrier("only_revised", PICTURES, _only_revised, hides=True),
    Carrier("chat_instead", PICTURES, _chat_instead, hides=True),
    Carrier("only_partial", PICTURES, _only_partial, hides=True),
    Carrier("tool_result_null", _TOOL, _tool_result_null, hides=True),
    Carrier("tool_failed_picture", _TOOL, _tool_failed_picture, hides=True),
    Carrier("response_failed", _TOOL, _response_failed, hides=True),
    Carrier("tool_word", _TOOL, _tool_word, hides=True),
)
