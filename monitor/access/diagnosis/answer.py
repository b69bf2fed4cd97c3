"""An answer taken apart once: what kind of text it is, its JSON, its stream frames, its errors, its wait."""

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import islice
from typing import Any, Final, NamedTuple

from monitor.access.diagnosis import envelope
from monitor.access.diagnosis.envelope import ErrorLayer
from monitor.access.diagnosis.text import decode, fold, plain_quotes
from monitor.access.observation import Observation

#: The most frames of a stream that are read. A probe asks for 16 tokens; a longer stream counts as cut.
FRAMES_CAP: Final = 1_000

#: How a gateway, a vendor or an engine ends a chat choice that broke off.
BROKEN_OFF: Final = ("error", "network_error", "abort")

_STREAM_STARTS = ("data:", "event:", ": ", ":\n", "id:", "retry:")
_ERROR_EVENTS = frozenset(("error", "response.failed", "response.error", "response.cancelled"))
#: Without any of these a stream has no error frame, and its many frames need not be asked one by one.
#: The last is the beginning of an escape, which may spell any of them.
_ERROR_SIGNS = ("error", "failed", "cancelled", "abort", "false", "detail", "\\u")
_ERROR_KEYS = frozenset(("error", "errors", "Error"))
_PAYLOAD_KEYS = ("choices", "output", "data", "b64_json", "candidates")


class Kind(StrEnum):
    """What sort of text an answer is."""

    EMPTY = "empty"
    JSON = "json"
    STREAM = "stream"
    HTML = "html"
    TEXT = "text"


class Frame(NamedTuple):
    """One event of a stream; `value` is its parsed data, or the text itself. A tuple, for there are many."""

    event: str
    value: Any


@dataclass(frozen=True, slots=True)
class ParsedAnswer:
    """An answer taken apart. `errors` has the innermost first and is empty where none was found."""

    kind: Kind
    text: str = ""
    value: Any = None
    frames: Sequence[Frame] = ()
    errors: Sequence[ErrorLayer] = ()
    #: Something followed that was not read as part of it: text after the JSON, frames after the cap.
    trailing: bool = False
    #: the errors' messages as the rules compare them
    folded: Sequence[str] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        """Fold the messages, once for all rules."""
        folded = [fold(layer.message) if layer.message else "" for layer in self.errors]
        object.__setattr__(self, "folded", folded)


def read(observation: Observation) -> ParsedAnswer:
    """Take an answer apart. Total: every sequence of bytes has a kind."""
    content_type = observation.headers.get("content-type", "")
    text = decode(observation.body, content_type)
    stripped = text.strip().strip("\x00").strip()
    if not stripped:
        return ParsedAnswer(Kind.EMPTY)
    if stripped.startswith(_STREAM_STARTS):
        frames = list(_frames(stripped))
        if frames:
            cut = len(frames) >= FRAMES_CAP
            return ParsedAnswer(
                Kind.STREAM, stripped, None, frames, _stream_errors(frames, stripped), trailing=cut
            )
    refused = observation.status is not None and not 200 <= observation.status < 300
    parsed = envelope.parse(stripped) if stripped[0] in '{["' else None
    if parsed is None and stripped[0] in "{[“”":
        # Typographic quotes come from pasting, never from a server: try again with plain ones.
        plain = plain_quotes(stripped)
        parsed = envelope.parse(plain) if plain != stripped else None
    if parsed is not None:
        value, rest = parsed
        found = _json_errors(value, rest, refused=refused)
        return ParsedAnswer(Kind.JSON, stripped, value, (), found, trailing=bool(rest))
    if _is_html(stripped):
        return ParsedAnswer(Kind.HTML, stripped)
    return ParsedAnswer(Kind.TEXT, stripped, None, (), envelope.layers(None, stripped))


def _json_errors(value: Any, rest: str, *, refused: bool) -> list[ErrorLayer]:
    if not refused and _looks_granted(value):
        # Prose in a payload is the model's, not an error; what follows a payload may still be one.
        trailing = envelope.parse(rest) if rest else None
        return envelope.layers(trailing[0]) if trailing and is_refusal(trailing[0]) else []
    if isinstance(value, dict) and isinstance(value.get("choices"), list):
        return envelope.layers(_error_of(value), rest)
    return envelope.layers(value, rest)


def _looks_granted(value: Any) -> bool:
    return (
        isinstance(value, dict)
        and not is_refusal(value)
        and (value.get("object") == "response" or any(value.get(key) for key in _PAYLOAD_KEYS))
    )


def is_refusal(value: Any, event: str = "") -> bool:
    """True when an object says that it is an error or carries one, whatever else it carries."""
    if not isinstance(value, dict):
        return False
    inner = value.get("response")
    return (
        event in _ERROR_EVENTS
        or value.get("type") in ("error", "response.failed", "response.error")
        or value.get("object") == "error"
        or value.get("success") is False
        # This runs for every frame of a long stream, and few frames have such a key.
        or (
            not _ERROR_KEYS.isdisjoint(value)
            and any(envelope.is_error(value.get(key)) for key in _ERROR_KEYS)
        )
        or (isinstance(inner, dict) and envelope.is_error(inner.get("error")))
        or envelope.is_error(_choice_error(value))
        or _own_status(value)
    )


def _choice_error(value: Mapping[str, Any]) -> Any:
    choices = value.get("choices")
    if isinstance(choices, list):
        for choice in choices[:4]:
            if not isinstance(choice, dict):
                continue
            if envelope.is_error(choice.get("error")):
                return choice["error"]
            if choice.get("finish_reason") in BROKEN_OFF:
                # What came before is no answer.
                return {"code": envelope.BROKEN_WORD}
    return None


def _own_status(value: Mapping[str, Any]) -> bool:
    """True when a vendor's own status beside the payload is not 0, which means success there."""
    own = value.get("base_resp")
    return isinstance(own, dict) and own.get("status_code") not in (None, 0, "0")


def _error_of(value: Mapping[str, Any]) -> Any:
    """The error of an object that also has choices, whose prose must not be taken for it."""
    return {key: part for key, part in value.items() if key != "choices"} | (
        {"cause": found} if (found := _choice_error(value)) else {}
    )


def _frames(text: str) -> Iterator[Frame]:
    """The events of a stream; a bare JSON line among them counts as data."""
    blocks = list(islice(_blocks(text), FRAMES_CAP))
    # Most are one object: parsing them together takes half the time.
    objects = iter(envelope.parse_objects([data[0] for _, data in blocks if _is_object(data)]))
    for event, data in blocks:
        if _is_object(data):
            yield Frame(event, next(objects))
        elif len(data) == 1:
            yield _line(event, data[0])
        else:
            yield from _lines(event, data)


def _is_object(data: Sequence[str]) -> bool:
    return len(data) == 1 and data[0][:1] == "{" and data[0][-1:] == "}"


def _blocks(text: str) -> Iterator[tuple[str, list[str]]]:
    """The name of each event and its lines of data."""
    event = ""
    data: list[str] = []
    for raw in (*text.splitlines(), ""):
        line = raw.strip()
        if not line:
            if data:
                yield event, data
            event, data = "", []
        elif line.startswith("data:"):
            data.append(line[5:].strip())
        elif line.startswith("event:"):
            event = line[6:].strip().casefold()
        elif line.startswith("{") or (data and not line.startswith((":", "id:", "retry:"))):
            # A bare JSON line, or the next line of one that was written over several.
            data.append(line)


def _lines(event: str, data: list[str]) -> Iterator[Frame]:
    parsed = envelope.parse("\n".join(data))
    if parsed is not None and not parsed[1]:
        yield Frame(event, parsed[0])
        return
    # Several events without blank lines between them: read each line separately.
    for line in data:
        yield _line(event, line)


def _line(event: str, line: str) -> Frame:
    parsed = envelope.parse(line)
    return Frame(event, line if parsed is None else parsed[0])


def _stream_errors(frames: Sequence[Frame], text: str) -> list[ErrorLayer]:
    folded = text.casefold()
    if not any(sign in folded for sign in _ERROR_SIGNS):
        return []
    for frame in frames:
        value = frame.value
        if isinstance(value, str) and frame.event in _ERROR_EVENTS:
            return envelope.layers(None, value)
        if is_refusal(value, frame.event):
            if value.get("choices"):
                value = _error_of(value)
            return envelope.layers(value)
        # A relay that ends a stream with a bare {"detail": …} or {"message": …} has refused, too.
        if isinstance(value, dict) and isinstance(value.get("detail"), (str, dict)):
            return envelope.layers(value)
    return []


def _is_html(text: str) -> bool:
    if text[0] == "<":
        return text[1:2].isalpha() or text[1:2] in ("!", "?", "/")
    head = text[:2_000].casefold()
    return "<html" in head or "<!doctype" in head or "</html>" in text[-200:].casefold()


#: The longest wait that is kept: 31 days. Longer ones up to a year are cut to it; what is beyond a year is
#: boilerplate or a mistake.
WAIT_CAP: Final = 86_400.0 * 31
_SENSELESS: Final = 86_400.0 * 366

_ASKED = re.compile(
    r"(?:try again|retry|reset|resets|wait)(?: your request)? (?:in|after|for) |please wait (?=\d)"
)
_CLOCK = re.compile(r"replenished in (\d{1,3}):([0-5]\d):([0-5]\d)\b")
_RETRY_DELAY = re.compile(r"retrydelay\W{1,6}(\d{1,6}(?:\.\d{1,9})?)s")
_PART = re.compile(r"(?:about |~)?(\d{1,9}(?:\.\d{1,9})?) ?([a-z]{1,12})[ ,]?(?:and )?")
_CHINESE = re.compile(r"(\d{1,6}) ?(秒|分钟|小时)[钟]?(?:后|以后|之后)")
_UNITS: Final = {
    **dict.fromkeys(("ms", "millisecond", "milliseconds"), 0.001),
    **dict.fromkeys(("s", "sec", "secs", "second", "seconds"), 1.0),
    **dict.fromkeys(("m", "min", "mins", "minute", "minutes"), 60.0),
    **dict.fromkeys(("h", "hr", "hrs", "hour", "hours"), 3_600.0),
    **dict.fromkeys(("d", "day", "days"), 86_400.0),
    "秒": 1.0,
    "分钟": 60.0,
    "小时": 3_600.0,
}


def retry_after(headers: Mapping[str, str], texts: Sequence[str]) -> float | None:
    """Seconds to wait, 0 to `WAIT_CAP`; None when nothing usable is said. `texts` are folded."""
    waits = (wait for wait in _waits(headers, texts) if 0 <= wait <= _SENSELESS)
    wait = next(waits, None)
    return None if wait is None else min(wait, WAIT_CAP)


def _waits(headers: Mapping[str, str], texts: Sequence[str]) -> Iterator[float]:
    """All that is said of a wait in seconds, usable or not, headers first."""
    for name, factor in (("retry-after-ms", 0.001), ("retry-after", 1.0)):
        with suppress(ValueError):  # a header that came twice is joined by a comma
            parts = [float(part) * factor for part in headers.get(name, "")[:64].split(",")]
            yield from sorted(parts, reverse=True)
    # An HTTP date counts from the answer's own `date`: no clock is needed, and none can be off.
    if "retry-after" in headers and "date" in headers:
        # loaded for these only: it takes a third of the time in which `monitor.api` is imported
        from email.utils import parsedate_to_datetime  # noqa: PLC0415

        with suppress(ValueError, TypeError, IndexError, OverflowError):
            until = parsedate_to_datetime(headers["retry-after"][:64])
            yield (until - parsedate_to_datetime(headers["date"][:64])).total_seconds()
    for text in texts:
        if (wait := _in_words(text)) is not None:
            yield wait


def _in_words(text: str) -> float | None:
    if match := _ASKED.search(text):
        total, place = 0.0, match.end()
        for _ in range(4):
            part = _PART.match(text, place)
            if part is None or part[2] not in _UNITS:
                break
            total += float(part[1]) * _UNITS[part[2]]
            place = part.end()
        if place > match.end():
            return total
    if "replenished" in text and (match := _CLOCK.search(text)):
        return float(match[1]) * 3_600 + float(match[2]) * 60 + float(match[3])
    if "retrydelay" in text and (match := _RETRY_DELAY.search(text)):
        return float(match[1])
    if not text.isascii() and (match := _CHINESE.search(text)):
        return float(match[1]) * _UNITS[match[2]]
    return None
