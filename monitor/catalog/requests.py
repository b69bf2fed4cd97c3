"""The request each surface is probed with, as data. Every one is valid: it may be paid for once.

A text request asks with new words each time, as an old answer or an echo is no proof. An image request
has the cheapest legal size, computed from the vendor's rules on sizes and the formula for tokens.
"""

import random
import struct
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from math import ceil, floor
from typing import Any, Final
from urllib.parse import quote

from monitor.access.target import Capability
from monitor.access.words import Surface
from monitor.catalog.known_models import Catalog

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

_PLAIN = """
    anchor basket beaver blazer bottle branch bucket button cactus camera candle canyon carpet carrot
    castle celery cellar cherry circle cookie copper cotton cradle dragon drawer fabric falcon fiddle
    finger flower forest fossil galaxy garden garlic ginger goblet gravel guitar hammer harbor island
    jacket jaguar jungle kettle kitten ladder lagoon lentil lizard locket magnet marble meadow mirror
    mitten monkey muffin napkin needle nickel orange orchid oyster paddle palace papaya parrot peanut
    pebble pencil pepper pickle pigeon pillow planet pocket pollen potato puddle puzzle rabbit radish
    raisin ribbon rocket rudder saddle salmon sandal saucer shovel shrimp silver sleigh spider sponge
    squash statue sunset teapot temple thread timber tinsel toffee tomato tongue trophy trowel tundra
    turnip turtle valley velvet violet violin waffle walnut walrus weasel willow window winter zipper
"""

#: Plain nouns of six letters: the length of a request does not depend on which are drawn.
NOUNS: Final = tuple(_PLAIN.split())

#: Two nouns for a request that is only shown.
EXAMPLE: Final = ("copper", "lizard")
#: As long as a noun: where the drawn ones go in a request that is kept ready.
BLANK: Final = "{noun}"
BLANKS: Final = (BLANK, BLANK)

#: What sizes gpt-image-2 takes: steps of both sides, the longest side, pixels, and the ratio of the sides.
_STEP = 16
_EDGE = 3840
_FEWEST_PIXELS = 655_360
_MOST_PIXELS = 8_294_400
_RATIO = 3

#: The formula's factor for low quality; medium has 48, and high 96.
_DETAIL = 16

#: The size that every GPT Image model takes, and relays' models too.
SQUARE = (1024, 1024)


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


def draw() -> tuple[str, str]:
    """Two different nouns, chosen at random."""
    # Nothing secret depends on it, and `random.sample` takes ten times as long.
    first = int(random.random() * len(NOUNS))  # noqa: S311
    step = 1 + int(random.random() * (len(NOUNS) - 1))  # noqa: S311
    return NOUNS[first], NOUNS[(first + step) % len(NOUNS)]


def question(first: str, second: str) -> str:
    """The question of the text surfaces; the word that it asks for does not stand in it."""
    return f"Join the words {first} and {second}. Reply with the joined word only."


def picture(first: str, second: str) -> str:
    """The prompt of the image surfaces."""
    return f"a grey dot, {first} {second}"


def image_tokens(width: int, height: int) -> int:
    """Output tokens of one low-quality image of gpt-image-2 or later.

    A community formula that reproduces five published figures.
    """
    short, long = sorted((width, height))
    # half up, as JavaScript rounds; Python's round() would go to the even neighbour
    other = floor(_DETAIL * short / long + 0.5)
    return ceil(_DETAIL * other * (2_000_000 + width * height) / 4_000_000)


def legal(width: int, height: int) -> bool:
    """Whether gpt-image-2 takes this size: steps of 16, ratio up to 3:1, pixels and edge in bounds."""
    return (
        width % _STEP == 0
        and height % _STEP == 0
        and max(width, height) <= _EDGE
        and max(width, height) <= _RATIO * min(width, height)
        and _FEWEST_PIXELS <= width * height <= _MOST_PIXELS
    )


@cache
def cheapest_size() -> tuple[int, int]:
    """Width and height of the legal landscape image that costs the fewest tokens at low quality.

    Several sizes share the lowest count, because it is rounded up. Of those the flattest is taken:
    it lies farthest from the ratio at which the formula's rounding makes the next step.
    """
    edges = range(_STEP, _EDGE + 1, _STEP)
    sizes = ((w, h) for w in edges for h in edges if h <= w and legal(w, h))
    return min(sizes, key=lambda size: (image_tokens(*size), size[1] / size[0], size[0] * size[1]))


@cache
def small_png() -> bytes:
    """A square grey PNG of 64 pixels a side, the picture that a probe of `edits` sends."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        checksum = zlib.crc32(kind + data)
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", checksum)

    side = 64
    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)  # 8 bits, red-green-blue
    rows = (b"\0" + b"\x80\x80\x80" * side) * side
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(rows, 9))
        + chunk(b"IEND", b"")
    )
