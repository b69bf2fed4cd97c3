"""What an answer has where an image is expected: an image, a link to one, or something else."""

import base64
import binascii
import re
from typing import Final
from urllib.parse import urlsplit

from monitor.access.images import BASE64_CAP, image_of
from monitor.access.observation import Image

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
