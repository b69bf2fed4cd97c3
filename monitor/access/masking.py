"""Finds secrets in a text by value, however they are encoded, and what has the pattern of one.

What counts is a whole secret, and the beginning of one from 8 characters on: a server cuts what it
echoes, and so do we. Of few secrets it is any part with 12 letters and digits, too, whatever stands between
them: a server masks the head, or takes it off. Compared is without case and whitespace, in every reading of
`decoding`.
"""

import re
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit

from monitor.access.decoding import Decoding, decodings

HIDDEN = "[hidden]"

#: A shorter value would hide half of an ordinary sentence.
SHORTEST = 6

#: The beginning of a secret is one from so many characters on.
_BEGINNING = 8
#: What could be a word needs more to be a secret, words joined somewhat less, and so does what whitespace or
#: a line's end has broken.
_WORD, _WORDY, _BROKEN = 20, 12, 10

# What a key of its maker's begins with is no secret, and stands in many a sentence ("keys that begin
# with sk-proj-"): a beginning must go on after it.
_HEAD = re.compile(
    r"(?i)(?:sk|rk|pk)[-_](?:(?:proj|svcacct|service|admin|none|ant|or|live|test|api\d\d|v\d)[-_])*"
)
#: Words as people write them, and names of models and paths, joined or not.
_WORDS = re.compile(
    r"(?:[A-Za-z]?[a-z]*|[A-Z]+|\d{1,2})(?:[-_./:](?:[A-Za-z]?[a-z]*|[A-Z]+|\d{1,2}))*"
)

#: Any part of a secret is one from so many letters and digits on, where it can be no words. Parts are
#: looked for of so many secrets.
_PART = 12
_PARTED = 12
#: A part has so many characters in a row that begin at a multiple of the step.
_CHUNK, _STEP = 5, 8
_NO_SIGNS = {code: None for code in range(128) if not chr(code).isalnum()}

#: Beginnings by which a text is searched at the speed of `in`; of more, each place is tried.
_FEW = 12
_STEM = 3

# The pattern of a secret, what becomes of it, and a word without which there is none: to look for that
# first makes most texts quick. Each is one run of characters: nothing can explode. After "bearer" stands
# an ordinary word often enough: a token is longer.
_PATTERNS = (
    ("sk-", re.compile(r"\bsk-(?!(?:svcacct|service)-(?![\w-]))[A-Za-z0-9_\-]{8,}"), HIDDEN),
    ("earer", re.compile(r"(?i)\bbearer\s+[A-Za-z0-9_\-.=+/]{16,}"), HIDDEN),
    ("EARER", re.compile(r"\bBEARER\s+[A-Za-z0-9_\-.=+/]{16,}"), HIDDEN),
    ("whsec_", re.compile(r"\bwhsec_[A-Za-z0-9+/=_\-]{16,}"), HIDDEN),
    ("slack", re.compile(r"https://hooks\.slack\.com/services/[A-Za-z0-9/_\-]+"), HIDDEN),
    ("@", re.compile(r"(://[^/\s:@]{1,200}:)[^/\s@]{1,200}@"), rf"\1{HIDDEN}@"),
)

#: Short texts without a secret that are remembered: a log repeats the same few words.
_CLEAN_MOST, _SHORT = 4096, 512

#: Values that are remembered: those of the settings, and of many settings before them.
_KNOWN_MOST = 50_000


Span = tuple[int, int]


def origin_of(location: str) -> str:
    """Where a redirect leads: scheme, host and port, for the rest may hold anything.

    `/` where it stays on its host, empty for what is no address.
    """
    try:
        parts = urlsplit(location)
        host, port = parts.hostname, parts.port
    except ValueError:
        return ""
    if not host:
        return "/" if location and not parts.scheme else ""
    host = f"[{host}]" if ":" in host else host
    return f"{parts.scheme}://{host}".lstrip(":") + (f":{port}" if port else "")


def mask_patterns(text: str) -> str:
    """The text without what has the pattern of a key, a token, a webhook or a password in a URL."""
    for word, pattern, instead in _PATTERNS:
        if word in text:
            text = pattern.sub(instead, text)
    return text


class Mask:
    """Hides these values, the beginnings of them, and what looks like a secret.

    `whole` are values that count only as a whole, such as a URL: its beginning is everybody's.
    """

    __slots__ = ("_folded", "_heads", "_longest", "_parted", "_plain", "_stems", "_whole")

    def __init__(self, secrets: Iterable[str], whole: Iterable[str] = ()) -> None:
        # Sorted: where a text would stand among them are those that have most of its beginning. That
        # takes a list of 10,000, where a regular expression of them takes 170 MB.
        known = {_folded(secret): secret for secret in secrets if len(secret) >= SHORTEST}
        self._folded = sorted(known)
        self._plain = [known[folded] for folded in self._folded]
        entire = {_folded(value) for value in whole if len(value) >= SHORTEST}
        # one that begins another is not always its neighbour
        pairs = zip(self._folded, self._folded[1:], strict=False)
        entire |= {one for one, other in pairs if other.startswith(one)}
        self._whole: dict[str, list[str]] = {}
        for value in sorted(entire, key=len, reverse=True):
            self._whole.setdefault(value[:SHORTEST], []).append(value)
        self._heads = frozenset(folded[:SHORTEST] for folded in self._folded) | self._whole.keys()
        heads = self._heads
        if len(heads) > _FEW:
            heads = frozenset(head[:_STEM] for head in heads)
        #: the beginnings of which one must be in a text; empty for too many
        self._stems = tuple(heads) if len(heads) <= _FEW else ()
        self._longest = max(map(len, self._folded), default=0)
        #: letters and digits of the secrets, folded and in their own case; of many none
        few = self._plain if len(self._plain) <= _PARTED else ()
        self._parted = [
            (bare.lower(), bare) for plain in few if (bare := plain.translate(_NO_SIGNS)).isascii()
        ]

    def text(self, text: str) -> str:
        """The text with every secret replaced by `[hidden]`."""
        spans = sorted(self._spans(text)) if self._heads else ()
        if spans:
            parts, done = [], 0
            for begin, end in spans:
                if begin >= done:  # else it overlaps with the one before, and both go
                    parts += [text[done:begin], HIDDEN]
                done = max(done, end)
            text = "".join([*parts, text[done:]])
        return mask_patterns(text)

    def _spans(self, text: str) -> Iterator[Span]:
        for decoding in decodings(text):
            folded = _folded(decoding.text)
            if self._may_be_in(folded):
                for begin, end in self._found(folded, decoding):
                    yield decoding.back(begin, end)
            if self._parted:
                for begin, end in self._parts(folded):
                    yield decoding.back(begin, end)

    def _parts(self, folded: str) -> Iterator[Span]:
        """Where parts of secrets begin and end, by their letters and digits, whatever stands between."""
        bare = folded.translate(_NO_SIGNS)
        found = [span for whole in self._parted for span in _shared(bare, *whole)]
        if found:
            places = [at for at, one in enumerate(folded) if ord(one) not in _NO_SIGNS]
            for begin, end in _joined(found):
                yield places[begin], places[end - 1] + 1

    def _may_be_in(self, folded: str) -> bool:
        if self._stems and not any(stem in folded for stem in self._stems):
            return False
        places = range(len(folded) - SHORTEST + 1)
        return not self._heads.isdisjoint([folded[at : at + SHORTEST] for at in places])

    def _found(self, folded: str, decoding: Decoding) -> Iterator[Span]:
        """Where secrets begin and end."""
        for at in range(len(folded) - SHORTEST + 1):
            if folded[at : at + SHORTEST] in self._heads:
                length = self._length(folded, at, decoding)
                if length:
                    yield at, at + length

    def _length(self, folded: str, at: int, decoding: Decoding) -> int:
        """How many characters from `at` on are a secret, or enough of its beginning; 0 for none."""
        best = 0
        for value in self._whole.get(folded[at : at + SHORTEST], ()):
            if folded.startswith(value, at):
                best = max(best, _counts(value, len(value), folded, at, decoding))
        rest = folded[at : at + self._longest]
        place = bisect_left(self._folded, rest)
        for near in (place - 1, place):
            if 0 <= near < len(self._folded):
                length = _common(self._folded[near], rest)
                best = max(best, _counts(self._plain[near], length, folded, at, decoding))
        return best


def _shared(text: str, secret: str, plain: str) -> Iterator[Span]:
    """Where a text has enough in common with a secret; `plain` is that in its own case."""
    for at in range(0, len(secret) - _CHUNK + 1, _STEP):
        chunk = secret[at : at + _CHUNK]
        begin = text.find(chunk)
        while begin >= 0:
            before = _common(secret[:at][::-1], text[max(0, begin - at) : begin][::-1])
            after = _common(secret[at:], text[begin : begin + len(secret) - at])
            if before + after >= _PART and not _WORDS.fullmatch(plain[at - before : at + after]):
                yield begin - before, begin + after
            begin = text.find(chunk, begin + after)


def _joined(spans: Iterable[Span]) -> Iterator[Span]:
    """The spans in their order, those that overlap as one."""
    first, last = -1, -1
    for begin, end in sorted(spans):
        if begin <= last:
            last = max(last, end)
            continue
        if last > 0:
            yield first, last
        first, last = begin, end
    if last > 0:
        yield first, last


def _counts(secret: str, length: int, folded: str, at: int, decoding: Decoding) -> int:
    """How much of what a text has in common with a secret gives the secret away; 0 for none of it."""
    unbroken = decoding.unbroken(at, at + length) if length else 0
    if length == len(secret) and (unbroken == length or length >= _WORDY):
        return length
    if unbroken < length:
        if _tells(secret[:length], beyond=_BEGINNING) and length >= _BROKEN:
            return length
        length = unbroken
    if not _tells(secret[:length]):
        return 0
    # The end of a word and the head of a key are alike now and then: "a task-project".
    apart = at == 0 or not folded[at - 1].isalnum() or decoding.unbroken(at - 1, at + 1) == 1
    return length if apart or length >= _WORDY or not _HEAD.match(secret) else 0


def _tells(beginning: str, beyond: int = 1) -> bool:
    """Whether the beginning of a secret is one itself: not what everybody's begins with, not a word."""
    if len(beginning) < _BEGINNING:
        return False
    if head := _HEAD.match(beginning):
        return len(beginning) - head.end() >= beyond
    if _WORDS.fullmatch(beginning):
        return len(beginning) >= (_WORD if beginning.isalpha() else _WORDY)
    return True


def _common(one: str, other: str) -> int:
    """How many characters two texts begin with alike."""
    if other.startswith(one):
        return len(one)
    most = min(len(one), len(other))
    return next((at for at in range(most) if one[at] != other[at]), most)


def _folded(text: str) -> str:
    """The text in lower case, as long as before."""
    if text.isascii():
        return text.lower()
    return "".join(low if len(low := char.lower()) == 1 else char for char in text)


class Redactor:
    """Takes secrets out of whatever is about to leave the process: rows, messages, logs, what is printed.

    It hides what a `Mask` of all values that it was ever told hides. What a server says of the key that it
    was asked with is masked where it leaves the diagnosis; this is the last line, for every key and channel.
    One serves the whole process, so that what it learns is hidden everywhere at once.
    """

    def __init__(self, secrets: Iterable[str] = (), whole: Iterable[str] = ()) -> None:
        self._known: dict[tuple[str, bool], None] = {}
        self._mask = Mask(())
        self._clean: set[str] = set()
        self.learn(secrets, whole)

    def learn(self, secrets: Iterable[str], whole: Iterable[str] = ()) -> None:
        """Hide these, too. Known values stay hidden: a key that was replaced may still be valid."""
        news = dict.fromkeys([*((one, False) for one in secrets), *((one, True) for one in whole)])
        known = {one: None for one in self._known if one not in news} | news
        for one in list(known)[: max(len(known) - _KNOWN_MOST, 0)]:
            del known[one]
        self._known = known
        self._mask = Mask(
            (one for one, entire in known if not entire), (one for one, entire in known if entire)
        )
        self._clean = set()  # for the log's thread, which may be about to add to the old one

    def text(self, text: str) -> str:
        """The text with every secret replaced by `[hidden]`."""
        clean = self._clean
        if text in clean:
            return text
        hidden = self._mask.text(text)
        if hidden == text and len(text) <= _SHORT:
            if len(clean) >= _CLEAN_MOST:
                clean.clear()
            clean.add(text)
        return hidden

    def value(self, value: Any) -> Any:
        """The same for nested values, for logs and JSON."""
        if isinstance(value, str):
            return self.text(value)
        if value is None or isinstance(value, bool | int | float):
            return value
        if isinstance(value, Mapping):
            return {self.text(str(k)): self.value(v) for k, v in value.items()}
        if isinstance(value, list | tuple | set | frozenset):
            return [self.value(item) for item in value]
        return self.text(str(value))
