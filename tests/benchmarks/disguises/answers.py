"""The bricks of answers: what was asked, chat and Responses answers, streams, small pictures."""

import base64
import json
import struct
import zlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from random import Random
from typing import Any

from monitor.access.observation import Observation
from monitor.access.words import Surface
from monitor.catalog.requests import NOUNS, question
from monitor.probing.received import image_in, reduced

TEXTS = (Surface.CHAT, Surface.RESPONSES, Surface.STREAM, Surface.SUMMARY)
PICTURES = (Surface.IMAGES, Surface.EDITS)
HOST = "api.acme.example"


@dataclass(frozen=True)
class Asked:
    """What a probe asked: `word` is the joined word, empty where the surface makes images."""

    surface: Surface
    model: str
    first: str
    second: str

    @property
    def word(self) -> str:
        """The word that only an answer to our own question holds."""
        return "" if self.surface.makes_images else self.first + self.second

    @property
    def question(self) -> str:
        """The question of the text surfaces, which an echo repeats."""
        return question(self.first, self.second)

    @property
    def named(self) -> str:
        """The model that an honest answer names."""
        return "gpt-5.4-nano" if self.surface is Surface.IMAGE_TOOL else self.model


def asked(surface: Surface, chance: Random) -> Asked:
    """A probe of the surface with a model that is used on it."""
    models = {
        Surface.CHAT: ["gpt-5.1", "o3", "gpt-5-mini"],
        Surface.RESPONSES: ["gpt-5.1", "o3-pro", "gpt-5"],
        Surface.STREAM: ["o3", "gpt-5", "gpt-5.1"],
        Surface.SUMMARY: ["o3", "gpt-5.1"],
    }.get(surface, ["gpt-image-2", "gpt-image-1.5"])
    first, second = chance.sample(NOUNS, 2)
    return Asked(surface, chance.choice(models), first, second)


@dataclass(frozen=True)
class Body:
    """An answer's body, its status, and how it is marked."""

    data: bytes
    status: int = 200
    content_type: str = "application/json"


def observe(ask: Asked, body: Body, *, pasted: bool = False) -> Observation:
    """What the prober makes of it; a pasted answer lacks what was asked."""
    if pasted:
        return Observation(body.status, {"content-type": body.content_type}, body.data)
    data, cut = reduced(body.data)
    return Observation(
        body.status,
        {"content-type": body.content_type},
        data,
        truncated=cut,
        surface=ask.surface,
        model=ask.model,
        word=ask.word,
        image=image_in(body.data) if ask.surface.makes_images else None,
        host=HOST,
    )


def as_json(value: object, chance: Random, status: int = 200) -> Body:
    """The value as a server writes it: compact or indented, escaped or not."""
    text = json.dumps(value, ensure_ascii=chance.random() < 0.5, indent=chance.choice([None, 2]))
    return Body(text.encode("utf-8", "surrogatepass"), status)


def frames(events: Iterable[Any], chance: Random, *, named: bool | None = None) -> Body:
    """Server-sent events; a string is a line of its own, such as a comment or an end mark."""
    end = chance.choice(["\n\n", "\n\n", "\r\n\r\n"])
    named = chance.random() < 0.7 if named is None else named
    parts = []
    for event in events:
        if isinstance(event, str):
            parts.append(event + end)
            continue
        kind = event.get("type") if named and isinstance(event, Mapping) else None
        head = f"event: {kind}{end[: len(end) // 2]}" if kind else ""
        parts.append(f"{head}data: {json.dumps(event, ensure_ascii=False)}{end}")
    data = "".join(parts).encode("utf-8", "surrogatepass")
    return Body(data, 200, "text/event-stream")


def pieces(text: str, chance: Random) -> list[str]:
    """The text split anywhere: into letters, tokens or a few long parts; nothing is lost."""
    if not text:
        return [""]
    longest = chance.choice([1, 4, 30])
    parts = []
    while text:
        size = chance.randint(1, longest)
        parts.append(text[:size])
        text = text[size:]
    return parts


def chat(
    ask: Asked, message: Mapping[str, Any], finish: str = "stop", **more: Any
) -> dict[str, Any]:
    """A chat completion with one choice."""
    choice = {
        "index": 0,
        "message": {"role": "assistant"} | dict(message),
        "logprobs": None,
        "finish_reason": finish,
    }
    usage = {"prompt_tokens": 24, "completion_tokens": 9, "total_tokens": 33}
    return {
        "id": "chatcmpl-FAKE",
        "object": "chat.completion",
        "created": 1_795_000_000,
        "model": ask.named,
        "choices": [choice],
        "usage": usage,
    } | more


def chunk(ask: Asked, delta: Mapping[str, Any], finish: str | None = None, **more: Any) -> Any:
    """One frame of a chat stream."""
    return {
        "id": "chatcmpl-FAKE",
        "object": "chat.completion.chunk",
        "created": 1_795_000_000,
        "model": ask.named,
        "choices": [{"index": 0, "delta": dict(delta), "finish_reason": finish}],
    } | more


def message(*parts: Any) -> dict[str, Any]:
    """A message item of a response; a string is a part of output text."""
    content = [
        {"type": "output_text", "text": part, "annotations": []} if isinstance(part, str) else part
        for part in parts
    ]
    return {
        "type": "message",
        "id": "msg_FAKE",
        "status": "completed",
        "role": "assistant",
        "content": content,
    }


def reasoning(*summary: str) -> dict[str, Any]:
    """A reasoning item of a response."""
    return {
        "type": "reasoning",
        "id": "rs_FAKE",
        "summary": [{"type": "summary_text", "text": text} for text in summary],
    }


def response(ask: Asked, *output: Any, status: str = "completed", **more: Any) -> dict[str, Any]:
    """A response; on the summary's surface it says that a summary was asked for."""
    details = {"reason": "max_output_tokens"} if status == "incomplete" else None
    thinking = {"effort": "low", "summary": "detailed" if ask.surface is Surface.SUMMARY else None}
    usage = {"input_tokens": 24, "output_tokens": 9, "total_tokens": 33}
    return {
        "id": "resp_FAKE",
        "object": "response",
        "created_at": 1_795_000_000,
        "status": status,
        "error": None,
        "incomplete_details": details,
        "model": ask.named,
        "output": list(output),
        "reasoning": thinking,
        "usage": usage,
    } | more


def response_frames(whole: Mapping[str, Any], text: str, chance: Random) -> list[Any]:
    """The events of a streamed response that says `text`."""
    running = dict(whole) | {"status": "in_progress", "output": [], "usage": None}
    events: list[Any] = [{"type": "response.created", "response": running}]
    if chance.random() < 0.7:
        events.append({"type": "response.in_progress", "response": running})
    item = {"item_id": "msg_FAKE", "output_index": 0, "content_index": 0}
    for part in pieces(text, chance) if text else []:
        events.append({"type": "response.output_text.delta", "delta": part} | item)
    if text and chance.random() < 0.6:
        events.append({"type": "response.output_text.done", "text": text} | item)
    events.append({"type": f"response.{whole['status']}", "response": dict(whole)})
    return events


def b64(data: bytes) -> str:
    """As an image entry holds it."""
    return base64.b64encode(data).decode()


def png(width: int = 1024, height: int = 1024) -> bytes:
    """A grey PNG, whole."""

    def part(kind: bytes, data: bytes) -> bytes:
        checksum = zlib.crc32(kind + data)
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", checksum)

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    pixels = zlib.compress((b"\0" + b"\x80" * width) * height, 1)
    return b"\x89PNG\r\n\x1a\n" + part(b"IHDR", header) + part(b"IDAT", pixels) + part(b"IEND", b"")


def jpeg(width: int = 1024, height: int = 768) -> bytes:
    """The segments of a JPEG with some noise for its pixels."""
    app = b"\xff\xe0\x00\x10JFIF\x00\x01\x01\x00\x00\x01\x00\x01\x00\x00"
    table = b"\xff\xdb\x00\x43\x00" + bytes(range(1, 65))
    frame = b"\xff\xc0\x00\x0b\x08" + struct.pack(">HH", height, width) + b"\x01\x01\x11\x00"
    scan = b"\xff\xda\x00\x08\x01\x01\x00\x00\x3f\x00" + Random(width).randbytes(900)
    return b"\xff\xd8" + app + table + frame + scan.replace(b"\xff", b"\xfe") + b"\xff\xd9"


def webp(width: int = 1024, height: int = 1024) -> bytes:
    """An extended WebP's header and some noise."""
    size = struct.pack("<I", width - 1)[:3] + struct.pack("<I", height - 1)[:3]
    inner = b"WEBPVP8X" + struct.pack("<I", 10) + b"\x00\x00\x00\x00" + size
    inner += b"VP8 " + struct.pack("<I", 400) + Random(height).randbytes(400)
    return b"RIFF" + struct.pack("<I", len(inner)) + inner


def gif(width: int = 512, height: int = 512) -> bytes:
    """A GIF's header and some noise."""
    head = b"GIF89a" + struct.pack("<HH", width, height) + b"\x80\x00\x00\x00\x00\x00\xff\xff\xff"
    return head + Random(width).randbytes(300) + b"\x3b"


def avif(width: int = 1024, height: int = 1024) -> bytes:
    """An AVIF's boxes as far as its size, and some noise."""

    def box(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", 8 + len(data)) + kind + data

    size = box(b"ispe", bytes(4) + struct.pack(">II", width, height))
    meta = box(b"meta", bytes(4) + box(b"iprp", box(b"ipco", size)))
    kind = box(b"ftyp", b"avif\x00\x00\x00\x00avifmif1miaf")
    return kind + meta + box(b"mdat", Random(height).randbytes(500))


DRAW: tuple[Callable[[], bytes], ...] = (png, jpeg, webp, gif, avif)
