"""What is wrong with settings, said so that a person can act on it, and never showing a secret."""

import difflib
import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from monitor.access.readable import ReadableError

#: Where something is in the file: ("keys", 1, "watch", 0).
Path = tuple[str | int, ...]

_BARE = re.compile(r"[A-Za-z0-9_-]+")
_SHOWN_MOST = 80
#: Known words that an error lists.
_KNOWN_MOST = 30

_SECRET = re.compile(
    r"(?<![\w-])(?:sk|rk|pk|sess|whsec|xox[a-z]|gh[a-z])[-_][\w-]{8,}"
    r"|\bBearer\s"
    r"|://[^/?#\s]*@"
    r"|://hooks\.|/webhooks?/",
    re.IGNORECASE,
)
# Not a word that anybody says aloud: hidden when shown, though it may be a name.
_OPAQUE = re.compile(r"[A-Za-z0-9_-]{40,}")


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong: its place as in `keys[1].watch[0]`, the line where known, what to do."""

    place: str
    line: int | None
    message: str

    def __str__(self) -> str:
        where = f"line {self.line}: " if self.line is not None else ""
        return f"{where}{self.place}: {self.message}" if self.place else f"{where}{self.message}"


class SettingsError(ReadableError):
    """The settings cannot be used; `problems` holds everything found, `str()` is the full report."""

    def __init__(self, problems: Iterable[Problem], source: str = "settings") -> None:
        self.problems: list[Problem] = list(problems)
        self.source = source
        super().__init__(source, self.problems)

    def __str__(self) -> str:
        count = len(self.problems)
        lines = [f"{self.source}: {count} problem{'' if count == 1 else 's'}"]
        return "\n".join([*lines, *(f"  {problem}" for problem in self.problems)])


def looks_secret(text: str) -> bool:
    """True when the text has the form of a key, a token, a webhook or a URL with a password."""
    return _SECRET.search(text) is not None


def shown(value: Any) -> str:
    """A value as it may be printed: quoted, capped, control characters escaped, secrets hidden."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if not isinstance(value, str):
        return str(value)
    if looks_secret(value) or _OPAQUE.search(value):
        return "(looks like a secret, not shown)"
    if len(value) > _SHOWN_MOST:  # a path's end says more than its middle
        half = _SHOWN_MOST // 2
        value = f"{value[:half]}…{value[1 - half :]}"
    return json.dumps(value, ensure_ascii=not value.isprintable())


def place(path: Path) -> str:
    """The path as people write it: `keys[1].watch[0]`, `catalog.models."gpt-5.1".price`."""
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
        else:
            name = (
                part if _BARE.fullmatch(part) and not shown(part).startswith("(") else shown(part)
            )
            text += f".{name}" if text else name
    return text


def suggestion(word: str, known: Iterable[str]) -> str:
    """`did you mean "x"?` for the nearest known word, else the known words."""
    words = sorted(set(known))
    near = difflib.get_close_matches(word, words, n=1)
    if near:
        return f"did you mean {shown(near[0])}?"
    more = f" and {len(words) - _KNOWN_MOST} more" if len(words) > _KNOWN_MOST else ""
    return f"known: {', '.join(words[:_KNOWN_MOST])}{more}"
