"""Images in answers: what the beginning of one says of itself, and what counts as one or as a link to one.

Total: no bytes raise.
"""

import base64
import binascii
import re
from collections.abc import Callable
from typing import Final
from urllib.parse import urlsplit

from monitor.access.observation import Image

#: Characters of base64 that are decoded: the size of nearly every image stands in them.
BASE64_CAP: Final = 64 * 1024

_URL_SAFE: Final = bytes.maketrans(b"-_", b"+/")
_AVIF_BRANDS: Final = (b"avif", b"avis", b"mif1", b"miaf")
#: Markers of a JPEG that stand alone, and those of a frame, which has the size.
_ALONE: Final = frozenset((0x01, *range(0xD0, 0xD8)))
_FRAMES: Final = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_SCAN: Final = 0xDA
_END: Final = 0xD9


def image_of(text: bytes, *, cut: bool) -> Image | None:
    """The image that this base64 begins as; None for anything else. `cut` says that more followed."""
    plain = b"".join(text[:BASE64_CAP].split()).translate(_URL_SAFE).rstrip(b"=")
    try:
        data = binascii.a2b_base64(plain[: len(plain) // 4 * 4], strict_mode=True)
        if rest := plain[len(plain) // 4 * 4 :]:
            data += binascii.a2b_base64(rest + b"=" * (4 - len(rest)))
    except ValueError:
        return None
    return read_image(data, cut=cut or len(text) > BASE64_CAP)


def read_image(data: bytes, *, cut: bool) -> Image | None:
    """The image that these bytes begin as, None for anything else.

    Where the bytes were cut before the size, it has none; where its header is broken, sides of 0.
    """
    for name, begins, size in _FORMATS:
        if begins(data):
            sides = size(data)
            if sides is None:
                return Image(name) if cut else Image(name, 0, 0)
            return Image(name, *sides)
    return None


def _png(data: bytes) -> tuple[int, int] | None:
    # PNG specification, 5.2 and 11.2.2
    if len(data) < 24:
        return None
    return (_big(data, 16, 4), _big(data, 20, 4)) if data[12:16] == b"IHDR" else (0, 0)


def _gif(data: bytes) -> tuple[int, int] | None:
    return (_little(data, 6, 2), _little(data, 8, 2)) if len(data) >= 10 else None


def _webp(data: bytes) -> tuple[int, int] | None:
    # RFC 9649, 2.5 to 2.7
    if len(data) < 30:
        return None
    match data[12:16]:
        case b"VP8X":
            return _little(data, 24, 3) + 1, _little(data, 27, 3) + 1
        case b"VP8L" if data[20] == 0x2F:
            bits = _little(data, 21, 4)
            return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
        case b"VP8 " if data[23:26] == b"\x9d\x01\x2a":
            return _little(data, 26, 2) & 0x3FFF, _little(data, 28, 2) & 0x3FFF
    return 0, 0


def _avif(data: bytes) -> tuple[int, int] | None:
    # the property of the image's extent, ISO/IEC 23008-12, 6.5.3
    at = data.find(b"ispe")
    return (_big(data, at + 8, 4), _big(data, at + 12, 4)) if 0 < at <= len(data) - 16 else None


def _jpeg(data: bytes) -> tuple[int, int] | None:
    # segments of a marker and a length each, ISO/IEC 10918-1, annex B
    at = 2
    while at + 1 < len(data):
        if data[at] != 0xFF:
            return 0, 0
        marker = data[at + 1]
        if marker == 0xFF:
            at += 1
        elif marker in _ALONE:
            at += 2
        elif marker in _FRAMES:
            return (_big(data, at + 7, 2), _big(data, at + 5, 2)) if at + 9 <= len(data) else None
        elif marker < 0xC0 or marker in (_SCAN, _END):
            return 0, 0
        else:
            if at + 4 > len(data):
                return None
            at += 2 + max(2, _big(data, at + 2, 2))
    return None


def _big(data: bytes, at: int, count: int) -> int:
    return int.from_bytes(data[at : at + count], "big")


def _little(data: bytes, at: int, count: int) -> int:
    return int.from_bytes(data[at : at + count], "little")


_FORMATS: Final[
    tuple[tuple[str, Callable[[bytes], bool], Callable[[bytes], tuple[int, int] | None]], ...]
] = (
    ("png", lambda data: data.startswith(b"\x89PNG\r\n\x1a\n"), _png),
    ("jpeg", lambda data: data.startswith(b"\xff\xd8\xff"), _jpeg),
    ("webp", lambda data: data.startswith(b"RIFF") and data[8:12] == b"WEBP", _webp),
    ("gif", lambda data: data.startswith((b"GIF87a", b"GIF89a")), _gif),
    ("avif", lambda data: data[4:8] == b"ftyp" and data[8:12] in _AVIF_BRANDS, _avif),
)

#: Pixels: no side of a real image is shorter, or longer.
SHORTEST_SIDE: Final = 64
LONGEST_SIDE: Final = 32_768
#: Characters that are read of the text which stands in an image's place.
_TEXT_CAP: Final = 4_096

#: Pages of the vendor and kinds of files that are no image: a refusal's link, not a picture's.
_NO_IMAGE_HOSTS: Final = frozenset(("platform.openai.com", "help.openai.com", "openai.com"))
_NO_IMAGE_ENDS: Final = (
    *(".html", ".htm", ".json", ".txt", ".php", ".md", ".svg", ".xml", ".pdf", ".ico"),
    # the endpoint that was asked, no picture
    *("/images/generations", "/images/edits", "/responses", "/v1"),
)
#: Words of a path by which it leads to a page, or to what stands for a picture; the first in a query, too.
_FAILURE_WORDS: Final = frozenset(
    ("error", "errors", "denied", "forbidden", "unauthorized", "unverified", "verified")
)
_PAGE_WORDS: Final = _FAILURE_WORDS | frozenset(
    (
        *("login", "signin", "signup", "register", "verify", "verification", "captcha", "blocked"),
        *("banned", "maintenance", "placeholder", "notfound", "expired", "billing", "quota"),
    )
)
_PAGE_STATUS = re.compile(r"/[45]\d\d(?:\.\w{1,5})?/?$")
_APART = re.compile(r"[^a-z0-9]+")


def is_image(value: str, seen: Image | None) -> bool:
    """Whether this base64 (or data URL) is an image; `seen` is what it was before it was made small."""
    if value.startswith("data:"):
        value = value.partition(",")[2]
    found = image_of(value[:BASE64_CAP].encode("ascii", "replace"), cut=True)
    if found is None:
        return False
    if seen is not None and (found.width is None or seen.format == found.format):
        found = seen
    sides = (found.width, found.height)
    return all(side is None or SHORTEST_SIDE <= side <= LONGEST_SIDE for side in sides)


def text_instead(value: str) -> str:
    """The text given in place of an image, in base64 or plain; empty when there is none."""
    value = value[:_TEXT_CAP]
    plain = "".join(value.split()).rstrip("=")
    try:
        return base64.b64decode(plain + "=" * (-len(plain) % 4), validate=True).decode()
    except binascii.Error:
        return value
    except ValueError:
        return ""


def is_link(value: str, host: str) -> bool:
    """Whether it leads to an image, as far as a link can tell: by TLS, or to this host."""
    try:
        parts = urlsplit(value)
        named = (parts.hostname or "").casefold()
    except ValueError:
        return False
    path = parts.path.casefold()
    return (
        (parts.scheme == "https" or (parts.scheme == "http" and named == host.casefold() != ""))
        and bool(named)
        and named not in _NO_IMAGE_HOSTS
        and value.isprintable()
        and not any(map(str.isspace, value))
        and (len(path) > 1 or bool(parts.query))
        and not path.rstrip("/").endswith(_NO_IMAGE_ENDS)
        and not _PAGE_STATUS.search(path)
        and _PAGE_WORDS.isdisjoint(_APART.split(path[:_TEXT_CAP]))
        and _FAILURE_WORDS.isdisjoint(_APART.split(parts.query[:_TEXT_CAP].casefold()))
    )


def cut_image(text: str, seen: Image | None) -> bool:
    """Whether a JSON text with an image was cut by our own cap, within the image."""
    for name in ('"b64_json"', '"result"'):
        before, found, after = text.partition(name)
        after = after.lstrip(": \t\r\n")
        if (
            found
            and '"error"' not in before
            and after.startswith('"')
            and (seen or len(after) > 1_000)
        ):
            return is_image(after[1:_TEXT_CAP], seen)
    return False
