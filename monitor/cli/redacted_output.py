"""Standard output and error of a command: every line goes through the redactor last."""

import sys
from functools import cache
from typing import TYPE_CHECKING, Any, TextIO

if TYPE_CHECKING:
    from monitor.logs.redaction import Redactor

#: The most characters without a line's end that are held back.
_LINE_MOST = 64 * 1024


@cache
def redactor() -> "Redactor":
    """The one redactor of this process; it learns the secrets of the settings when they are read."""
    from monitor.logs.redaction import Redactor

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


def install() -> None:
    """Have this process print through the redactor from now on."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is not None and not isinstance(stream, RedactedStream):
            setattr(sys, name, RedactedStream(stream))
