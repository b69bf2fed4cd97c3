"""A key as servers may echo it, a server that does, and a search for what is left of it anywhere.

The search undoes disguises with the standard library's own decoders and knows nothing of the program's.
"""

import asyncio
import html
import json
import re
import sqlite3
import textwrap
import unicodedata
from base64 import b64decode, b64encode, urlsafe_b64encode
from collections.abc import Callable, Iterator, Mapping
from contextlib import AsyncExitStack
from functools import cache, lru_cache
from pathlib import Path
from urllib.parse import quote, unquote

from listening import listening

#: All keys begin with one of these, so that a part of one is found, too.
KEYS = {"openai": "sk-proj-CANARYq8Z_3Xv", "relay": "Relay+Key/CANARY=0002"}

#: So many characters of a key in a row are a find.
WINDOW = 8

Form = Callable[[str], str]


def _json(secret: str) -> str:
    return re.sub(r"[^A-Za-z0-9]", lambda found: f"\\u{ord(found[0]):04X}", secret)


def _json_all(secret: str) -> str:
    return "".join(f"\\u{ord(char):04x}" for char in secret)


def _json_in_json(secret: str) -> str:
    return json.dumps(_json(secret))[1:-1]


def _entities(secret: str) -> str:
    return "".join(f"&#{ord(char)};" for char in secret)


def _entities_hex(secret: str) -> str:
    return "".join(f"&#x{ord(char):X};" for char in secret)


def _entities_named(secret: str) -> str:
    names = {"+": "&plus;", "/": "&sol;", "=": "&equals;", "_": "&lowbar;", "-": "&#45;"}
    return "".join(names.get(char, char) for char in secret)


def _percent(secret: str) -> str:
    return "".join(f"%{ord(char):02x}" for char in secret)


def _packed(secret: str) -> str:
    return b64encode(f"Bearer {secret}".encode()).decode()


def _packed_for_urls(secret: str) -> str:
    return urlsafe_b64encode(f"key:{secret}\n".encode()).decode().rstrip("=")


def _wrapped(text: str, by: str) -> str:
    return by.join(textwrap.wrap(text, 9, break_on_hyphens=False))


FORMS: Mapping[str, Form] = {
    "plain": str,
    "upper case": str.upper,
    "lower case": str.lower,
    "JSON escapes": _json,
    "JSON escapes of all": _json_all,
    "JSON in JSON": _json_in_json,
    "JSON in JSON in JSON": lambda secret: json.dumps(_json_in_json(secret))[1:-1],
    "entities": _entities,
    "entities in hexadecimal": _entities_hex,
    "entities by name": _entities_named,
    "entities of entities": lambda secret: html.escape(_entities(secret)),
    "percent-encoded": lambda secret: quote(secret, safe=""),
    "percent-encoded all": _percent,
    "percent-encoded twice": lambda secret: quote(_percent(secret), safe=""),
    "entities percent-encoded": lambda secret: quote(_entities(secret), safe=""),
    "JSON escapes in upper case": lambda secret: _json(secret.upper()),
    "base64": _packed,
    "base64 for URLs": _packed_for_urls,
    "base64 of base64": lambda secret: _packed(_packed(secret)),
    "base64 of percent-encoded": lambda secret: _packed(_percent(secret)),
    "base64 percent-encoded": lambda secret: _percent(_packed(secret)),
    "base64 wrapped": lambda secret: "\n".join(textwrap.wrap(_packed(secret), 14)),
    "hexadecimal": lambda secret: secret.encode().hex(),
    "split by spaces": " ".join,
    "wrapped": lambda secret: _wrapped(secret, "\n    "),
    "wrapped in a box": lambda secret: _wrapped(secret, " \u2502\n\u2502 "),
    "escapes wrapped": lambda secret: _wrapped(_json(secret), "\r\n  "),
    "joined by what does not show": "\u200b".join,
    "full width": lambda secret: "".join(chr(ord(char) + 0xFEE0) for char in secret),
    "under marks": "\u0332".join,
    "with selectors of variants": "\ufe0f".join,
    "escaped bytes of what does not show": "\\xe2\\x80\\x8b".join,
    "between tags": lambda secret: "".join(f"<b class='k'>{char}</b>" for char in secret),
    "broken by tags": lambda secret: "<wbr>".join(textwrap.wrap(secret, 5)),
    "backslashes": lambda secret: re.sub(r"([^A-Za-z0-9])", r"\\\1", secret),
}


# --- the search ---


def _steps(text: str) -> Iterator[str]:
    """The text with one disguise undone."""
    yield "".join(char for char in text if not char.isspace() and char.isprintable())
    yield re.sub(r"[\u2500-\u257f]", "", text)
    yield re.sub(r"\\u([0-9a-fA-F]{4})", lambda found: chr(int(found[1], 16)), text)
    yield re.sub(r"<[^<>]*>|(?:\\x[0-9a-f]{2}){3}", "", text)
    yield "".join(char for char in text if unicodedata.category(char) != "Mn")
    yield re.sub(r"\\(.)", lambda found: "" if found[1] in "nrt" else found[1], text)
    yield html.unescape(text)
    yield unquote(text)
    yield re.sub("[\uff01-\uff5e]", lambda found: chr(ord(found[0]) - 0xFEE0), text)
    for found in re.finditer(r"[A-Za-z0-9+/_-]{12,}", text):
        run = found[0].replace("-", "+").replace("_", "/")
        for skipped in range(4):
            data = b64decode(run[skipped:] + "A" * (-len(run[skipped:]) % 4))
            yield data.decode("latin-1")
    for found in re.finditer(r"(?:[0-9a-f]{2}){8,}", text):
        yield bytes.fromhex(found[0]).decode("latin-1")


@cache
def _windows(keys: tuple[str, ...]) -> set[str]:
    heads = re.compile(r"^sk-proj-|^sk-")
    return {
        body[at : at + WINDOW].lower()
        for body in (heads.sub("", key) for key in keys)
        for at in range(len(body) - WINDOW + 1)
    }


@lru_cache(maxsize=65_536)
def remains(text: str, keys: tuple[str, ...] = tuple(KEYS.values()), depth: int = 4) -> list[str]:
    """What of the keys is left in a text, whatever it is disguised as."""
    windows = _windows(keys)
    found: set[str] = set()
    level, seen = {text}, {text}
    for _ in range(depth):
        for one in level:
            low = one.lower()
            found |= {window for window in windows if window in low}
        level = {
            step for one in level for step in _steps(one) if len(step) >= WINDOW and _telling(step)
        } - seen
        seen |= level
    return sorted(found)


def _telling(step: str) -> bool:
    """Whether it may go on: bytes that are no text lead nowhere."""
    head = step[:4000]
    return sum(char.isprintable() or char.isspace() for char in head) >= 0.6 * len(head)


def cells(database: Path) -> Iterator[tuple[str, str]]:
    """Every text of every table, by its place."""
    connection = sqlite3.connect(f"file:{database}?mode=ro", uri=True)
    try:
        tables = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
        for (table,) in tables.fetchall():
            for row in connection.execute(f'SELECT * FROM "{table}"'):
                for value in row:
                    if isinstance(value, bytes):
                        value = value.decode("latin-1")  # noqa: PLW2901
                    if isinstance(value, str) and len(value) >= WINDOW:
                        yield f"table {table}", value
    finally:
        connection.close()


# --- the server ---


class EchoServer:
    """Refuses every request and says whose key it was: in its way, cut or whole.

    `ways` has for each secret the form, after how many characters the echo ends (None: it is whole), and how
    it is put.
    """

    def __init__(self, ways: Mapping[str, tuple[str, int | None, str]]) -> None:
        self._ways = ways
        self._stack = AsyncExitStack()
        self.asked = 0

    async def start(self) -> str:
        """The base URL."""
        port = await self._stack.enter_async_context(listening(self._serve))
        return f"http://127.0.0.1:{port}/v1"

    async def stop(self) -> None:
        await self._stack.aclose()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            length = re.search(r"(?i)content-length: (\d+)", head)
            body = await reader.readexactly(int(length[1])) if length else b""
            found = re.search(r"(?i)authorization: bearer (\S+)", head)
            secret = found[1] if found else ""
            self.asked += 1
            streamed = b'"stream":true' in body.replace(b" ", b"")
            writer.write(self._answer(secret, streamed=streamed))
            await writer.drain()

    def _answer(self, secret: str, *, streamed: bool) -> bytes:
        form, cut, how = self._ways.get(secret, ("plain", None, "error"))
        status, kind, body = answer(secret, form, cut, "frame" if streamed else how)
        spelt = " ".join(spell(secret, form, cut).split())
        # a header holds what is printable ASCII
        spelt = spelt if spelt.isascii() else secret
        data = body.encode()
        head = (
            f"HTTP/1.1 {status} Said\r\nContent-Type: {kind}\r\nContent-Length: {len(data)}\r\n"
            f"x-request-id: req_{spelt}\r\nopenai-organization: {spelt}\r\nserver: {'s' * 190}{spelt}\r\n\r\n"
        )
        return head.encode() + data


def spell(secret: str, form: str, cut: int | None) -> str:
    """The secret, or so much of it, in a form."""
    return FORMS[form](secret if cut is None else secret[:cut])


#: How an echo is put, besides the frame of a stream.
HOWS = ("error", "nested", "text", "page", "said", "filled")


def answer(secret: str, form: str, cut: int | None, how: str) -> tuple[int, str, str]:
    """Status, content type and body of an answer that echoes the secret."""
    spelt = spell(secret, form, cut)
    words = f"Incorrect API key provided: {spelt}"
    if cut is None:
        words += ". You can find your API key at https://platform.acme.example/api-keys."
    error = {
        "error": {"message": words, "type": "invalid_request_error", "code": "invalid_api_key"}
    }
    # As servers write it: an escape in the form is an escape of the JSON, not a backslash in a word.
    body = json.dumps(error, ensure_ascii=False)
    if form.startswith("JSON escapes"):
        body = body.replace("\\\\u", "\\u")
    if how == "nested":
        return 401, "application/json", json.dumps({"detail": body, "path": spelt})
    if how == "text":
        return 401, "text/plain", words
    if how == "page":
        page = (
            f"<!DOCTYPE html><html><head><title>{words}</title></head><body>{words}</body></html>"
        )
        return 403, "text/html", page
    if how == "said":
        said = {"id": "x", "object": "chat.completion", "choices": [{"index": 0, "finish_reason": "stop",
                "message": {"role": "assistant", "content": f"You sent {spelt}, thank you."}}]}  # fmt: skip
        return 200, "application/json", json.dumps(said)
    if how == "filled":  # the cap of what is shown comes within it
        filled = body.replace("Incorrect", "w" * (470 - len(words) % 7) + " Incorrect")
        return 401, "application/json", filled
    if how == "frame":
        return 200, "text/event-stream", f"event: error\ndata: {' '.join(body.split())}\n\n"
    return 401, "application/json", body
