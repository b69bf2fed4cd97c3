"""A pool's file: one key a line. Bounded, and nothing that is said of it shows what is in a line."""

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from monitor.access.target import POOL_DIGITS
from monitor.config.problems import shown
from monitor.config.references import Secret, UnresolvedError, fault_of, read_reference

#: Lines and bytes of a file; what is larger is another file than was meant.
LINES_MOST = 20_000
FILE_CAP = 4 * 1024 * 1024

#: Lines that one error or warning names.
_NAMED_MOST = 5


@dataclass(frozen=True, slots=True)
class PoolFile:
    """The keys of a pool's file, each once, in the file's order; None where it was not read.

    They go by the beginning of their fingerprints: the last part of their names.
    """

    reference: str
    keys: Mapping[str, Secret] | None = field(repr=False)
    #: the number of each key's first line, by the same
    lines: Mapping[str, int] = field(default_factory=dict, repr=False)

    def named(self, pool: str) -> Iterator[tuple[str, Secret]]:
        """Each key with its name."""
        for mark, secret in (self.keys or {}).items():
            yield f"{pool}-{mark}", secret


def read_pool(
    reference: str, environ: Mapping[str, str], folder: Path
) -> tuple[PoolFile, list[str]]:
    """Read the file that a reference names; beside it warnings.

    Blank lines and lines that begin with `#` are skipped.

    Raises:
        UnresolvedError: when it is no reference to a file, or what it names is not there, too large,
            without a key, or holds a line that cannot be one. It names lines, never what is in them.

    """
    data, warning = read_reference(reference, environ, folder, FILE_CAP)
    warnings = [warning] if warning else []
    what = f"what {shown(reference)} names"
    lines = data.removeprefix(b"\xef\xbb\xbf").rstrip(b"\n").split(b"\n")
    if len(lines) > LINES_MOST:
        raise UnresolvedError(f"{what} has {len(lines)} lines; at most {LINES_MOST} are read")
    first: dict[str, int] = {}
    faults: list[str] = []
    again: list[str] = []
    for number, line in enumerate(lines, 1):
        # Latin-1 decodes anything; what is not ASCII is refused without being shown.
        text = line.decode("latin-1").strip()
        if not text or text[0] == "#":
            continue
        if fault := fault_of(text):
            faults.append(f"line {number} {fault}")
        elif first.setdefault(text, number) != number:
            again.append(f"line {number} is line {first[text]}")
    if faults:
        raise UnresolvedError(f"{what}: {_few(faults)}")
    if not first:
        raise UnresolvedError(f"{what} holds no key: write one a line")
    if again:
        warnings.append(f"{what} holds a key more than once, which is one key: {_few(again)}")
    marks = _marks(first)
    keys = {mark: Secret(text, reference) for text, mark in zip(first, marks, strict=True)}
    return PoolFile(reference, keys, dict(zip(marks, first.values(), strict=True))), warnings


def _marks(keys: Iterable[str]) -> list[str]:
    """The beginning of each key's fingerprint.

    Where two begin alike both get more of it, so that no name ever passes from one key to another,
    whatever the order of the lines.
    """
    prints = [hashlib.sha256(key.encode()).hexdigest() for key in keys]
    lengths = dict.fromkeys(prints, POOL_DIGITS)
    while True:
        taken = Counter(one[:length] for one, length in lengths.items())
        alike = [one for one, length in lengths.items() if taken[one[:length]] > 1]
        if not alike:
            return [one[:length] for one, length in lengths.items()]
        for one in alike:
            lengths[one] += 4


def _few(texts: Sequence[str]) -> str:
    more = len(texts) - _NAMED_MOST
    return "; ".join(texts[:_NAMED_MOST]) + (f"; and {more} more" if more > 0 else "")
