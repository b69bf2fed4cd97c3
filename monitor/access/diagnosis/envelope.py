"""Finding the innermost error: gateways wrap, translate, stringify and nest it.

An answer becomes layers, innermost first. Each layer is one error object (or one piece of prose) with
its message, its machine-readable words and its status. Nothing here judges what they mean.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, Final

from monitor.access.diagnosis.text import loose_fields

#: How deep errors are looked for, in objects and in strings together, and how many are kept.
DEPTH_CAP: Final = 12
LAYERS_CAP: Final = 24
#: Children of one list or object that are read, and places in a text tried as start of JSON.
BREADTH_CAP: Final = 6
#: Characters of a string in which an embedded error is looked for.
EMBEDDED_CAP: Final = 16_000

# `localized_message` is left out on purpose: relays put "Unknown error" there beside the real message.
_MESSAGES = (
    "message",
    "msg",
    "status_msg",
    "error_msg",
    "errormessage",
    "error_message",
    "error_description",
    "faultstring",
    "detail",
    "title",
    "error",
    "errors",
    "description",
)
_CHILDREN = (
    "error",
    "errors",
    "detail",
    "details",
    "body",
    "response",
    "metadata",
    "raw",
    "innererror",
    "inner_error",
    "fault",
    "cause",
    "upstream_error",
    "originalerror",
    "data",
    "base_resp",
    # Some relays put an object here, or the upstream's whole error as a string.
    "message",
    "param",
)
#: Names under which stands what was asked for or made: prose that may say anything.
_NO_ERRORS: Final = frozenset(
    (
        "choices",
        "config",
        "delta",
        "headers",
        "input",
        "instructions",
        "messages",
        "output",
        "prompt",
        "reasoning",
        "request",
        "requestbodyvalues",
        "requestparameters",
        "responseheaders",
        "text",
        "tools",
        "usage",
    )
)
_CODES = (
    "code",
    "type",
    "status",
    "reason",
    "errorcode",
    "error_code",
    "errortype",
    "__type",
    "error",
)
#: Cloudflare's own errors as JSON carry a whole number of this range, or say whose they are.
_EDGE_NUMBERS = range(1000, 1201)
#: Our own words for what a field says by a number or a structure.
EDGE_WORD: Final = "cloudflare_error"
RETRY_WORD: Final = "retry_delay"
BROKEN_WORD: Final = "choice_broken_off"
_STATUSES = ("code", "status", "statuscode", "status_code", "http_status", "httpstatus")
_EMPTY = ("", "null", "none", "nil", "false", "success", "ok", "0", "no error", "undefined")

# Where an object may begin; trying each brace would cost more than all the rest.
_OBJECT = re.compile(r"\{[ \t\r\n]{0,200}\"")
# A word that only a machine writes, in prose; and what says that a limit comes back soon.
_MACHINE_WORD = re.compile(r"\w{3,120}+", re.ASCII)
_COMES_BACK = re.compile(r"retry_?delay\W{1,6}(?:seconds: )?\d|please retry in \d", re.IGNORECASE)
#: How many of them are kept, and characters in which they are looked for.
WORDS_CAP: Final = 12
WORDS_SPAN: Final = 2_000

# Not strict: terminals and forums break lines inside of JSON strings.
_decoder = json.JSONDecoder(strict=False)


@dataclass(frozen=True, slots=True)
class ErrorLayer:
    """One error as one server wrote it. `codes` are its code, type and reasons, lower case.

    `code` and `type` are those two by themselves; a code that is a number is there as its digits.
    """

    message: str = ""
    codes: tuple[str, ...] = ()
    param: str = ""
    status: int | None = None
    depth: int = 0
    code: str = ""
    type: str = ""


def parse(text: str) -> tuple[Any, str] | None:
    """The JSON value that the text begins with and the text after it; None when it is no JSON."""
    # This runs for every frame of a long stream: most hold exactly one value.
    start = text if text[:1] == "{" else text.lstrip("\ufeff \t\r\n\x00")
    try:
        value, end = _decoder.raw_decode(start)
    except (ValueError, RecursionError):
        return None
    return value, start[end:].strip() if end < len(start) else ""


def parse_objects(texts: Sequence[str]) -> list[Any]:
    """The JSON value of each text, or the text itself where it is no JSON."""
    try:
        values = _decoder.decode(f"[{','.join(texts)}]")
        if len(values) == len(texts):
            return values  # type: ignore[no-any-return]
    except (ValueError, RecursionError):
        pass
    return [text if (parsed := parse(text)) is None else parsed[0] for text in texts]


def layers(value: Any, text: str = "") -> list[ErrorLayer]:
    """The errors in a parsed value, then those of the text around it; innermost first."""
    found: list[ErrorLayer] = []
    if value is not None:
        found.extend(islice(_of_value(value, 1), LAYERS_CAP))
    if text:
        found.extend(islice(_of_text(text, 0), LAYERS_CAP))
    found.sort(key=lambda layer: -layer.depth)
    return found


def is_error(value: Any) -> bool:
    """True when an `error` field really holds one: relays add empty ones to their successes."""
    if not value:
        return False
    if isinstance(value, str):
        return value.strip().casefold() not in _EMPTY
    if isinstance(value, dict):
        return any(part not in (None, "", 0, False, [], {}) for part in value.values())
    if isinstance(value, list):
        return any(is_error(part) for part in value[:BREADTH_CAP])
    return bool(value)


def _of_value(value: Any, depth: int) -> Iterator[ErrorLayer]:
    if depth > DEPTH_CAP:
        return
    if isinstance(value, str):
        yield from _of_text(value, depth)
    elif isinstance(value, list):
        for part in value[:BREADTH_CAP]:
            yield from _of_value(part, depth)
    elif isinstance(value, dict):
        yield from _of_object(value, depth)


def _of_object(value: Mapping[str, Any], depth: int) -> Iterator[ErrorLayer]:
    fields = {key.casefold(): part for key, part in islice(value.items(), 64)}
    message = _message(fields)
    codes = []
    for name in _CODES:
        if name in fields:
            part = fields[name]
            if isinstance(part, str) and part is not message and (word := part.strip()):
                codes.append(word.casefold()[:120])
    param = fields.get("param")
    own = ErrorLayer(
        message,
        (*codes, *_said_by_numbers(fields), *_comes_back(message)),
        param.casefold()[:120] if isinstance(param, str) else "",
        _status(fields),
        depth,
        _word(fields.get("code")),
        _word(fields.get("type")),
    )
    if own.message or own.codes or own.status:
        yield own
    if "{" in message or "[" in message:
        yield from _embedded(message, depth)
    for name in _CHILDREN:
        if name not in fields:
            continue
        part = fields[name]
        if isinstance(part, str):
            # The message itself was read above; other prose is one level further in.
            if part is not message and part.strip() and name in ("raw", "body"):
                yield from _of_text(part, depth + 1)
            elif part is not message and "{" in part:
                yield from _embedded(part, depth)
        elif part:
            yield from _of_value(part, depth + 1)
    yield from _of_others(fields, depth)


def _of_others(fields: Mapping[str, Any], depth: int) -> Iterator[ErrorLayer]:
    """Errors under names of a gateway's own; what was asked for, and what was made, are none."""
    for name, part in islice(fields.items(), 16):
        if name in _CHILDREN or name in _NO_ERRORS:
            continue
        if isinstance(part, (dict, list)) and part:
            yield from _of_value(part, depth + 1)
        elif isinstance(part, str) and "{" in part and "error" in part and name not in _MESSAGES:
            yield from _embedded(part, depth)


def _message(fields: Mapping[str, Any]) -> str:
    for name in _MESSAGES:
        if name in fields:
            part = fields[name]
            if isinstance(part, str) and part.strip():
                return part
    return ""


def _status(fields: Mapping[str, Any]) -> int | None:
    for name in _STATUSES:
        if name in fields and (found := as_status(fields[name])):
            return found
    return None


def _said_by_numbers(fields: Mapping[str, Any]) -> Iterator[str]:
    """Words for numbers: a vendor's own status, an edge's error, a delay until a retry."""
    number = fields.get("status_code")
    if "status_msg" in fields and isinstance(number, int):
        yield f"base_resp_{_word(number)}"
    edge = fields.get("error_code", fields.get("code"))
    if fields.get("cloudflare_error") is True or (
        isinstance(edge, int)
        and edge in _EDGE_NUMBERS
        and ("error_code" in fields or "ray_id" in fields or "cloudflare" in str(fields)[:2_000])
    ):
        yield EDGE_WORD
    delay = fields.get("retrydelay")
    if isinstance(delay, str) and delay.endswith("s") and delay[:-1].strip("0."):
        yield RETRY_WORD


def _machine_words(text: str) -> Iterator[str]:
    text = text[:WORDS_SPAN]
    if "_" in text:
        words = (word[0] for word in _MACHINE_WORD.finditer(text) if "_" in word[0])
        yield from (word.casefold() for word in islice(words, WORDS_CAP))


def _comes_back(text: str) -> tuple[str, ...]:
    return (RETRY_WORD,) if "etry" in text and _COMES_BACK.search(text) else ()


def _of_text(text: str, depth: int) -> Iterator[ErrorLayer]:
    """Prose, and the error embedded in it: SDK prefixes, exceptions' texts, JSON in strings."""
    text = text.strip()
    if not text or depth > DEPTH_CAP:
        return
    # A string that is itself JSON says nothing as prose.
    if not (text[0] in '{["' and parse(text[:EMBEDDED_CAP]) is not None):
        yield ErrorLayer(text, (*_machine_words(text), *_comes_back(text)), depth=depth)
    yield from _embedded(text, depth)


def _embedded(text: str, depth: int) -> Iterator[ErrorLayer]:
    text = text[:EMBEDDED_CAP]
    if text[:1] == '"' and (parsed := parse(text)) and isinstance(parsed[0], str):
        yield from _of_text(parsed[0], depth + 1)
        return
    for start in islice(_OBJECT.finditer(text), BREADTH_CAP):
        parsed = parse(text[start.start() :])
        if parsed and isinstance(parsed[0], dict) and parsed[0]:
            yield from _of_value(parsed[0], depth + 1)
            return
    if "{" in text or "[" in text:
        yield from _loose(text, depth + 1)


def _loose(text: str, depth: int) -> Iterator[ErrorLayer]:
    found = loose_fields(text)
    if not found:
        return

    def told(*names: str) -> list[str]:
        return [value for name in names for value in found.get(name, ())]

    messages = [
        value
        for value in told("message", "msg", "detail", "error", "raw")
        if not value.lstrip().startswith("{")
    ]
    codes = tuple(map(_word, told("code", "type", "status", "reason")))
    statuses = map(as_status, told("code", "status", "status_code", "statuscode"))
    status = next(filter(None, statuses), None)
    param, code, kind = (_word(next(iter(told(name)), "")) for name in ("param", "code", "type"))
    # The last one is usually the innermost; the others stay, one level further out each.
    for place, message in enumerate(reversed(messages[-BREADTH_CAP:] or [""])):
        yield ErrorLayer(message, codes, param, status, depth + BREADTH_CAP - place, code, kind)


def _word(value: Any) -> str:
    if isinstance(value, int) and not isinstance(value, bool):
        # beyond any code, and past Python's own limit on digits
        return str(value) if -(10**15) < value < 10**15 else ""
    return value.strip().casefold()[:120] if isinstance(value, str) else ""


def as_status(value: Any) -> int | None:
    """An HTTP error status written as a number or as its digits; None for everything else."""
    if isinstance(value, str) and len(value) == 3 and value.isascii() and value.isdigit():
        value = int(value)
    if isinstance(value, int) and not isinstance(value, bool) and 400 <= value <= 599:
        return value
    return None
