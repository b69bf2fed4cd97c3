"""What a success says: the model's words, how it ended, its images, and what contradicts it.

Nothing here decides: `proof` does. Every shape of a success is read, whatever was asked for.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final

from monitor.access.diagnosis import envelope
from monitor.access.diagnosis.answer import BROKEN_OFF, Frame
from monitor.access.images import is_image, is_link, text_instead
from monitor.access.observation import Image

#: Choices, entries, items and parts that are read of each list.
_MOST: Final = 64
_CUT: Final = frozenset(("length", "max_tokens", "max_output_tokens", "model_length"))
_FILTERED: Final = frozenset(
    ("content_filter", "sensitive", "safety", "recitation", "prohibited_content")
)
#: Reasons a chat choice ends with although nothing was made.
_NO_FINISH: Final = frozenset((*BROKEN_OFF, "", "failed", "cancelled", "null", "none"))
_WELL: Final = frozenset(("", "0", "success", "successful", "succeeded", "ok", "completed", "none"))
_FAILED: Final = frozenset(("failed", "error", "cancelled", "canceled", "incomplete"))
_MESSAGES: Final = ("message", "msg", "detail", "error_msg", "error_message", "output_text")
#: Without any of these a frame of a stream has nothing beside its words.
_BESIDE: Final = frozenset(
    ("code", "status", "status_code", "success", "error", "errors", "usage", *_MESSAGES)
)

#: What makes an event an answer, and what of any other says nothing.
_PAYLOADS: Final = frozenset(("choices", "output", "data"))
_NAMES: Final = frozenset(("type", "object", "id", "model", *_MESSAGES))

_MARKS: Final = dict.fromkeys(map(ord, '{}[]"'), " ")


class Shape(StrEnum):
    """The kind of payload a success is."""

    NONE = "none"
    CHAT = "chat"
    RESPONSE = "response"
    IMAGES = "images"


class End(StrEnum):
    """How the answer ended."""

    OPEN = "open"
    COMPLETE = "complete"
    CUT = "cut"
    FILTERED = "filtered"


@dataclass(slots=True)
class Said:
    """What a success says. `host` is the route's, `seen` the image as it was read whole."""

    host: str = ""
    seen: Image | None = None
    shape: Shape = Shape.NONE
    end: End = End.OPEN
    streamed: bool = False
    words: list[str] = field(default_factory=list)
    thoughts: list[str] = field(default_factory=list)
    #: texts beside the model's own: messages of an envelope, what stands in an image's place
    asides: list[str] = field(default_factory=list)
    #: what tools are called with, though we offer none
    called: list[str] = field(default_factory=list)
    #: what a link is said to lead to
    captions: list[str] = field(default_factory=list)
    named: set[str] = field(default_factory=set)
    #: parts that say that it failed, although it looks like a success
    denials: list[Mapping[str, Any]] = field(default_factory=list)
    #: a reasoning item, or tokens or a tool call in the place of words
    reasoned: bool = False
    made: bool = False
    summarized: bool = False
    #: the model, or who answers for it, marks its words as a refusal
    refused: bool = False
    images: int = 0
    #: entries that should be an image and are none
    duds: int = 0

    def texts(self) -> Iterator[str]:
        """All of the text, each part for itself: what a model says over many frames is one."""
        for parts in (self.words, self.thoughts):
            if joined := "".join(parts):
                yield joined
        yield from filter(None, (self.call(), *self.asides, *self.captions))

    def call(self) -> str:
        """What tools are called with, without the marks of JSON: all of it are words to us."""
        return "".join(self.called).translate(_MARKS)


def of_object(value: Mapping[str, Any], said: Said) -> None:
    """Read one whole payload."""
    _envelope(value, said)
    if isinstance(value.get("choices"), list):
        _chat(value, said)
    elif _is_response(value):
        _response(value, said)
    elif isinstance(value.get("data"), list):
        _images(value["data"], said)
    elif isinstance(value.get("output"), list):
        _output(value["output"], said)
    _name(value, said)


def of_frames(frames: Iterable[Frame], said: Said) -> None:
    """Read a stream's frames: its deltas, its last event, and payloads that stand there whole."""
    deltas: list[str] = []
    for frame in frames:
        value = frame.value
        if isinstance(value, dict):
            if "choices" in value:
                _chunk(value, said)
            else:
                _event(value, value.get("type") or frame.event, said, deltas)
        elif isinstance(value, str) and value.strip() and value.strip() != "[DONE]":
            said.asides.append(value)
    if "".join(deltas) not in "".join(said.words):
        said.words[:0] = deltas


def _chunk(value: Mapping[str, Any], said: Said) -> None:
    said.streamed = True
    if isinstance(value["choices"], list) and value["choices"]:
        _chat(value, said)
        _name(value, said)
    if not _BESIDE.isdisjoint(value):
        _envelope(value, said)


def _event(value: Mapping[str, Any], kind: Any, said: Said, deltas: list[str]) -> None:
    if not isinstance(kind, str):
        return
    response = value.get("response")
    if kind.endswith(".delta"):
        delta = value.get("delta")
        if isinstance(delta, str) and "arguments" not in kind:
            said.refused = said.refused or "refusal" in kind
            (said.thoughts if "reasoning" in kind else deltas).append(delta)
    elif kind in ("response.completed", "response.incomplete") and isinstance(response, dict):
        said.streamed = True
        # The event's name says what the object is, even where a relay has trimmed it.
        of_object({"object": "response", "status": kind.rpartition(".")[2], **response}, said)
    elif kind in ("image_generation.completed", "image_edit.completed"):
        _envelope(value, said)
        data = value.get("data")
        _images(data if isinstance(data, list) else [value], said)
    elif not kind.startswith("response."):
        of_object(value, said)
        if _PAYLOADS.isdisjoint(value):
            # an event of a relay's own: whatever it says, it says beside the answer
            texts = (part for name, part in value.items() if name not in _NAMES)
            said.asides.extend(text for text in texts if isinstance(text, str) and text)


def _is_response(value: Mapping[str, Any]) -> bool:
    named = str(value.get("id", "")).startswith("resp")
    return value.get("object") == "response" or (named and "object" not in value)


def _name(value: Mapping[str, Any], said: Said) -> None:
    name = value.get("model")
    # frames that only keep a connection open name themselves so
    if (
        isinstance(name, str)
        and name not in said.named
        and name.strip().casefold() not in ("", "keepalive", "keep-alive")
    ):
        said.named.add(name)


def _envelope(value: Mapping[str, Any], said: Said) -> None:
    """What a gateway says beside the payload."""
    if _denies(value):
        kept = {k: v for k, v in value.items() if k not in ("choices", "output", "data")}
        said.denials.append(kept)
    _messages(value, said)
    _usage(value, said)


def _messages(value: Mapping[str, Any], said: Said) -> None:
    for name in _MESSAGES:
        text = value.get(name)
        if isinstance(text, str) and text.strip():
            (said.words if name == "output_text" else said.asides).append(text)


def _denies(value: Mapping[str, Any]) -> bool:
    """True when an object says of itself that it failed."""
    return (
        value.get("success") is False
        or any(envelope.is_error(value.get(name)) for name in ("error", "errors"))
        or _bad_code(value.get("code"))
        or _bad_code(value.get("status_code"))
        or _bad_status(value.get("status"))
    )


def _bad_code(code: Any) -> bool:
    if isinstance(code, str):
        text = code.strip().casefold()
        if text.isascii() and text.isdigit() and len(text) < 12:
            code = int(text)
        else:
            return text not in _WELL
    return isinstance(code, int) and not isinstance(code, bool) and (code >= 400 or code < 0)


def _bad_status(status: Any) -> bool:
    if isinstance(status, str) and not status.isdigit():
        return status.strip().casefold() in _FAILED - {"incomplete"}
    return status is False or _bad_code(status)


def _usage(value: Mapping[str, Any], said: Said) -> None:
    usage = value.get("usage")
    if isinstance(usage, dict):
        said.made = said.made or any(
            isinstance(count := usage.get(name), int) and count > 0
            for name in ("output_tokens", "completion_tokens")
        )


def _chat(value: Mapping[str, Any], said: Said) -> None:
    said.shape = Shape.CHAT
    for place, choice in enumerate(value["choices"][:_MOST]):
        if not isinstance(choice, dict):
            continue
        # we ask for one choice: what others say stands beside it
        words = said.asides if place or choice.get("index") else said.words
        for name, part in choice.items():
            if name in ("delta", "message"):
                if isinstance(part, dict):
                    _message(part, said, words)
            elif name == "finish_reason":
                if part is not None:
                    said.end = _end(part, said.end)
            elif name == "text" and isinstance(part, str):
                words.append(part)
            elif name == "error" and envelope.is_error(part):
                said.denials.append({name: part})


def _end(reason: Any, before: End) -> End:
    if not isinstance(reason, str) or (word := reason.strip().casefold()) in _NO_FINISH:
        return before
    if word in _FILTERED:
        return End.FILTERED
    return End.CUT if word in _CUT else End.COMPLETE


def _message(part: Mapping[str, Any], said: Said, words: list[str]) -> None:
    # A long stream has many of these, most with one field: it is quicker to ask what they have.
    for name, content in part.items():
        if name == "content":
            if type(content) is str:
                words.append(content)
            else:
                _parts(content, said, words)
        elif name == "refusal":
            if refusal := _strings(content):
                words += refusal
                said.refused = True
        elif name in ("reasoning_content", "reasoning"):
            if thoughts := _strings(content):
                said.thoughts += thoughts
                said.reasoned = True
        elif name in ("tool_calls", "function_call") and content:
            said.made = True
            for call in content[:_MOST] if isinstance(content, list) else [content]:
                _called(call, said)
        elif name == "annotations" and content:
            said.asides += _strings(content)
        elif name == "audio" and isinstance(content, dict):
            said.asides += _strings(content.get("transcript"))
        elif name == "error" and envelope.is_error(content):
            said.denials.append({name: content})


def _called(call: Any, said: Said) -> None:
    call = call.get("function", call) if isinstance(call, dict) else None
    if isinstance(call, dict):
        said.called += _strings(call.get("arguments")) + _strings(call.get("input"))


def _parts(content: Any, said: Said, words: list[str]) -> None:
    words += _strings(content)
    parts = content[:_MOST] if isinstance(content, list) else ()
    if any(isinstance(part, dict) and part.get("refusal") for part in parts):
        said.refused = True


def _strings(content: Any) -> list[str]:
    """A message's text: a string, or the texts of its parts."""
    if isinstance(content, str):
        return [content] if content else []
    found: list[str] = []
    for part in content[:_MOST] if isinstance(content, list) else ():
        if isinstance(part, str):
            found.append(part)
        elif isinstance(part, dict):
            texts = (part.get(name) for name in ("text", "refusal"))
            found.extend(text for text in texts if isinstance(text, str) and text)
    return found


def _response(value: Mapping[str, Any], said: Said) -> None:
    said.shape = Shape.RESPONSE
    output = value.get("output", [])
    if isinstance(output, list):
        _output(output, said)
    details = value.get("incomplete_details")
    if not isinstance(details, dict):
        details = {}
    reason, status = details.get("reason"), value.get("status")
    word = reason.strip().casefold() if isinstance(reason, str) else ""
    _messages(details, said)
    if word in _FILTERED:
        said.end = End.FILTERED
    elif status == "incomplete" and word and word not in _CUT:
        # it ended for a reason that is no length: whatever was made until then is no answer
        said.asides.append(word)
    elif status in ("completed", "incomplete") and isinstance(output, list):
        said.end = End.COMPLETE if status == "completed" else End.CUT
    reasoning = value.get("reasoning")
    if isinstance(reasoning, dict) and reasoning.get("summary"):
        said.summarized = True


def _output(output: list[Any], said: Said) -> None:
    for item in output[:_MOST]:
        if not isinstance(item, dict):
            continue
        kind = item.get("type")
        if kind == "image_generation_call":
            _call(item, said)
        elif kind == "reasoning":
            said.reasoned = True
            for name in ("summary", "content"):
                said.thoughts.extend(_strings(item.get(name)))
        elif isinstance(kind, str) and kind.endswith("_call"):
            said.made = True
            _called(item, said)
        else:
            _parts(item.get("content"), said, said.words)


def _call(item: Mapping[str, Any], said: Said) -> None:
    status = item.get("status")
    failed = isinstance(status, str) and status.strip().casefold() in _FAILED
    if failed or envelope.is_error(item.get("error")):
        said.duds += 1
        said.denials.append({k: v for k, v in item.items() if k not in ("result", "status")})
    else:
        _picture(item.get("result"), said)


def _images(data: list[Any], said: Said) -> None:
    said.shape = Shape.IMAGES
    for entry in data[:_MOST]:
        if isinstance(entry, dict):
            if _denies(entry):
                said.duds += 1
                said.denials.append({k: v for k, v in entry.items() if k != "b64_json"})
            _messages(entry, said)
            _picture(entry.get("b64_json"), said)
            _link(entry, said)
    said.end = End.COMPLETE


def _picture(value: Any, said: Said) -> None:
    if not isinstance(value, str) or not value.strip():
        return
    if is_image(value, said.seen):
        said.images += 1
        return
    said.duds += 1
    said.asides.append(text_instead(value))


def _link(entry: Mapping[str, Any], said: Said) -> None:
    value = entry.get("url")
    if not isinstance(value, str) or not value.strip():
        return
    if value.startswith("data:"):
        _picture(value, said)
    elif is_link(value.strip(), said.host):
        said.images += 1
        # nothing else shows what the link leads to
        said.captions.extend(_strings(entry.get("revised_prompt")))
    else:
        said.duds += 1
        said.asides.append(text_instead(value))
