"""Values that no JSON parser reads: Python's way of writing them, and what is cut off, garbled or escaped.

Nothing is evaluated, so what was pasted can neither run nor nest too deep, and each scan takes time
proportional to the text.
"""

import json
import re
from typing import Final

from monitor.access.diagnosis.text import plain_quotes

#: The most characters that are scanned.
SCAN_CAP = 8_000
_VALUES_PER_FIELD = 6

_NAMES = frozenset(
    (
        "message",
        "msg",
        "detail",
        "error",
        "raw",
        "code",
        "type",
        "param",
        "status",
        "reason",
        "statuscode",
        "status_code",
    )
)
_NAME_CAP = max(map(len, _NAMES)) + 4
# Closing quote and colon (also the full-width one), which are rare in prose, then the name before them.
# Every repetition is bounded.
_COLON = re.compile(r"[\"'] {0,3}[:：=] {0,3}")
_UNQUOTED = re.compile(r"[\w.+-]{1,64}")
# The whole run of backslashes at once, whatever follows, so that each is read only once.
_ESCAPED = re.compile(r"\\+(?:([\"'])|x([0-9a-fA-F]{2})|u([0-9a-fA-F]{4}))?")


def fields(text: str) -> dict[str, list[str]]:
    """The known fields' values in order of appearance, by lower-case name; empty when none is found."""
    text = plain_quotes(text[:SCAN_CAP])
    if "\\" in text:
        text = _ESCAPED.sub(_unescaped, text)
    found: dict[str, list[str]] = {}
    for match in _COLON.finditer(text):
        before = text[max(0, match.start() - _NAME_CAP) : match.start()]
        name = before[max(before.rfind('"'), before.rfind("'")) + 1 :].lstrip("{[, \t\n").casefold()
        if name in _NAMES:
            values = found.setdefault(name, [])
            if len(values) < _VALUES_PER_FIELD and (value := _value(text, match.end())):
                values.append(value)
    return found


def _unescaped(match: re.Match[str]) -> str:
    number = match[2] or match[3]
    return chr(int(number, 16)) if number else match[1] or match[0]


def _value(text: str, start: int) -> str:
    quote = text[start : start + 1]
    if quote in ('"', "'"):
        return _quoted(text, start + 1, quote)
    match = _UNQUOTED.match(text, start)
    value = match[0] if match else ""
    return "" if value.casefold() in ("none", "null", "true", "false") else value


def _quoted(text: str, start: int, quote: str) -> str:
    """Up to the closing quote: one that a comma, a closing bracket or the end follows."""
    end = start
    for _ in range(32):
        end = text.find(quote, end)
        if end < 0:
            return text[start : start + 4_000]
        rest = text[end + 1 : end + 8].lstrip()
        if not rest or rest[0] in ",}])":
            return text[start : min(end, start + 4_000)]
        end += 1
    return text[start : min(end, start + 4_000)]


#: The most characters that are converted; a refusal is shorter, and an image is not printed so.
LITERAL_CAP: Final = 64 * 1024

# A string literal, else a constant. A literal that never ends runs to the end of the text, and nothing is
# given back once taken: so each character is read once.
_LITERAL = re.compile(
    r"(?<!\w)[bBuU]?(?:'((?:[^'\\]|\\.)*+)(?:'|\\?\Z)|\"((?:[^\"\\]|\\.)*+)(?:\"|\\?\Z))"
    r"|\b(None|True|False)\b",
    re.DOTALL,
)
_LITERAL_ESCAPE = re.compile(
    r"\\(?:x([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|(.))", re.DOTALL
)
_BYTES_LITERAL = re.compile(r"b(['\"])(.*)\1", re.DOTALL)
_CONSTANTS = {"None": "null", "True": "true", "False": "false"}
_SIMPLE = {"n": "\n", "t": "\t", "r": "\r", "0": "\0", "b": "\b", "f": "\f", "\n": ""}


def as_json(text: str) -> str | None:
    """A dict or a list as Python prints it, as JSON; None when it is none of them."""
    if len(text) > LITERAL_CAP or text[:1] not in ("{", "["):
        return None
    turned = _LITERAL.sub(_turn, text)
    try:
        json.loads(turned)
    except (ValueError, RecursionError):
        return None
    return turned


def of_bytes(text: str) -> str | None:
    """What a bytes literal (`b'…'`, a printed `response.content`) holds; None when it is none."""
    match = _BYTES_LITERAL.fullmatch(text[:LITERAL_CAP])
    if match is None:
        return None
    plain = _literal(match[2])
    try:
        # each escape \xNN is one byte of the UTF-8
        return plain.encode("latin-1").decode("utf-8", "replace")
    except UnicodeEncodeError:
        return plain


def _turn(match: re.Match[str]) -> str:
    if match[3]:
        return _CONSTANTS[match[3]]
    return json.dumps(_literal(match[1] if match[1] is not None else match[2]))


def _literal(text: str) -> str:
    return _LITERAL_ESCAPE.sub(_character, text) if "\\" in text else text


def _character(match: re.Match[str]) -> str:
    number = match[1] or match[2] or match[3]
    if number:
        value = int(number, 16)
        return chr(value) if value <= 0x10FFFF else ""
    return _SIMPLE.get(match[4], match[4])
