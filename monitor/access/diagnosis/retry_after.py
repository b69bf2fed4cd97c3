"""How long the server asks to wait, from its headers or its words, in seconds."""

import math
import re
from collections.abc import Mapping, Sequence
from email.utils import parsedate_to_datetime
from typing import Final

#: A longer wait is boilerplate or a mistake: two days.
WAIT_CAP: Final = 86_400.0 * 2

_ASKED = re.compile(r"(?:try again|retry|reset|resets|wait)(?: your request)? (?:in|after|for) ")
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
    for name, factor in (("retry-after-ms", 0.001), ("retry-after", 1.0)):
        value = headers.get(name, "").strip()[:64]
        if value and (found := _usable(_number(value, factor))) is not None:
            return found
    if (found := _usable(_dated(headers))) is not None:
        return found
    for text in texts:
        if (found := _usable(_words(text))) is not None:
            return found
    return None


def _usable(seconds: float | None) -> float | None:
    if seconds is None or not math.isfinite(seconds) or not 0 <= seconds <= WAIT_CAP:
        return None
    return seconds


def _number(value: str, factor: float) -> float | None:
    try:
        return float(value) * factor
    except ValueError:
        return None


def _dated(headers: Mapping[str, str]) -> float | None:
    """An HTTP date, counted from the answer's own `date`: no clock is needed, and none can be off."""
    try:
        until = parsedate_to_datetime(headers["retry-after"][:64])
        return (until - parsedate_to_datetime(headers["date"][:64])).total_seconds()
    except (KeyError, ValueError, TypeError, IndexError, OverflowError):
        return None


def _words(text: str) -> float | None:
    if match := _ASKED.search(text):
        total, place = 0.0, match.end()
        seen = False
        for _ in range(4):
            part = _PART.match(text, place)
            if part is None or part[2] not in _UNITS:
                break
            total += float(part[1]) * _UNITS[part[2]]
            place, seen = part.end(), True
        if seen:
            return total
    if "retrydelay" in text and (match := _RETRY_DELAY.search(text)):
        return float(match[1])
    if not text.isascii() and (match := _CHINESE.search(text)):
        return float(match[1]) * _UNITS[match[2]]
    return None
