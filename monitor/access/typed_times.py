"""Times as people type them: `14:05`, `20 min ago`, `yesterday 2:05 pm`, RFC 3339."""

import re
from datetime import UTC, datetime, timedelta, tzinfo

#: By the first letter of each unit's spellings.
_UNITS = {
    "s": timedelta(seconds=1),
    "m": timedelta(minutes=1),
    "h": timedelta(hours=1),
    "d": timedelta(days=1),
    "w": timedelta(weeks=1),
}
_PART = r"(\d{1,6}(?:\.\d{1,6})?|an?\b)\s*(seconds?|secs?|s|minutes?|mins?|m|hours?|hrs?|h|days?|d|weeks?|w)"
_AGO = re.compile(rf"{_PART}(?:(?:\s*,)?(?:\s*and\b)?\s*{_PART})*(?:\s*ago)?", re.ASCII)
_CLOCK = r"(\d{1,2})(?::(\d\d)(?::(\d\d)(\.\d{1,6})?)?)?\s*(am|pm)?"
_ZONE = r"(?:\s*(z|utc|gmt|[+-](?:[01]\d|2[0-3]):?[0-5]\d))?"
_OF_DAY = re.compile(rf"(?:(today|yesterday)(?:\s+at)?\s+)?{_CLOCK}{_ZONE}", re.ASCII)
_DATED = re.compile(rf"(\d{{4}}-\d\d-\d\d)(?:t|\s+(?:at\s+)?){_CLOCK}{_ZONE}", re.ASCII)

FORMS = 'write "14:05", "yesterday 14:05", "20 min ago", "2d", "2026-11-20 14:05" or 2026-11-20T14:05:00Z'


def parse_time(text: str, now: datetime, zone: tzinfo | None = None) -> datetime:
    """The time in the past that was meant, aware UTC.

    Without a zone it is local (`zone`, default this machine's), and without a date the latest one
    past. `now` is aware. Raises ValueError, with a text for people, for what is no time, is in the
    future, or is left out by a change of the clocks.
    """
    words = " ".join(text.casefold().split())
    try:
        return _read(words, now, zone)
    except OverflowError:
        raise ValueError("is no time that a calendar has") from None


def echo(at: datetime, zone: tzinfo | None = None) -> str:
    """A time as it was understood: local, with its offset."""
    return at.astimezone(zone).isoformat(sep=" ", timespec="seconds")


def _read(words: str, now: datetime, zone: tzinfo | None) -> datetime:
    if words in ("now", "just now"):
        return now.astimezone(UTC)
    if _AGO.fullmatch(words):
        return _before(words, now)
    if match := _DATED.fullmatch(words):
        day, *clock, tag = match.groups()
        try:
            naive = datetime.fromisoformat(day) + _since_midnight(*clock)
        except ValueError as error:
            raise ValueError(f"is no time: {error}") from None
        return _latest_past(_instants(naive, tag, zone), now, zone)
    if match := _OF_DAY.fullmatch(words):
        word, *clock, tag = match.groups()
        if clock[1] is None and clock[4] is None:
            raise ValueError(f"is no time: {FORMS}")
        return _of_day(word, _since_midnight(*clock), tag, now, zone)
    raise ValueError(f"is no time: {FORMS}")


def _before(words: str, now: datetime) -> datetime:
    total = timedelta()
    for number, unit in re.findall(_PART, words, re.ASCII):
        count = 1.0 if number in ("a", "an") else float(number)
        total += count * _UNITS[unit[0]]
    return (now - total).astimezone(UTC)


def _of_day(
    word: str | None, clock: timedelta, tag: str | None, now: datetime, zone: tzinfo | None
) -> datetime:
    here = now.astimezone(_zone(tag) or zone)
    midnight = datetime.combine(here.date(), datetime.min.time())
    # the latest one past: today's, else yesterday's; two days back if yesterday had no such hour
    days = {"today": (0,), "yesterday": (1,), None: (0, 1, 2)}[word]
    walls = [midnight - timedelta(days=back) + clock for back in days]
    return _latest_past([at for wall in walls for at in _instants(wall, tag, zone)], now, zone)


def _latest_past(found: list[datetime], now: datetime, zone: tzinfo | None) -> datetime:
    if not found:
        raise ValueError("does not exist here: the clocks were put forward over it")
    past = [at for at in found if at <= now]
    if not past:
        raise ValueError(f"is in the future: {echo(min(found), zone)}")
    return max(past)


def _since_midnight(
    hour: str, minute: str | None, second: str | None, fraction: str | None, half: str | None
) -> timedelta:
    hours, minutes, seconds = int(hour), int(minute or 0), int(second or 0)
    if half and not 1 <= hours <= 12:
        raise ValueError(f"is no time: {hours} {half}")
    if hours > 23 or minutes > 59 or seconds > 59:
        raise ValueError("is no time: hours go to 23, minutes and seconds to 59")
    if half:
        hours = hours % 12 + (12 if half == "pm" else 0)
    return timedelta(
        hours=hours, minutes=minutes, seconds=seconds + float(f"0{fraction}" if fraction else 0)
    )


def _zone(tag: str | None) -> tzinfo | None:
    if tag is None:
        return None
    return datetime.strptime(tag, "%z").tzinfo if tag[0] in "+-" else UTC


def _instants(naive: datetime, tag: str | None, zone: tzinfo | None) -> list[datetime]:
    """The instants of a wall-clock time: none when clocks skip it, two when they repeat it."""
    there = _zone(tag) or zone
    found = []
    for fold in (0, 1):
        wall = naive.replace(fold=fold)
        # without a zone, Python asks the machine; two times of one zone would compare by the wall's
        at = (wall.replace(tzinfo=there) if there else wall.astimezone()).astimezone(UTC)
        if at.astimezone(there).replace(tzinfo=None) == naive:
            found.append(at)
    return found
