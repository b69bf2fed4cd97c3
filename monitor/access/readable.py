"""Values as people read them: in the terminal, on the page, in messages. Pure."""

from datetime import UTC, datetime


class ReadableError(Exception):
    """An error whose text is for people: it ends a command as a sentence, without a traceback."""


def printable(text: str) -> str:
    """The text without control characters: nothing moves a cursor or changes the direction of text."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else " " for c in text)


def ago(at: datetime | None, now: datetime) -> str:
    """How long ago, or how soon, in one unit: `3 min ago`, `in 25 s`; `-` for never."""
    if at is None:
        return "-"
    seconds = (now - at).total_seconds()
    words = span(abs(seconds))
    return f"{words} ago" if seconds >= 0 else f"in {words}"


def span(seconds: float) -> str:
    """A length of time in its largest unit."""
    for unit, size in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s"


def utc(at: datetime | None) -> str:
    """A time as RFC 3339 in UTC, to the second; `-` for none."""
    return f"{at.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}" if at else "-"


def rfc3339(at: datetime) -> str:
    """A time as RFC 3339 in UTC, to the millisecond, for programs to read."""
    moment = at if at.tzinfo is UTC else at.astimezone(UTC)
    return moment.isoformat(timespec="milliseconds").removesuffix("+00:00") + "Z"


def milliseconds(ms: float | None) -> str:
    """A latency; `-` for none."""
    if ms is None:
        return "-"
    return f"{ms / 1000:.1f} s" if ms >= 10_000 else f"{ms:.0f} ms"


def next_probe_text(due: datetime | None, held_by: str | None, now: datetime) -> str:
    """When the next probe is due, and what holds it back."""
    soon = ago(due, now) if due and due > now else ""
    if held_by:
        return f"{soon} ({held_by})" if soon else held_by
    return soon or ("due" if due else "-")


def duration(seconds: float) -> str:
    """A duration for people to read: `45 s`, `17 min`, `2 h 05 min`, `3 d 4 h`. Rounded down."""
    whole = max(0, int(seconds))
    if whole < 60:
        return f"{whole} s"
    minutes = whole // 60
    if minutes < 60:
        return f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    if hours < 24:
        return f"{hours} h {minutes:02d} min"
    days, hours = divmod(hours, 24)
    return f"{days} d {hours} h"


def many(count: float, what: str) -> str:
    """How many of something: `1 target`, `2 targets`, `10,000 targets`."""
    whole = int(count)
    return f"{whole:,} {what}" if whole == 1 else f"{whole:,} {what}s"
