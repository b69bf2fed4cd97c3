"""The three standard streams, which may be closed, full, or in any encoding.

A command's standard output and error go through the redactor, line by line, last before they are written.
"""

import codecs
import errno
import io
import os
import select
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING, Any, TextIO

if TYPE_CHECKING:
    from monitor.access.masking import Redactor

#: What stands for characters that an encoding does not have; others are written as escapes.
_PLAIN = {"–": "-", "—": "-", "−": "-", "─": "-"}
_PLAIN |= {"→": "->", "…": "...", "•": "*", "×": "x", "≤": "<="}
_PLAINLY = "access-monitor"
#: The most characters without a line's end that are held back.
_LINE_MOST = 64 * 1024


class OutputError(OSError):
    """Standard output does not take what is printed."""


@contextmanager
def prepared() -> Iterator[None]:
    """Have the streams take whatever is printed within.

    Standard output that is full, or whose reader has gone, ends the command with a sentence and status 1;
    standard error that is full changes nothing. A stream that is closed takes everything and keeps nothing.
    """
    codecs.register_error(_PLAINLY, _plainly)
    # the descriptors, too: the database would be opened as standard output otherwise
    while (number := os.open(os.devnull, os.O_RDWR)) <= 2:
        pass
    os.close(number)
    if sys.stdin is None:
        sys.stdin = io.TextIOWrapper(io.BytesIO())
    sys.stdout = _stream(1, sys.stdout, _Output(1, "w", closefd=False))
    sys.stderr = _stream(2, sys.stderr, _Errors(2, "w", closefd=False))
    status: Any = 0
    try:
        try:
            yield
        except SystemExit as end:
            status = end.code
        sys.stdout.flush()
    except OutputError as error:
        if error.errno != errno.EPIPE:  # who reads has seen enough: nothing is wrong
            print(f"access-monitor: standard output: {error.strerror}", file=sys.stderr)
        status = status or 1
    raise SystemExit(status)


def is_unicode(stream: Any) -> bool:
    """Whether a stream takes every character as it is."""
    try:
        return codecs.lookup(stream.encoding).name.startswith("utf")
    except (LookupError, TypeError, AttributeError):
        return False


class _Output(io.FileIO):
    """Standard output: what goes wrong with it is told from what goes wrong elsewhere."""

    def write(self, data: Any) -> int:
        """Write all of it; waits for a reader that is slow, where the stream itself does not."""
        rest = memoryview(data)
        try:
            while rest:
                if (written := super().write(rest)) is None:
                    select.select([], [self], [])
                else:
                    rest = rest[written:]
        except OSError as error:
            raise OutputError(error.errno, error.strerror) from None
        return len(data)


class _Errors(_Output):
    """Standard error: a failure to write to it is ignored, as it cannot be reported."""

    def write(self, data: Any) -> int:
        try:
            return super().write(data)
        except OutputError:
            return len(data)


def _stream(number: int, old: Any, raw: io.FileIO) -> io.TextIOWrapper:
    # without a buffer between: what a full disk did not take would be tried again at the end
    return io.TextIOWrapper(
        raw,  # it writes all, as a buffer does
        encoding=old.encoding if old else "utf-8",
        errors=_PLAINLY,
        line_buffering=number == 2 or os.isatty(number),
    )


def _plainly(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    signs = error.object[error.start : error.end]
    escaped = (_PLAIN.get(c) or c.encode("ascii", "backslashreplace").decode() for c in signs)
    return "".join(escaped), error.end


@cache
def redactor() -> "Redactor":
    """The one redactor of this process; it learns the secrets of the settings when they are read."""
    from monitor.access.masking import Redactor

    return Redactor()


class RedactedStream:
    """A text stream that writes whole lines, each without secrets."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._line = ""

    def write(self, text: str) -> int:
        """Write the lines that are complete."""
        whole, end, rest = text.rpartition("\n")
        if end or len(self._line) + len(text) > _LINE_MOST:
            out = self._line + (whole + end if end else text)
            # before: what cannot be written is not tried again
            self._line = rest if end else ""
            self._out(out)
        else:
            self._line += text
        return len(text)

    def writelines(self, lines: "list[str]") -> None:
        """Write each of them."""
        for line in lines:
            self.write(line)

    def flush(self) -> None:
        """Write the rest, such as a question that waits for its answer."""
        line, self._line = self._line, ""
        if line:
            self._out(line)
        self._stream.flush()

    def _out(self, text: str) -> None:
        self._stream.write(redactor().text(text))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def redact_output() -> None:
    """Have this process print through the redactor from now on."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is not None and not isinstance(stream, RedactedStream):
            setattr(sys, name, RedactedStream(stream))
