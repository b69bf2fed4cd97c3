"""Granted answers that hold images: of the Images API and of the hosted tool, and what they cost.

The pictures are real ones of any size: plain grey, so a large one stays small.
"""

import struct
import zlib
from base64 import b64encode
from collections.abc import Mapping
from functools import lru_cache
from math import ceil
from time import time
from typing import Any

from monitor.simulator.answers import Answer, Charge, encode
from monitor.simulator.asking import Ask
from monitor.simulator.simulated_models import SimulatedModel, image_tokens

_SIGNATURE = b"\x89PNG\r\n\x1a\n"


def prompt_tokens(text: object) -> int:
    """Tokens of a prompt: seven of frame, and one for four characters. `hi` is 8, as measured."""
    length = len(text) if isinstance(text, str) else len(encode(text))
    return 7 + ceil(length / 4)


def images(ask: Ask, model: SimulatedModel) -> Answer:
    """The answer of `/images/generations` and `/images/edits`."""
    number = ask.body.get("n", 1)
    drawn = _drawn(ask.body)
    tokens_in = prompt_tokens(ask.body["prompt"])
    usage, charge = _usage(model, drawn, tokens_in, _input_image_tokens(ask.image), number)
    # The picture is put in as bytes that were made once, the rest is small.
    item = b'{"b64_json":"' + picture(drawn["size"], drawn["output_format"]) + b'"}'
    start = b'{"created":%d,"data":[%b],' % (int(time()), b",".join([item] * number))
    body = start + encode(drawn | {"usage": usage})[1:]
    return Answer("granted", 200, body, charges=(charge,))


def tool_call(ask: Ask, identity: str) -> dict[str, object]:
    """The output item of the hosted image tool."""
    drawn = _drawn(ask.tool)
    return {
        "id": f"ig_{identity}",
        "type": "image_generation_call",
        "status": "completed",
        **drawn,
        "result": picture(drawn["size"], drawn["output_format"]).decode(),
        "revised_prompt": "a grey dot",
    }


def tool_usage(ask: Ask, model: SimulatedModel) -> tuple[dict[str, object], Charge]:
    """The usage of the hosted tool's image model, and its cost."""
    return _usage(model, _drawn(ask.tool), prompt_tokens(ask.body["input"]))


def _drawn(asked: Mapping[str, Any]) -> dict[str, str]:
    """What an answer tells of its pictures; the simulator's `auto` is a medium square."""
    size, quality = asked.get("size") or "auto", asked.get("quality") or "auto"
    return {
        "background": "opaque",
        "output_format": asked.get("output_format") or "png",
        "quality": "medium" if quality == "auto" else quality,
        "size": "1024x1024" if size == "auto" else size,
    }


def _usage(
    model: SimulatedModel, drawn: dict[str, str], text_in: int, image_in: int = 0, number: int = 1
) -> tuple[dict[str, object], Charge]:
    """The tokens of so many pictures, and their cost."""
    out = number * image_tokens(model, drawn["quality"], *_sides(drawn["size"]))
    usage = {
        "input_tokens": text_in + image_in,
        "input_tokens_details": {"image_tokens": image_in, "text_tokens": text_in},
        "output_tokens": out,
        "output_tokens_details": {"image_tokens": out, "text_tokens": 0},
        "total_tokens": text_in + image_in + out,
    }
    cost = text_in * model.text_in + image_in * model.image_in + out * model.out
    return usage, Charge(model.name, cost)


@lru_cache(maxsize=64)
def picture(size: str, form: str = "png") -> bytes:
    """The picture of that size in base64: a PNG, or a JPEG or WebP where that is asked for."""
    draw = {"jpeg": _jpeg, "webp": _webp}.get(form, _png)
    return b64encode(draw(*_sides(size)))


def _sides(size: str) -> tuple[int, int]:
    width, height = map(int, size.split("x"))
    return width, height


def _input_image_tokens(content: bytes) -> int:
    """One token for 32 by 32 pixels of a PNG; the real formula is not public."""
    if len(content) < 24 or not content.startswith(_SIGNATURE) or content[12:16] != b"IHDR":
        return 0
    width, height = struct.unpack(">II", content[16:24])
    patches: int = ceil(width / 32) * ceil(height / 32)
    return min(patches, 4096)


def _png(width: int, height: int) -> bytes:
    """A grey picture, 8 bits a pixel, without interlace (PNG specification, sections 5 and 11)."""
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    rows = zlib.compress((b"\0" + b"\x80" * width) * height, 1)
    return _SIGNATURE + _chunk(b"IHDR", header) + _chunk(b"IDAT", rows) + _chunk(b"IEND", b"")


def _jpeg(width: int, height: int) -> bytes:
    """A grey picture of one component (ISO/IEC 10918-1, annexes B and F).

    Each block is two bits: no difference to the one before, and its end; both codes are a single zero.
    """
    frame = struct.pack(">BHHB", 8, height, width, 1) + b"\x01\x11\x00"
    table = b"\x01" + bytes(15) + b"\x00"
    blocks = -(-width // 8) * -(-height // 8)
    whole, rest = divmod(blocks * 2, 8)
    scan = bytes(whole) + (bytes([0xFF >> rest]) if rest else b"")
    return b"".join(
        (
            b"\xff\xd8",
            _segment(0xE0, b"JFIF\x00\x01\x01\x00\x00\x01\x00\x01\x00\x00"),
            _segment(0xDB, b"\x00" + b"\x01" * 64),
            _segment(0xC0, frame),
            _segment(0xC4, b"\x00" + table),
            _segment(0xC4, b"\x10" + table),
            _segment(0xDA, b"\x01\x01\x00\x00\x3f\x00"),
            scan,
            b"\xff\xd9",
        )
    )


def _webp(width: int, height: int) -> bytes:
    """A grey lossless picture (RFC 9649, section 3): each of its codes has one symbol and takes no bits."""
    fields = [(width - 1, 14), (height - 1, 14), (0, 4), (0, 3)]
    for value in (0x80, 0x80, 0x80, 0xFF):
        fields += [(0b101, 3), (value, 8)]
    fields += [(0b001, 3), (0, 1)]
    bits = place = 0
    for value, count in fields:
        bits |= value << place
        place += count
    data = b"\x2f" + bits.to_bytes(-(-place // 8), "little")
    padded = data + bytes(len(data) % 2)
    chunk = b"VP8L" + struct.pack("<I", len(data)) + padded
    return b"RIFF" + struct.pack("<I", 4 + len(chunk)) + b"WEBP" + chunk


def _segment(marker: int, content: bytes) -> bytes:
    return struct.pack(">BBH", 0xFF, marker, len(content) + 2) + content


def _chunk(kind: bytes, content: bytes) -> bytes:
    checksum = struct.pack(">I", zlib.crc32(kind + content))
    return struct.pack(">I", len(content)) + kind + content + checksum
