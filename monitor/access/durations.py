"""Durations as people write them: `20s`, `5m`, `2h`, `7d`, `1h30m`, `250ms`."""

import re
from datetime import timedelta

#: Whole numbers, units from large to small, each once; the same text is the JSON Schema's pattern.
PATTERN = r"^(?=.)(?:(\d{1,9})d)?(?:(\d{1,9})h)?(?:(\d{1,9})m)?(?:(\d{1,9})s)?(?:(\d{1,9})ms)?$"

_UNITS = {
    "d": timedelta(days=1),
    "h": timedelta(hours=1),
    "m": timedelta(minutes=1),
    "s": timedelta(seconds=1),
    "ms": timedelta(milliseconds=1),
}
_MOST = timedelta(days=3660)


def parse_duration(text: str) -> timedelta:
    """Read a duration.

    Raises:
        ValueError: with a text for people, when it is none, is not above zero, or is over ten years.

    """
    if text.startswith("-"):
        raise ValueError("must be longer than zero")
    match = re.match(PATTERN, text, re.ASCII)
    if not match or text.endswith("\n"):
        raise ValueError(
            'is no duration: write whole numbers with units, such as "20s", "5m", "1h30m", "7d", "250ms"'
        )
    total = timedelta()
    for number, unit in zip(match.groups(), _UNITS.values(), strict=True):
        total += int(number or 0) * unit
    if not total:
        raise ValueError("must be longer than zero")
    if total > _MOST:
        raise ValueError("must not be longer than 3660d")
    return total


def format_duration(value: timedelta) -> str:
    """Write a duration as `parse_duration` reads it; `0s` for none. Parts of a millisecond are cut."""
    parts = []
    for name, unit in _UNITS.items():
        number, value = divmod(value, unit)
        if number:
            parts.append(f"{number}{name}")
    return "".join(parts) or "0s"
