"""What a text says once it is decoded: escapes, entities, percent-encoding, base64, wraps. Pure.

A secret that is echoed need not be spelt as it was sent. Each way to read a text is a `Decoding` that can say
where in the text its characters stand.
"""

import binascii
import re
import string
import unicodedata
from bisect import bisect_right
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import cache, lru_cache

#: Where characters of a decoding stand in the text: begin and end of a span to begin and end.
Back = Callable[[int, int], tuple[int, int]]

#: Ways to read one text, and more for a long one: whoever nests deeper means to hide it from us.
_WAYS, _WAY_PER = 48, 256

#: A secret begins with so many characters at least before it counts as one (see `masking`).
_WORTH = 8

_SIGNS = ("\\", "%", "&", "<")
_ESCAPED = re.compile(
    r"""((?: \\x[89a-fA-F][0-9a-fA-F] ){2,} | (?: %[89a-fA-F][0-9a-fA-F] ){2,})
      | (<[/!?A-Za-z][^<>]{0,200}>)
      | \\(?: u([0-9a-fA-F]{4}) | u\{([0-9a-fA-F]{1,6})\} | U([0-9a-fA-F]{8}) | x([0-9a-fA-F]{2})
          | ([0-7]{2,3}) | (.) )
      | %u([0-9a-fA-F]{4}) | %([0-9a-fA-F]{2})
      | &\#([0-9]{1,7});? | &\#[xX]([0-9a-fA-F]{1,6});? | &([A-Za-z][A-Za-z0-9]{1,31});?
    """,
    re.VERBOSE | re.DOTALL,
)
#: By group of the pattern: in which base its digits are.
_BASES = (0, 0, 0, 16, 16, 16, 16, 8, 0, 16, 16, 10, 16, 0)
_BYTES, _TAG, _LETTER, _NAME = 1, 2, 8, 13
_NO_MARKS = str.maketrans("", "", "\\x%")
_BLANKS = dict.fromkeys("nrtbfv\n", " ")

#: Letters that show nothing.
_FILLERS = "\u115f\u1160\u2800"

#: Bytes one by one, in decimal or hexadecimal: as a buffer is printed, or a dump. What shows begins with
#: such a digit, and a search for that is quick.
_LISTED = re.compile(
    r"[0-7][0-9a-fA-F]{1,3}(?:(?:[,;:|-]\s{0,9}|\s{1,9})(?:0[xX]|[uU]\+)?[0-9a-fA-F]{2,4}\b){7,}"
)
_ONE = re.compile(r"(?<![0-9a-fA-F])[0-9a-fA-F]{2,4}(?![0-9a-fA-F])")

_BASE64 = re.compile(r"[A-Za-z0-9+/_-]{11,}")
_FROM_URLS = str.maketrans("-_", "+/")
_HEX = re.compile(r"[0-9a-fA-F]{16,}")
#: What was packed and is text shows; of other bytes so many in a row are seldom printable.
_SHOWS = re.compile(rb"[\t\n\r -~]{%d,}" % _WORTH)
_SHOWING = (9, 10, 13, *range(32, 127))


def _quick() -> re.Pattern[str]:
    """What base64 of that much text holds at the least: two groups of three bytes that show."""
    letters = string.ascii_uppercase + string.ascii_lowercase + string.digits + "+/"

    def digits(shift: int, bits: int) -> str:
        values = {byte >> shift for byte in _SHOWING}
        found = "".join(one for at, one in enumerate(letters) if at & bits in values)
        return re.escape(found) + "_-" * ("/" in found)

    first, second, third = digits(2, 63), digits(4, 15), digits(6, 3)
    return re.compile(f"[{first}][{second}][{third}].[{first}][{second}][{third}]")


_PACKS = _quick()
# written out, as that is found ten times as fast as a repetition
_PACKS_HEX = re.compile("[2-7][0-9a-fA-F]" * (_WORTH - 1))


class Decoding:
    """One way to read a text, without whitespace and what does not show, in its own case."""

    def __init__(self, read: str, back: Back) -> None:
        self._read = read
        self._back = back
        self._places: list[int] | None = None
        self.text = "".join(read.split())
        if not (self.text.isascii() and self.text.isprintable()):
            self.text = read.translate(_SHOWN)

    def places(self) -> list[int]:
        """Where each character stands in what was read."""
        if self._places is None:
            self._places = [
                at for at, char in enumerate(self._read) for _ in char.translate(_SHOWN)
            ]
        return self._places

    def back(self, begin: int, end: int) -> tuple[int, int]:
        """Where a span of it stands in the text."""
        places = self.places()
        return self._back(places[begin], places[end - 1] + 1)

    def unbroken(self, begin: int, end: int) -> int:
        """How many characters from `begin` on follow one another without whitespace between."""
        places = self.places()
        for at in range(begin + 1, end):
            if places[at] > places[at - 1] + 1 and any(
                char.isspace() for char in self._read[places[at - 1] + 1 : places[at]]
            ):
                return at - begin
        return end - begin


def decodings(text: str) -> Iterator[Decoding]:
    """The text as it stands, and every way to read it that decoding finds, repeatedly.

    Escapes first: each step makes the text shorter, while what is unpacked may be anything.
    """
    todo: deque[tuple[str, Back]] = deque([(text, lambda begin, end: (begin, end))])
    left = _WAYS + len(text) // _WAY_PER
    seen: set[str] = set()
    while todo and left:
        left -= 1
        read, back = todo.popleft()
        decoding = Decoding(read, back)
        yield decoding
        if any(sign in read for sign in _SIGNS):
            plain = _ESCAPED.sub(_meant, read)
            if plain != read:
                todo.appendleft((plain, _through_escapes(read, back)))
            # a line's end may have come between the characters of an escape
            joined = _ESCAPED.sub(_meant, decoding.text)
            if joined != "".join(plain.split()):
                todo.appendleft((joined, _through_escapes(decoding.text, decoding.back)))
        for listed in _LISTED.finditer(read):
            todo.extend((said, _all_of(listed.span(), back)) for said in _listing(listed[0]))
        if len(decoding.text) > _WORTH:
            for packed, unpacked in _unpacked(decoding, seen):
                todo.append((packed, unpacked))


def _listing(text: str) -> Iterator[str]:
    """What a list of bytes says, read as numbers of either kind."""
    numbers = _ONE.findall(text)
    for base in (10, 16):
        with suppress(ValueError):
            found = [int(number, base) for number in numbers]
            if all(32 <= one < 127 for one in found):
                yield "".join(map(chr, found))


def _all_of(span: tuple[int, int], back: Back) -> Back:
    return lambda _begin, _end: back(*span)


class _Shown(dict[int, str]):
    """By its number, what each character is compared as. Keeps what it was asked for, up to a bound."""

    def __missing__(self, code: int) -> str:
        shown = _shown(chr(code))
        if len(self) < _SHOWN_MOST:
            self[code] = shown
        return shown


_SHOWN_MOST = 4096
_SHOWN = _Shown()


def _shown(char: str) -> str:
    """The character as it is compared: plain for a variant, nothing for what does not show or is a mark."""
    if char.isspace() or not char.isprintable() or "\u2500" <= char <= "\u259f":
        return ""
    if char.isascii():
        return char
    plain = "".join(unicodedata.normalize("NFKC", char).split())
    return "".join(
        one for one in plain if one not in _FILLERS and unicodedata.category(one)[0] != "M"
    )


def _meant(found: re.Match[str]) -> str:
    """What an escape, an entity or a percent-encoded byte stands for."""
    group = found.lastindex or 0
    said = found[group]
    if group == _TAG:
        return ""
    if group == _BYTES:
        return bytes.fromhex(said.translate(_NO_MARKS)).decode("utf-8", "replace")
    if group == _LETTER:
        return _BLANKS.get(said, said)
    if group == _NAME:
        return _entity(said, found[0])
    number = int(said, _BASES[group])
    return chr(number) if number < 0x110000 else found[0]


@lru_cache(maxsize=512)
def _entity(name: str, whole: str) -> str:
    from html.entities import html5  # noqa: PLC0415  a large table that most texts do not need

    return html5.get(name + ";") or html5.get(name) or whole


def _through_escapes(read: str, back: Back) -> Back:
    @cache
    def pieces() -> tuple[list[int], list[tuple[int, int, bool]]]:
        # of what was made, where each piece begins; and its place in what was read, plain or an escape
        begins, places = [], []
        made = done = 0
        for found in _ESCAPED.finditer(read):
            if found.start() > done:
                begins.append(made)
                places.append((done, found.start(), True))
                made += found.start() - done
            if length := len(_meant(found)):
                begins.append(made)
                places.append((*found.span(), False))
                made += length
            done = found.end()
        return [*begins, made], [*places, (done, len(read), True)]

    def place(at: int) -> tuple[int, int]:
        begins, places = pieces()
        piece = bisect_right(begins, at) - 1
        begin, end, plain = places[piece]
        first = begin + at - begins[piece]
        return (first, first + 1) if plain else (begin, end)

    return lambda begin, end: back(place(begin)[0], place(end - 1)[1])


def _unpacked(decoding: Decoding, seen: set[str]) -> Iterator[tuple[str, Back]]:
    """What shows of base64 and of hexadecimal digits in it, whichever character they begin at."""
    if _PACKS.search(decoding.text):
        for run in _BASE64.finditer(decoding.text):
            if run[0] not in seen:
                seen.add(run[0])
                packed = run[0].translate(_FROM_URLS)
                for skipped in range(4):
                    digits = packed[skipped:]
                    data = binascii.a2b_base64(digits + "A" * (-len(digits) % 4))
                    yield from _showing(data, decoding, run.start() + skipped, run.end(), 6)
    if _PACKS_HEX.search(decoding.text):
        for run in _HEX.finditer(decoding.text):
            for skipped in range(2):
                digits = run[0][skipped:]
                data = bytes.fromhex(digits[: len(digits) & ~1])
                yield from _showing(data, decoding, run.start() + skipped, run.end(), 4)


def _showing(
    data: bytes, decoding: Decoding, start: int, most: int, bits: int
) -> Iterator[tuple[str, Back]]:
    """What shows of bytes that characters of so many bits hold, from `start` on."""
    for shows in _SHOWS.finditer(data):
        yield shows[0].decode("ascii"), _through_packing(decoding, start, shows.start(), most, bits)


def _through_packing(decoding: Decoding, start: int, skipped: int, most: int, bits: int) -> Back:
    def through(begin: int, end: int) -> tuple[int, int]:
        first = start + (skipped + begin) * 8 // bits
        last = start + -(-(skipped + end) * 8 // bits)
        return decoding.back(first, min(last, most))

    return through
