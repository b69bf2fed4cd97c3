"""Granted answers of text models: Responses and chat completions, whole and as events."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from time import time
from typing import Any
from uuid import uuid4

from monitor.simulator.answers import Answer, Charge, encode
from monitor.simulator.asking import Ask, Endpoint
from monitor.simulator.pictures import prompt_tokens, tool_call, tool_usage
from monitor.simulator.simulated_models import SimulatedModel

#: The answer to what is no question, a token a word.
WORDS = ("Hello", "!", " How", " can", " I", " help", " you", " today", "?")
SUMMARY = "**Greeting the user**\n\nA short friendly answer will do."
_THOUGHT = {"none": 0, "minimal": 0, "low": 64, "medium": 192, "high": 512, "xhigh": 1024}


#: Two words that a prompt wants joined, whichever way it says so.
_JOIN = re.compile(
    r"\b(?:join|combine|concatenate)\b[^.?!]*?\b(\w+)[\"'`]? (?:and|with|to) [\"'`]?(\w+)\b",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Written:
    """What a model wrote within the limit of tokens: reasoning comes first and counts."""

    reasoning: int
    words: tuple[str, ...]
    complete: bool

    @property
    def tokens(self) -> int:
        """Output tokens that are billed."""
        return self.reasoning + len(self.words)


def reply(prompt: object) -> tuple[str, ...]:
    """What a model says to this prompt, a token a word: the two words it is to join, or a greeting."""
    found = _JOIN.search(prompt if isinstance(prompt, str) else encode(prompt).decode())
    return found.groups() if found else WORDS


def write(ask: Ask, model: SimulatedModel) -> Written:
    """Think, then say what the prompt wants, until the limit of tokens."""
    if ask.endpoint is Endpoint.CHAT:
        limit = ask.body.get("max_completion_tokens", ask.body.get("max_tokens"))
        words = reply(prompt_of(ask))
    else:
        limit, words = ask.body.get("max_output_tokens"), reply(ask.body["input"])
    thought = _THOUGHT.get(ask.effort or model.effort or "none", 0)
    limit = thought + len(words) if limit is None else limit
    reasoning = min(thought, limit)
    said = words[: limit - reasoning]
    return Written(reasoning, said, complete=len(said) == len(words))


def answer(
    ask: Ask,
    text: SimulatedModel,
    reported: str,
    written: Written,
    tool: SimulatedModel | None = None,
) -> Answer:
    """These words as the answer of `/responses` or `/chat/completions`, whole or as events.

    `reported` is the model it claims to come from, `tool` the image model of the hosted tool.
    """
    if ask.endpoint is Endpoint.CHAT:
        return _chat(ask, text, reported, written)
    return _responses(ask, text, reported, written, tool)


def _responses(
    ask: Ask, text: SimulatedModel, reported: str, written: Written, tool: SimulatedModel | None
) -> Answer:
    identity = uuid4().hex
    tokens_in = prompt_tokens(ask.body["input"])
    body = _envelope(ask, identity, reported)
    finished = body | {
        "status": "completed" if written.complete else "incomplete",
        "incomplete_details": None if written.complete else {"reason": "max_output_tokens"},
        "completed_at": int(time()) if written.complete else None,
        "output": _output(ask, written, identity, tool),
        "usage": {
            "input_tokens": tokens_in,
            "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
            "output_tokens": written.tokens,
            "output_tokens_details": {"reasoning_tokens": written.reasoning},
            "total_tokens": tokens_in + written.tokens,
        },
    }
    charges = [Charge(text.name, tokens_in * text.text_in + written.tokens * text.out)]
    if tool is not None and written.complete:
        usage, charge = tool_usage(ask, tool)
        finished["tool_usage"] = {"image_gen": usage, "web_search": {"num_requests": 0}}
        charges.append(charge)
    if not ask.stream:
        return Answer("granted", 200, encode(finished), charges=tuple(charges))
    frames = tuple(
        frame(event | {"sequence_number": number})
        for number, event in enumerate(_events(body, finished, written))
    )
    return Answer("granted", 200, frames=frames, charges=tuple(charges))


def frame(event: dict[str, Any]) -> bytes:
    """One server-sent event, named by its type."""
    return b"event: %b\ndata: %b\n\n" % (str(event["type"]).encode(), encode(event))


def _envelope(ask: Ask, identity: str, reported: str) -> dict[str, Any]:
    asked = ask.body
    reasoning = asked.get("reasoning") or {}
    return {
        "id": f"resp_{identity}",
        "object": "response",
        "created_at": int(time()),
        "status": "in_progress",
        "background": False,
        "error": None,
        "incomplete_details": None,
        "instructions": None,
        "max_output_tokens": asked.get("max_output_tokens"),
        "model": reported,
        "output": [],
        "parallel_tool_calls": True,
        "previous_response_id": None,
        "reasoning": {"effort": ask.effort, "summary": reasoning.get("summary")},
        "service_tier": "default",
        "store": asked.get("store", True),
        "temperature": 1.0,
        "text": {"format": {"type": "text"}},
        "tool_choice": "auto",
        "tools": asked.get("tools", []),
        "top_p": 1.0,
        "truncation": "disabled",
        "usage": None,
        "metadata": {},
    }


def _output(
    ask: Ask, written: Written, identity: str, tool: SimulatedModel | None
) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = []
    if written.reasoning:
        wanted = (ask.body.get("reasoning") or {}).get("summary")
        # A reasoning that was cut by the limit is not summed up.
        told = [{"type": "summary_text", "text": SUMMARY}] if wanted and written.words else []
        items.append({"id": f"rs_{identity}", "type": "reasoning", "summary": told})
    if tool is not None and written.complete:
        items.append(tool_call(ask, identity))
    if written.words:
        said = "".join(written.words)
        part = {"type": "output_text", "annotations": [], "logprobs": [], "text": said}
        status = "completed" if written.complete else "incomplete"
        items.append(
            {
                "id": f"msg_{identity}",
                "type": "message",
                "status": status,
                "role": "assistant",
                "content": [part],
            }
        )
    return items


#: What an output item lacks while it is in progress.
_BEGUN: Mapping[str, dict[str, Any]] = {
    "reasoning": {"summary": []},
    "message": {"status": "in_progress", "content": []},
    "image_generation_call": {"status": "in_progress", "result": None},
}


def _events(
    started: dict[str, Any], finished: dict[str, Any], written: Written
) -> Iterator[dict[str, Any]]:
    yield {"type": "response.created", "response": started}
    yield {"type": "response.in_progress", "response": started}
    for index, item in enumerate(finished["output"]):
        place = {"output_index": index}
        yield {"type": "response.output_item.added", "item": item | _BEGUN[item["type"]]} | place
        for event in _progress(item, written.words):
            yield event | place | {"item_id": item["id"]}
        yield {"type": "response.output_item.done", "item": item} | place
    yield {"type": f"response.{finished['status']}", "response": finished}


def _progress(item: dict[str, Any], words: tuple[str, ...]) -> Iterator[dict[str, Any]]:
    """The events between the beginning and the end of an output item."""
    match item["type"]:
        case "reasoning":
            kind, empty = "response.reasoning_summary", {"type": "summary_text", "text": ""}
            for index, part in enumerate(item["summary"]):
                where = {"summary_index": index}
                yield {"type": f"{kind}_part.added", "part": empty} | where
                yield {"type": f"{kind}_text.delta", "delta": part["text"]} | where
                yield {"type": f"{kind}_text.done", "text": part["text"]} | where
                yield {"type": f"{kind}_part.done", "part": part} | where
        case "message":
            (part,) = item["content"]
            where = {"content_index": 0}
            yield {"type": "response.content_part.added", "part": part | {"text": ""}} | where
            for word in words:
                yield {"type": "response.output_text.delta", "delta": word, "logprobs": []} | where
            done = {"type": "response.output_text.done", "text": part["text"], "logprobs": []}
            yield done | where
            yield {"type": "response.content_part.done", "part": part} | where
        case _:
            for step in ("in_progress", "generating", "completed"):
                yield {"type": f"response.image_generation_call.{step}"}


def prompt_of(ask: Ask) -> str:
    """The text of a request's messages."""
    return "".join(map(_content, ask.body["messages"]))


def _chat(ask: Ask, model: SimulatedModel, reported: str, written: Written) -> Answer:
    tokens_in = prompt_tokens(prompt_of(ask))
    usage = {
        "prompt_tokens": tokens_in,
        "completion_tokens": written.tokens,
        "total_tokens": tokens_in + written.tokens,
        "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 0},
        "completion_tokens_details": {"reasoning_tokens": written.reasoning, "audio_tokens": 0},
    }
    charges = (Charge(model.name, tokens_in * model.text_in + written.tokens * model.out),)
    head = {
        "id": f"chatcmpl-{uuid4().hex[:29]}",
        "object": "chat.completion",
        "created": int(time()),
        "model": reported,
        "service_tier": "default",
        "system_fingerprint": None,
    }
    finish = "stop" if written.complete else "length"
    if not ask.stream:
        message: dict[str, Any] = {
            "role": "assistant",
            "content": "".join(written.words),
            "refusal": None,
            "annotations": [],
        }
        choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": finish}
        return Answer(
            "granted", 200, encode(head | {"choices": [choice], "usage": usage}), charges=charges
        )
    head["object"] = "chat.completion.chunk"
    deltas: list[tuple[dict[str, str], str | None]] = [({"role": "assistant", "content": ""}, None)]
    deltas += [({"content": word}, None) for word in written.words]
    deltas += [({}, finish)]
    chunks: list[dict[str, Any]] = [
        head
        | {"choices": [{"index": 0, "delta": delta, "logprobs": None, "finish_reason": reason}]}
        for delta, reason in deltas
    ]
    options = ask.body.get("stream_options")
    if isinstance(options, dict) and options.get("include_usage") is True:
        chunks.append(head | {"choices": [], "usage": usage})
    frames = [b"data: %b\n\n" % encode(chunk) for chunk in chunks]
    return Answer("granted", 200, frames=(*frames, b"data: [DONE]\n\n"), charges=charges)


def _content(message: object) -> str:
    content = message.get("content") if isinstance(message, dict) else None
    return content if isinstance(content, str) else ""
