"""What the fields of settings are made of; and durations as people write them: `20s`, `5m`, `1h30m`, `250ms`.

A section of the settings file is a frozen dataclass, and the rest of the program reads that very value.
pydantic reads the file into it (`config/loading.py`): the description and the constraints stand on the field,
the default is the dataclass's own. Made by the program itself, a section is not checked again and costs no
more than its values: a pool has up to 20,000 keys.
"""

import re
from dataclasses import field
from datetime import timedelta
from typing import Annotated, Any

from pydantic import Field, PlainValidator, Strict, WithJsonSchema
from pydantic_core import PydanticCustomError

#: Whole numbers, units from large to small, each once; the same text is the JSON Schema's pattern.
PATTERN = r"^(?=.)(?:(\d{1,9})d)?(?:(\d{1,9})h)?(?:(\d{1,9})m)?(?:(\d{1,9})s)?(?:(\d{1,9})ms)?$"

_OF_MANY_DIGITS = PATTERN.replace("{1,9}", "+")

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
    if not match and re.match(_OF_MANY_DIGITS, text, re.ASCII):
        raise ValueError("is too long: write at most 3660d, and no number of more than 9 digits")
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


def about(meaning: str, **more: Any) -> Any:
    """The meaning of a setting, for its annotation; `more` is as for `pydantic.Field`."""
    return Field(description=meaning, **more)


def setting(default: Any, meaning: str, **more: Any) -> Any:
    """A field with a default, or with a function that makes it; the rest is as for `about`."""
    metadata = {"description": meaning, **more}
    if callable(default):
        return field(default_factory=default, metadata=metadata)
    return field(default=default, metadata=metadata)


def refuse(
    text: str, *, hidden: bool = False, below: tuple[str | int, ...] = ()
) -> PydanticCustomError:
    """An error for the report.

    With `hidden` the value is not shown beside it; `below` is where inside the value it is.
    """
    return PydanticCustomError(
        "refused", "{text}", {"text": text, "hidden": hidden, "below": below}
    )


def text_of(value: Any, wanted: str = "text in quotes") -> str:
    """The value, when it is text."""
    if not isinstance(value, str):
        raise refuse(f"must be {wanted}")
    return value


def _duration(value: Any) -> timedelta:
    """A duration with its unit; a bare number could be seconds or minutes, so it is an error."""
    if isinstance(value, timedelta):  # from another section: a file has none
        return value
    if isinstance(value, int | float) and not isinstance(value, bool):
        raise refuse(f'needs a unit: write "{value}s" for seconds, "{value}m" for minutes')
    return parse_duration(text_of(value, 'a duration such as "20s" or "1h30m"'))


# Nothing is converted but lists to tuples: text is no number, a number is no text.
Text = Annotated[str, Strict()]
Flag = Annotated[bool, Strict()]
Whole = Annotated[int, Strict()]
Number = Annotated[float, Strict(), Field(allow_inf_nan=False)]
Count = Annotated[Whole, Field(ge=1, le=1000)]
Dollars = Annotated[Number, Field(ge=0, le=1_000_000)]
Duration = Annotated[
    timedelta,
    PlainValidator(_duration),
    WithJsonSchema(
        {"type": "string", "pattern": PATTERN, "examples": ["20s", "5m", "1h30m", "7d"]}
    ),
]
