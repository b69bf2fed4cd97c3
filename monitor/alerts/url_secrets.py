"""Finds the secrets in a channel's URL, and hides them in a text. Pure.

Secrets are the whole URL, its user and password, the values of its query, and the parts of its path that
are no ordinary words: hiding every word of the path would change each text that contains `alerts`.
"""

import re
from collections.abc import Collection, Iterator
from urllib.parse import SplitResult, parse_qsl, quote, unquote, urlsplit

from monitor.access.masking import HIDDEN

#: Services whose URL has a host as host. With other services it is often a token.
_HOST_IS_A_HOST = frozenset(
    {"http", "https", "json", "jsons", "xml", "xmls", "form", "forms", "mailto", "mailtos"}
)

#: Parameters that are no secrets; their values help to understand an error.
_HARMLESS = frozenset(
    {"smtp", "from", "to", "cc", "bcc", "reply", "name", "mode", "verify", "format", "cto", "rto"}
    | {"overflow", "method", "image", "footer", "blocks", "timestamp", "redirect", "emojis", "tz"}
)
#: Parameters whose value is always a secret.
_TELLING = re.compile(r"(?i)pass|pwd|secret|token|key|auth|sig|hash|cred")

#: Fewest characters of a secret: of a part of a path, of a parameter's value, of a user or a telling value.
_LONG, _LONG_VALUE, _SHORTEST = 8, 6, 4

#: Ordinary words of paths, with a small number or a year: `v2`, `Team-Alerts`, `2026`.
_WORDS = re.compile(
    r"(?:[A-Z]?[a-z]{0,20}\d{0,2}|[A-Z]{1,20}|(?:19|20)\d\d)"
    r"(?:[-_.~:@+ #%](?:[A-Z]?[a-z]{0,20}\d{0,2}|[A-Z]{1,20}|(?:19|20)\d\d))*"
)

_ADDRESS = re.compile(r"\d{1,3}(?:\.\d{1,3}){3}")


def whole_urls(url: str) -> set[str]:
    """The forms in which a text may contain the URL: with and without its service."""
    rest = url.partition("://")[2]
    return _forms({url} if _ordinary(rest) else {url, rest})


def url_secrets(url: str) -> set[str]:
    """The parts of a URL that are secrets in any text."""
    try:
        parts = urlsplit(url)
        password, user = parts.password, parts.username
    except ValueError:
        return set()
    found = {part for part in _parts(parts) if len(part) >= _LONG and not _ordinary(part)}
    if user and not _ordinary(user):
        found.add(user)
    if password:
        found.add(password)
    for name, value in parse_qsl(parts.query, keep_blank_values=False):
        if _TELLING.search(name):
            if len(value) >= _SHORTEST:
                found.add(value)
        elif name.lower() not in _HARMLESS and len(value) >= _LONG_VALUE and not _ordinary(value):
            found.add(value)
    return _forms(found)


def named_in(url: str) -> set[str]:
    """All parts of a URL that an error of its own channel must not show, its user included."""
    try:
        user = urlsplit(url).username or ""
    except ValueError:
        user = ""
    users = _forms({user}) if len(user) >= _SHORTEST else set()
    return whole_urls(url) | url_secrets(url) | users


def hide(text: str, secrets: Collection[str]) -> str:
    """The text with the secrets hidden, in upper or lower case."""
    if not secrets:
        return text
    longest_first = sorted(secrets, key=len, reverse=True)
    return re.sub("|".join(map(re.escape, longest_first)), HIDDEN, text, flags=re.IGNORECASE)


def _parts(parts: SplitResult) -> Iterator[str]:
    yield from re.split(r"[/,;]", parts.path)
    yield parts.fragment
    if parts.scheme not in _HOST_IS_A_HOST:
        # The host as written: `hostname` is in lower case.
        yield from parts.netloc.rpartition("@")[2].split(":")


def _ordinary(part: str) -> bool:
    return _WORDS.fullmatch(unquote(part)) is not None or _ADDRESS.fullmatch(part) is not None


def _forms(found: set[str]) -> set[str]:
    every = found | {unquote(part) for part in found} | {quote(part, safe="") for part in found}
    return {part for part in every if part.strip("/ ")}
