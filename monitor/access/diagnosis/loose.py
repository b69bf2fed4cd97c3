"""Fields of an error that no JSON parser reads: cut off, Python reprs, garbled pastes, escaped quotes.

A scan for the known field names and the value after each. It never evaluates anything, so neither
deep nesting nor hostile literals can hurt it, and it takes time proportional to the text.
"""

import re

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
