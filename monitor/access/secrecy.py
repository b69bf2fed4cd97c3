"""A secret in the forms in which it may come back, and what looks like one. Pure."""

import base64
import json
import re
from collections.abc import Iterator
from urllib.parse import quote, quote_plus

HIDDEN = "[hidden]"

#: A shorter value would hide half of an ordinary sentence.
SHORTEST = 6

# What a secret looks like, what becomes of it, and a word without which there is none: to look for that
# first makes most texts quick. Each is one run of characters: nothing can explode. After "bearer" stands
# an ordinary word often enough: a token is longer.
_LOOKS = (
    ("sk-", re.compile(r"\bsk-[A-Za-z0-9_\-]{8,}"), HIDDEN),
    ("earer", re.compile(r"(?i)\bbearer\s+[A-Za-z0-9_\-.=+/]{16,}"), HIDDEN),
    ("EARER", re.compile(r"\bBEARER\s+[A-Za-z0-9_\-.=+/]{16,}"), HIDDEN),
    ("slack", re.compile(r"https://hooks\.slack\.com/services/[A-Za-z0-9/_\-]+"), HIDDEN),
    ("@", re.compile(r"(://[^/\s:@]{1,200}:)[^/\s@]{1,200}@"), rf"\1{HIDDEN}@"),
)
#: Only a body's keys: a web page may well speak of bearer tokens, and what it says is diagnosed.
_KEY_IN_BODY = re.compile(rb"\bsk-[A-Za-z0-9_\-]{8,}")

#: A secret of these characters alone is the same in a URL, in JSON and in a header.
_PLAIN = re.compile(r"[A-Za-z0-9_.~-]+")
_ESCAPE = re.compile(r"%[0-9A-F]{2}")

#: Characters of a secret that a text which was cut may end with.
_TAIL = 4


def forms(secret: str) -> list[str]:
    """The secret plain, quoted for a URL and for JSON, and as it stands within base64; longest first.

    Within base64 it stands in one of three ways, by what goes before it; the characters at its ends
    that depend on its neighbours are left out.
    """
    found = {secret, *_in_base64(secret)}
    if not _PLAIN.fullmatch(secret):
        quoted = {quote(secret, safe=""), quote(secret), quote_plus(secret)}
        found |= quoted | {_ESCAPE.sub(lambda escape: escape[0].lower(), text) for text in quoted}
        found |= {json.dumps(secret)[1:-1], json.dumps(secret)[1:-1].replace("/", "\\/")}
    return sorted((form for form in found if len(form) >= SHORTEST), key=len, reverse=True)


def _in_base64(secret: str) -> Iterator[str]:
    data = secret.encode()
    for before, start in ((0, 0), (1, 2), (2, 3)):
        end = (before + len(data)) * 8 // 6
        core = base64.b64encode(bytes(before) + data)[start:end].decode()
        yield core
        if not core.isalnum():
            yield core.replace("+", "-").replace("/", "_")


def without_looks(text: str) -> str:
    """The text without what looks like a key, a token, a webhook or a password in a URL."""
    for word, pattern, instead in _LOOKS:
        if word in text:
            text = pattern.sub(instead, text)
    return text


class Veil:
    """Hides the secret that a request was made with in what came back: servers echo it."""

    def __init__(self, secret: str) -> None:
        self._forms = forms(secret)

    def text(self, text: str) -> str:
        """A header's value without the secret, and without what looks like one."""
        for form in self._forms:
            text = text.replace(form, HIDDEN)
        return without_looks(text)

    def body(self, body: bytes, *, cut: bool = False) -> bytes:
        """A body without the secret; one that was `cut` may end in the middle of it."""
        for form in self._forms:
            body = body.replace(form.encode(), HIDDEN.encode())
        if cut:
            body = self._without_tail(body)
        return body

    def _without_tail(self, body: bytes) -> bytes:
        for form in self._forms:
            for length in range(len(form) - 1, _TAIL - 1, -1):
                if body.endswith(form[:length].encode()):
                    return body[:-length] + HIDDEN.encode()
        return body


def without_keys(body: bytes) -> bytes:
    """A body without what looks like a key, whoever's it is."""
    return _KEY_IN_BODY.sub(HIDDEN.encode(), body) if b"sk-" in body else body
