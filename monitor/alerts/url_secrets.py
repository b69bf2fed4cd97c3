"""What of a channel's URL must never be shown, and hiding it in a text. Pure."""

import re
from collections.abc import Sequence
from urllib.parse import parse_qsl, quote, unquote, urlsplit

HIDDEN = "[hidden]"

#: Where the host is a host. Of other services it is a token as often as not.
_HOST_IS_A_HOST = frozenset(
    {"http", "https", "json", "jsons", "xml", "xmls", "form", "forms", "mailto", "mailtos"}
)

#: Parameters that say how, not who: their values help to understand an error.
_HARMLESS = frozenset(
    {"smtp", "from", "to", "cc", "bcc", "reply", "name", "mode", "verify", "format", "cto", "rto"}
    | {"overflow", "method", "image", "footer", "blocks", "timestamp", "redirect", "emojis", "tz"}
)

#: A shorter part is a word of the text more often than a secret; a password counts at any length.
_SHORTEST = 4


def url_secrets(url: str) -> tuple[str, ...]:
    """The parts of a URL to hide, longest first: the whole, password, user, tokens, parameters."""
    found = {url, url.partition("://")[2]}
    try:
        parts = urlsplit(url)
        # The host as it was written: `hostname` is in lower case.
        host = re.sub(r":\d+$", "", parts.netloc.rpartition("@")[2])
        password, user = parts.password, parts.username
    except ValueError:
        return tuple(sorted(found, key=len, reverse=True))
    short = [user or "", *re.split(r"[/,;]", parts.path), parts.fragment]
    short += [
        value
        for key, value in parse_qsl(parts.query, keep_blank_values=False)
        if key.lower() not in _HARMLESS
    ]
    if parts.scheme not in _HOST_IS_A_HOST:
        short.append(host)
    found |= {part for part in short if len(part) >= _SHORTEST}
    if parts.path.strip("/"):
        found.add(parts.path)
    if password:
        found.add(password)
    found |= {unquote(part) for part in found} | {quote(part, safe="") for part in found}
    return tuple(sorted((part for part in found if part.strip("/ ")), key=len, reverse=True))


def hide(text: str, secrets: Sequence[str]) -> str:
    """The text without the secrets, in whatever case they stand. `secrets` are longest first."""
    if not secrets:
        return text
    return re.sub("|".join(map(re.escape, secrets)), HIDDEN, text, flags=re.IGNORECASE)
