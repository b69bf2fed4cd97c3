"""Reading an answer within bounds: which headers are kept, how much body, and images made small."""

import re
import zlib
from collections.abc import AsyncIterable, Callable, Iterable
from functools import lru_cache

from monitor.access.observation import BODY_CAP
from monitor.access.words import Surface
from monitor.catalog.listing import brief

#: Bytes of a model list that are read, so that the shutdown dates of all its models are seen.
LIST_CAP = 1024 * 1024
#: Bytes of a granted image answer that are read, so that the usage after the image is seen.
IMAGE_CAP = 24 * 1024 * 1024

_HEADERS = frozenset(
    {
        "cf-ray",
        "content-type",
        "date",
        "openai-organization",
        "openai-processing-ms",
        "openai-project",
        "openai-version",
        "retry-after",
        "retry-after-ms",
        "server",
        "x-request-id",
        "x-should-retry",
    }
)
_RATE_LIMITS = "x-ratelimit-"
_MOST_HEADERS = 40
_LONGEST_NAME = 64
_LONGEST_VALUE = 200

# A JSON string of base64 (perhaps as a data URL, perhaps with escaped slashes or line ends), of which
# the first 16 characters are kept: they tell a PNG and are whole base64 by themselves. The closing
# quote may be escaped (JSON inside a string), or missing where the body was cut. Possessive, so that
# the time is linear in the body.
_BASE64 = re.compile(
    rb'("(?:data:[a-z]+\\{0,4}/[a-z+.-]+;base64,)?(?:\\{0,4}/|[A-Za-z0-9+_-]){16})'
    rb'(?=[^"]{240})[A-Za-z0-9+/=_-]*+(?:\\++[/nr][A-Za-z0-9+/=_-]*+)*+(?=\\*"|\Z)'
)


def kept_headers(
    headers: Iterable[tuple[bytes, bytes]], veiled: Callable[[str], str]
) -> dict[str, str]:
    """The headers worth keeping, names in lower case, values veiled, capped and printable."""
    kept: dict[str, str] = {}
    wanted = [(lower, _text(value)) for name, value in headers if (lower := _wanted(name))]
    together = "\n".join(text for _, text in wanted)
    hides = veiled(together) != together
    for lower, whole in wanted:
        if len(kept) < _MOST_HEADERS:
            text = (veiled(whole) if hides else whole)[:_LONGEST_VALUE]
            if not text.isprintable():
                text = "".join(c if c.isprintable() else " " for c in text)
            text = text.strip()
            # what comes twice is one list
            kept[lower] = f"{kept[lower]}, {text}"[:_LONGEST_VALUE] if lower in kept else text
    return kept


@lru_cache(maxsize=256)
def _wanted(name: bytes) -> str | None:
    """The name in lower case if the header is worth keeping."""
    lower = name.lower().decode("latin-1")
    worth = lower in _HEADERS or lower.startswith(_RATE_LIMITS)
    return lower if worth and len(lower) <= _LONGEST_NAME else None


def encoding_of(headers: Iterable[tuple[bytes, bytes]]) -> str:
    """The content encoding that the headers name; empty where they name none."""
    found = (value for name, value in headers if name.lower() == b"content-encoding")
    return ", ".join(value.decode("latin-1") for value in found)


def _text(value: bytes) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError:
        return value.decode("latin-1")


def body_cap(surface: Surface | None, status: int) -> int:
    """How many bytes of a body to read: much only where a granted image or a model list is expected.

    No `surface` is a free look.
    """
    if status != 200:
        return BODY_CAP
    if surface is None:
        return LIST_CAP
    return IMAGE_CAP if surface.makes_images else BODY_CAP


async def read_capped(
    chunks: AsyncIterable[bytes], encoding: str, cap: int, into: bytearray
) -> bool:
    """Read a body of this content encoding into `into`, at most `cap` bytes; True if there was more.

    What was read stays in `into` when reading fails. We ask for no compression; a server that
    compresses regardless is expanded piece by piece, so that a bomb ends at the cap. An encoding
    that is not known, or does not decode, is left as it came.
    """
    inflate = None
    if encoding.strip().lower() in ("gzip", "x-gzip", "deflate"):
        inflate = zlib.decompressobj(wbits=zlib.MAX_WBITS | 32)  # finds out which of the two
    async for chunk in chunks:
        room = cap - len(into) + 1
        piece = chunk
        if inflate:
            try:
                piece = inflate.decompress(chunk, room)
            except zlib.error:
                inflate = None
        into += piece[:room]
        if len(into) > cap:
            del into[cap:]
            return True
    return False


def reduced(body: bytes) -> tuple[bytes, bool]:
    """The body with images cut to their first characters and then capped; True if the cap cut it."""
    if len(body) > 512:  # nothing to gain below, and most answers are
        body = _BASE64.sub(rb"\1", body)
    return body[:BODY_CAP], len(body) > BODY_CAP


def reduced_list(body: bytes) -> tuple[bytes, bool]:
    """A long model list cut to ids and shutdown dates, whole; any other body as `reduced` does it."""
    if len(body) > BODY_CAP and (short := brief(body)) is not body:
        return short, False
    return reduced(body)
