"""Real successes of every surface, in the shapes that servers and relays give them: always granted."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import Any

from disguises.answers import (
    DRAW,
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
    reasoning,
    response,
    response_frames,
)
from monitor.access.words import Surface

_TOOL = (Surface.IMAGE_TOOL,)
_RESPONSES = (Surface.RESPONSES, Surface.SUMMARY)


@dataclass(frozen=True)
class Success:
    """A shape of a real success."""

    name: str
    surfaces: tuple[Surface, ...]
    make: Callable[[Asked, Random], Body]


def joined(ask: Asked, chance: Random) -> str:
    """The joined word as models write it."""
    word = ask.word
    return chance.choice(
        [word, word, word.capitalize(), word.upper(), f"{word}.", f'"{word}"', f"**{word}**",
         f"`{word}`", f"{word}\n", f"The word is {word}.", f"“{word}”", f"Sure! {word}"]
    )  # fmt: skip


def begun(ask: Asked, chance: Random, *, thought: bool = False) -> str:
    """The beginning of an answer that was cut before the word came: 16 tokens long, or shorter where
    thoughts took some of them."""
    whole = [
        f"Sure! Joining {ask.first} and {ask.second} gives us {ask.first[:3]}",
        f"To join the two words {ask.first} and {ask.second}, you simply write",
        ask.word[:7],
    ]
    return chance.choice([*whole, "The joined", "**"] if thought else whole)


def picture(chance: Random) -> bytes:
    """An image in one of the formats."""
    return chance.choice(DRAW)()


def usage(chance: Random) -> dict[str, Any]:
    """What different servers say of the tokens, or nothing."""
    return chance.choice(
        [
            {},
            {"usage": None},
            {"usage": {"total_tokens": 33}},
            {"usage": {"prompt_tokens": 24, "completion_tokens": 9, "total_tokens": 33,
                       "completion_tokens_details": {"reasoning_tokens": 0}, "cost": 0.0001}},
        ]
    )  # fmt: skip


def _chat(ask: Asked, chance: Random) -> Body:
    extra = {"refusal": None, "annotations": []} if chance.random() < 0.5 else {}
    finish = chance.choice(["stop", "stop", "length"])
    return as_json(
        chat(ask, {"content": joined(ask, chance)} | extra, finish) | usage(chance), chance
    )


def _chat_dated(ask: Asked, chance: Random) -> Body:
    named = chance.choice(
        [f"{ask.model}-2025-11-13", f"openai/{ask.model}", ask.model.upper(), None]
    )
    said = chat(ask, {"content": joined(ask, chance)}, system_fingerprint="fp_FAKE", model=named)
    if named is None:
        del said["model"]
    return as_json(said | {"service_tier": "default"}, chance)


def _chat_cut(ask: Asked, chance: Random) -> Body:
    return as_json(chat(ask, {"content": begun(ask, chance)}, "length"), chance)


def _chat_thought(ask: Asked, chance: Random) -> Body:
    thoughts = f"The user asks to join {ask.first} and {ask.second}."
    said = {"content": joined(ask, chance), "reasoning_content": thoughts}
    return as_json(chat(ask, said) | usage(chance), chance)


def _chat_aloud(ask: Asked, chance: Random) -> Body:
    thoughts = f"<think>\nOkay, the user wants {ask.first} and {ask.second} joined. "
    whole = f"{thoughts}I should check that there is no space.\n</think>\n\n{ask.word}"
    if chance.random() < 0.5:
        return as_json(chat(ask, {"content": thoughts[: chance.randint(30, 60)]}, "length"), chance)
    return as_json(chat(ask, {"content": whole}), chance)


def _chat_wordy(ask: Asked, chance: Random) -> Body:
    said = chance.choice(
        [
            f"Joining {ask.first} and {ask.second} gives **{ask.word}**. Is there more to join?",
            json.dumps({"joined": ask.word}),
            f"{ask.first} + {ask.second} = {ask.word}",
            f"```\n{ask.word}\n```",
            f"Natürlich! Das Wort ist {ask.word}.",
            f"好的：{ask.word}",
        ]
    )
    return as_json(chat(ask, {"content": said}), chance)


def _chat_frames(ask: Asked, chance: Random) -> Body:
    parts = [chunk(ask, {"content": part}) for part in pieces(joined(ask, chance), chance)]
    last = [chunk(ask, {}, chance.choice(["stop", "length"]))]
    total = chunk(ask, {}) | {"choices": [], "usage": {"total_tokens": 33}}
    tail = chance.choice([[], [total], ["data: [DONE]"], [total, "data: [DONE]"]])
    first = chunk(ask, {"role": "assistant", "content": ""})
    return frames([first, *parts, *last, *tail], chance)


def _response(ask: Asked, chance: Random) -> Body:
    before = chance.choice([[], [reasoning()], [reasoning("I join the words.")]])
    status = chance.choice(["completed", "completed", "incomplete"])
    whole = response(ask, *before, message(joined(ask, chance)), status=status)
    return as_json(whole | usage(chance), chance)


def _response_thought(ask: Asked, chance: Random) -> Body:
    item = chance.choice(
        [reasoning(), reasoning() | {"encrypted_content": "gAAAAFAKE", "status": None}]
    )
    return as_json(response(ask, item, status="incomplete"), chance)


def _response_dated(ask: Asked, chance: Random) -> Body:
    whole = response(ask, message(joined(ask, chance)), model=f"{ask.model}-2025-11-13")
    more = {"service_tier": "default", "store": False, "metadata": {}, "background": False,
            "parallel_tool_calls": True, "text": {"format": {"type": "text"}}}  # fmt: skip
    return as_json(whole | more, chance)


def _stream(ask: Asked, chance: Random) -> Body:
    text = joined(ask, chance)
    status = chance.choice(["completed", "completed", "incomplete"])
    return frames(
        response_frames(response(ask, message(text), status=status), text, chance), chance
    )


def _stream_thought(ask: Asked, chance: Random) -> Body:
    whole = response(ask, reasoning(), status="incomplete")
    return frames(response_frames(whole, "", chance), chance)


def _picture(ask: Asked, chance: Random) -> Body:
    said: dict[str, Any] = {"created": 1_795_000_000, "data": [{"b64_json": b64(picture(chance))}]}
    if chance.random() < 0.5:
        said |= {
            "background": "opaque",
            "output_format": "png",
            "quality": "low",
            "size": "1440x480",
        }
    return as_json(said | usage(chance), chance)


def _picture_link(ask: Asked, chance: Random) -> Body:
    entry: dict[str, Any] = {"url": "https://images.acme.example/a/b.png?sig=FAKE"}
    if chance.random() < 0.5:
        entry |= {"b64_json": None, "revised_prompt": "a plain grey dot"}
    return as_json({"created": 1_795_000_000, "data": [entry]}, chance)


def _picture_completed(ask: Asked, chance: Random) -> Body:
    kind = "image_edit" if ask.surface is Surface.EDITS else "image_generation"
    done = {"type": f"{kind}.completed", "b64_json": b64(picture(chance)), "output_format": "png"}
    return frames([done], chance)


def _tool(ask: Asked, chance: Random) -> Body:
    call = {"type": "image_generation_call", "id": "ig_FAKE", "status": "completed"}
    call["result"] = b64(picture(chance))
    before = chance.choice([[], [reasoning()]])
    return as_json(response(ask, *before, call), chance)


SEEN = (
    Success("chat", (Surface.CHAT,), _chat),
    Success("chat_dated", (Surface.CHAT,), _chat_dated),
    Success("chat_cut", (Surface.CHAT,), _chat_cut),
    Success("chat_thought", (Surface.CHAT,), _chat_thought),
    Success("chat_aloud", (Surface.CHAT,), _chat_aloud),
    Success("chat_wordy", (Surface.CHAT,), _chat_wordy),
    Success("chat_frames", (Surface.CHAT, Surface.STREAM), _chat_frames),
    Success("response", _RESPONSES, _response),
    Success("response_thought", _RESPONSES, _response_thought),
    Success("response_dated", _RESPONSES, _response_dated),
    Success("stream", (Surface.STREAM, Surface.RESPONSES), _stream),
    Success("stream_thought", (Surface.STREAM, Surface.RESPONSES), _stream_thought),
    Success("picture", PICTURES, _picture),
    Success("picture_link", PICTURES, _picture_link),
    Success("picture_completed", PICTURES, _picture_completed),
    Success("tool", _TOOL, _tool),
)
