"""The lines of a log, a piece of a very long one at a time, and how much of them may be read again. Pure."""

import sys
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import islice
from typing import Final

from monitor.access.diagnosis.pasted import ANSI

#: Characters of a line that are read at once; a longer line is read in overlapping pieces.
PIECE: Final = 64 * 1024
#: Characters of an answer, and lines over which one may be printed.
ANSWER_CAP: Final = 8_000
ANSWER_LINES: Final = 60
#: Characters before an answer that may tell of it, such as its status.
BEFORE: Final = 200

#: Of what is no answer in the end, so many characters may be read for each of the log, and so many more.
_AGAIN: Final = 4
_FREE: Final = 100 * ANSWER_CAP
#: Characters and lines of an answer that are read when those are used up.
_SHORT_CAP: Final = 300
_SHORT_LINES: Final = 3


@dataclass(frozen=True, slots=True)
class Line:
    """A line or a piece of one, without colours.

    The answers that begin from `begin` on and before `end` are its own, others are its neighbours'.
    """

    number: int
    text: str
    begin: int = 0
    end: int = sys.maxsize

    def in_next(self, place: int) -> int:
        """A place in this piece, as one of the line's next piece."""
        return place - self.end + BEFORE


class Lines:
    """The lines of a log, some of which may be looked at before their turn.

    Text that looks like an answer is read again and again where one begins within another. What that
    costs is bounded by the length of the log: after too much in vain, less is read of each.
    """

    def __init__(self, parts: Iterable[str]) -> None:
        self._source = _pieces(parts)
        self._ahead: deque[Line] = deque()
        self._left = _FREE

    def __iter__(self) -> Iterator[Line]:
        while self._ahead or self._fetch():
            line = self._ahead.popleft()
            self._left += _AGAIN * len(line.text)
            yield line

    @property
    def cap(self) -> int:
        """Characters of an answer that are read."""
        return ANSWER_CAP if self._left > 0 else _SHORT_CAP

    def in_vain(self, characters: int) -> None:
        """So many were read, and are no answer."""
        self._left -= characters

    def ahead(self, count: int) -> Iterator[Line]:
        """The next lines, so many at most, which stay."""
        for place in range(count if self._left > 0 else min(count, _SHORT_LINES)):
            if place == len(self._ahead) and not self._fetch():
                return
            yield self._ahead[place]

    def skip(self, count: int, place: int) -> None:
        """Go on at this place of the line that comes so many lines later: what is before was read."""
        for _ in range(count - 1):
            self._ahead.popleft()
        line = self._ahead[0]
        self._ahead[0] = replace(line, begin=max(line.begin, place))

    def _fetch(self) -> bool:
        before = len(self._ahead)
        self._ahead.extend(islice(self._source, 1))
        return len(self._ahead) > before


def _pieces(parts: Iterable[str]) -> Iterator[Line]:
    number, begin, rest = 1, 0, ""
    # an answer that begins before is whole, with what makes it one
    end = PIECE - ANSWER_CAP - BEFORE
    for part in parts:
        text = rest + part
        # before it is cut: places count without colours, and a part's end may break a colour's sign
        *ended, rest = (ANSI.sub("", text) if "\x1b" in text else text).split("\n")
        for line in ended:
            while len(line) > PIECE:
                yield Line(number, line[:PIECE], begin, end)
                line, begin = line[end - BEFORE :], BEFORE  # noqa: PLW2901
            yield Line(number, line, begin)
            number, begin = number + 1, 0
        while len(rest) > PIECE:
            yield Line(number, rest[:PIECE], begin, end)
            rest, begin = rest[end - BEFORE :], BEFORE
    if rest:
        yield Line(number, rest, begin)
