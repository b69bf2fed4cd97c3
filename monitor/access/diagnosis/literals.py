"""Python's way of writing a value, as a `print` in a program shows it, turned into JSON.

A scan over the string literals and the three constants: nothing is evaluated, so what was pasted can
neither run nor nest too deep, and it takes time proportional to the text.
"""

import json
import re
from typing import Final

#: The most characters that are converted; a refusal is shorter, and an image is not printed so.
LITERAL_CAP: Final = 64 * 1024

# A string literal, else a constant. A literal that never ends runs to the end of the text, and nothing is
# given back once taken: so each character is read once.
_TOKEN = re.compile(
    r"(?<!\w)[bBuU]?(?:'((?:[^'\\]|\\.)*+)(?:'|\\?\Z)|\"((?:[^\"\\]|\\.)*+)(?:\"|\\?\Z))"
    r"|\b(None|True|False)\b",
    re.DOTALL,
)
_ESCAPE = re.compile(r"\\(?:x([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|(.))", re.DOTALL)
_BYTES = re.compile(r"b(['\"])(.*)\1", re.DOTALL)
_CONSTANTS = {"None": "null", "True": "true", "False": "false"}
_SIMPLE = {"n": "\n", "t": "\t", "r": "\r", "0": "\0", "b": "\b", "f": "\f", "\n": ""}


def as_json(text: str) -> str | None:
    """A dict or a list as Python prints it, as JSON; None when it is none of them."""
    if len(text) > LITERAL_CAP or text[:1] not in ("{", "["):
        return None
    turned = _TOKEN.sub(_turn, text)
    try:
        json.loads(turned)
    except (ValueError, RecursionError):
        return None
    return turned


def of_bytes(text: str) -> str | None:
    """What a bytes literal (`b'…'`, a printed `response.content`) holds; None when it is none."""
    match = _BYTES.fullmatch(text[:LITERAL_CAP])
    if match is None:
        return None
    plain = _unescaped(match[2])
    try:
        # each escape \xNN is one byte of the UTF-8
        return plain.encode("latin-1").decode("utf-8", "replace")
    except UnicodeEncodeError:
        return plain


def _turn(match: re.Match[str]) -> str:
    if match[3]:
        return _CONSTANTS[match[3]]
    return json.dumps(_unescaped(match[1] if match[1] is not None else match[2]))


def _unescaped(text: str) -> str:
    return _ESCAPE.sub(_character, text) if "\\" in text else text


def _character(match: re.Match[str]) -> str:
    number = match[1] or match[2] or match[3]
    if number:
        value = int(number, 16)
        return chr(value) if value <= 0x10FFFF else ""
    return _SIMPLE.get(match[4], match[4])
