"""The request each surface is probed with, as data. Every one is valid: it may be paid for once."""

import struct
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any
from urllib.parse import quote

from monitor.access.target import Capability
from monitor.access.words import Surface
from monitor.catalog.image_size import SQUARE, cheapest_size
from monitor.catalog.known_models import Catalog
from monitor.catalog.questions import EXAMPLE, picture, question

#: Seconds. A cut image connection is still billed, so images get long; text is short.
IMAGE_TIMEOUT = 180.0
TEXT_TIMEOUT = 60.0
LISTING_TIMEOUT = 30.0

#: The model at the top of an `image_tool` request: ungated and cheap, so a refusal is the tool's.
TOOL_DRIVER = "gpt-5.4-nano"
#: The smallest number of output tokens the Responses API takes.
FEWEST_TOKENS = 16
#: Enough for the driver's one call of the tool; the image's own tokens are billed apart.
TOOL_TOKENS = 512


@dataclass(frozen=True, slots=True)
class FormPart:
    """One part of a multipart body; `filename` and `content_type` are for a file."""

    name: str
    value: str | bytes
    filename: str | None = None
    content_type: str | None = None


@dataclass(frozen=True, slots=True)
class ProbeRequest:
    """What to send: `path` is relative to the base URL, `timeout` is the whole exchange's, in seconds.

    At most one of `json` and `multipart` is given. `stream` says that the answer is an event stream.
    """

    method: str
    path: str
    json: Mapping[str, Any] | None = None
    multipart: tuple[FormPart, ...] | None = None
    stream: bool = False
    timeout: float = TEXT_TIMEOUT


def probe_request(
    catalog: Catalog, capability: Capability, nouns: tuple[str, str] = EXAMPLE
) -> ProbeRequest:
    """The full probe of a capability, asked with these nouns; also for models the catalog does not know."""
    model, asked = capability.model, question(*nouns)
    match capability.surface:
        case Surface.IMAGES:
            return ProbeRequest(
                "POST", "/images/generations", _image(catalog, model, nouns), timeout=IMAGE_TIMEOUT
            )
        case Surface.EDITS:
            fields = _image(catalog, model, nouns).items()
            parts = [FormPart(name, str(value)) for name, value in fields]
            dot = FormPart("image", small_png(), "dot.png", "image/png")
            return ProbeRequest(
                "POST", "/images/edits", multipart=(*parts, dot), timeout=IMAGE_TIMEOUT
            )
        case Surface.IMAGE_TOOL:
            return ProbeRequest(
                "POST", "/responses", _image_tool(catalog, model, nouns), timeout=IMAGE_TIMEOUT
            )
        case Surface.RESPONSES:
            return ProbeRequest("POST", "/responses", _response(model, asked))
        case Surface.STREAM:
            return ProbeRequest(
                "POST", "/responses", _response(model, asked, stream=True), stream=True
            )
        case Surface.SUMMARY:
            reasoning = {"effort": "low", "summary": "auto"}
            return ProbeRequest("POST", "/responses", _response(model, asked, reasoning=reasoning))
        case Surface.CHAT:
            body = {
                "model": model,
                "messages": [{"role": "user", "content": asked}],
                "max_completion_tokens": FEWEST_TOKENS,
            }
            return ProbeRequest("POST", "/chat/completions", body)
        case Surface.MODELS:
            # quoted whole, as the official client does: a `/` in the name is no path of the API
            return ProbeRequest("GET", f"/models/{quote(model, safe='')}")


def listing_request() -> ProbeRequest:
    """A listing: tells of the key, its organization and project, never of the gate."""
    return ProbeRequest("GET", "/models", timeout=LISTING_TIMEOUT)


def probe_size(catalog: Catalog, model: str) -> tuple[int, int]:
    """Width and height of the image that a probe of this model asks for."""
    known = catalog.get(model)
    return cheapest_size() if known and known.any_size else SQUARE


def _size(catalog: Catalog, model: str) -> str:
    return "{}x{}".format(*probe_size(catalog, model))


def _image(catalog: Catalog, model: str, nouns: tuple[str, str]) -> dict[str, Any]:
    return {
        "model": model,
        "prompt": picture(*nouns),
        "size": _size(catalog, model),
        "quality": "low",
        "n": 1,
        "output_format": "png",
    }


def _image_tool(catalog: Catalog, model: str, nouns: tuple[str, str]) -> dict[str, Any]:
    size = _size(catalog, model)
    return {
        "model": TOOL_DRIVER,
        "input": picture(*nouns),
        "max_output_tokens": TOOL_TOKENS,
        "store": False,
        "tools": [{"type": "image_generation", "model": model, "size": size, "quality": "low"}],
        # without this the text model may answer in words, which would prove nothing of the tool
        "tool_choice": {"type": "image_generation"},
    }


def _response(model: str, asked: str, **more: object) -> dict[str, Any]:
    plain = {"model": model, "input": asked, "max_output_tokens": FEWEST_TOKENS, "store": False}
    return plain | more


@cache
def small_png(side: int = 64) -> bytes:
    """A square grey PNG of `side` pixels, the picture that a probe of `edits` sends."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        checksum = zlib.crc32(kind + data)
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", checksum)

    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)  # 8 bits, red-green-blue
    rows = (b"\0" + b"\x80\x80\x80" * side) * side
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(rows, 9))
        + chunk(b"IEND", b"")
    )
