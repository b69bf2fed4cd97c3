"""Logging: one line per event, readable on a terminal and JSON elsewhere; one redactor, last.

A thread writes the lines where a slow or stopped reader must not block the loop. In systemd's journal each
event is an entry with its priority and fields, by the native protocol: `journalctl -u access-monitor
TARGET=acme-prod/gpt-image-2:images` finds what concerns a target.
"""

import json
import logging
import os
import queue
import socket
import struct
import sys
import threading
from collections.abc import Iterator, Mapping
from typing import Any, TextIO

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from monitor.access.masking import Redactor
from monitor.store.errors import UnavailableError

log = structlog.get_logger()

#: httpx prints whole URLs at INFO; none of these is said below WARNING. What Apprise prints goes nowhere: see
#: `apprise_service`, which needs it.
_QUIET = ("httpx", "httpcore", "apscheduler", "alembic", "asyncio")

#: Lines that wait at most, a few MB; what comes then is counted and lost, and said.
_MOST = 10_000
#: Seconds to wait at the end for lines that are not written yet.
_PATIENCE = 2.0
#: Seconds that the thread rests when all is written: to wake it for each line costs more than the line.
_REST = 0.05

SOCKET = "/run/systemd/journal/socket"

#: By the names of the log levels, as syslog(3) numbers them.
_PRIORITIES = {"critical": 2, "error": 3, "warning": 4, "info": 6, "debug": 7}

#: Characters of a field that are kept: an entry must fit into one datagram.
_FIELD_MOST = 16_000


def configure(
    redactor: Redactor,
    *,
    log_format: str = "auto",
    level: str = "INFO",
    stream: TextIO | None = None,
    queued: bool = False,
) -> None:
    """Send structlog's and the libraries' logs through one chain to `stream` (standard error).

    `log_format` is `auto`, `json` or `console`; `auto` is readable on a terminal, entries with fields
    where the stream is systemd's journal, else JSON. `level` is of our own log; the libraries say nothing
    below INFO, where some print rows and paths. `queued` is for who must never wait for a reader.
    """
    # Nobody reads them, and to find them out for every line costs as much as to write it: see
    # "Optimization" in the logging HOWTO of Python.
    logging._srcfile = None  # noqa: SLF001
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False
    out = stream or sys.stderr
    readable = log_format == "console" or (log_format == "auto" and out.isatty())

    def redact(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
        return {key: redactor.value(value) for key, value in event.items()}

    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    renderer: Processor = (
        structlog.dev.ConsoleRenderer(
            colors=out.isatty(), exception_formatter=structlog.dev.plain_traceback
        )
        if readable
        else structlog.processors.JSONRenderer(ensure_ascii=False)
    )
    last: list[Processor] = [
        structlog.stdlib.ProcessorFormatter.remove_processors_meta,
        _in_a_sentence,
        structlog.processors.format_exc_info,
        _one_line,
        redact,
        renderer,
    ]
    formatter = structlog.stdlib.ProcessorFormatter(foreign_pre_chain=shared, processors=last)
    to: Any = Straight(out.fileno()) if queued else out
    handler: logging.Handler = logging.StreamHandler(to)
    if log_format == "auto" and is_journal(out):
        handler = JournalHandler(to)
    handler.setFormatter(formatter)
    root = logging.getLogger()
    for old in root.handlers:
        if isinstance(old, QueuedHandler):
            old.close()
    root.handlers[:] = [QueuedHandler(handler) if queued else handler]
    root.setLevel("INFO" if level == "DEBUG" else level)
    logging.getLogger("monitor").setLevel(level)
    for name in _QUIET:
        logging.getLogger(name).setLevel("WARNING")
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.make_filtering_bound_logger(level),
        cache_logger_on_first_use=False,
    )


def log_uncaught() -> None:
    """Log uncaught exceptions: Python would print them without redactor and journal."""

    def uncaught(kind: type[BaseException], error: BaseException, trace: Any) -> None:
        if issubclass(kind, KeyboardInterrupt):
            sys.__excepthook__(kind, error, trace)
        else:
            log.critical("uncaught", exc_info=(kind, error, trace))

    def in_a_thread(args: threading.ExceptHookArgs) -> None:
        if args.exc_value is not None and not isinstance(args.exc_value, SystemExit):
            uncaught(args.exc_type, args.exc_value, args.exc_traceback)

    def unraisable(args: Any) -> None:
        if args.exc_value is not None:
            uncaught(args.exc_type, args.exc_value, args.exc_traceback)

    sys.excepthook = uncaught
    sys.unraisablehook = unraisable
    threading.excepthook = in_a_thread


def _in_a_sentence(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    """Replace the traceback of a database error by its sentence: it is no error of the code."""
    found = event.get("exc_info")
    error = sys.exc_info()[1] if found is True else found[1] if isinstance(found, tuple) else found
    if isinstance(error, UnavailableError):
        event = {**event, "error": str(error)}
        del event["exc_info"]
    return event


def _one_line(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    """Control characters become escapes: a server's words cannot forge a line or paint a terminal.

    A traceback keeps its lines, each behind a bar: none of them can pass for an event.
    """
    shown = {
        key: _escaped(value) if isinstance(value, str) and key != "exception" else value
        for key, value in event.items()
    }
    if isinstance(trace := event.get("exception"), str):
        shown["exception"] = "\n".join(f"| {_escaped(line)}" for line in trace.split("\n"))
    return shown


def _escaped(text: str) -> str:
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


class QueuedHandler(logging.Handler):
    """Hands events to another handler in order, without ever waiting for it."""

    def __init__(self, target: logging.Handler) -> None:
        super().__init__()
        self._target = target
        self._records: queue.SimpleQueue[logging.LogRecord | None] = queue.SimpleQueue()
        self._lost = 0
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._serve, name="log", daemon=True)
        self._thread.start()

    def emit(self, record: logging.LogRecord) -> None:
        """Queue an event, if there is room."""
        waiting = self._records.qsize()
        if waiting >= _MOST:
            self._lost += 1
            return
        if isinstance(record.msg, dict) and record.msg.get("exc_info") is True:
            record.msg["exc_info"] = sys.exc_info()  # the other thread has none
        self._records.put(record)
        if self._lost and waiting < _MOST // 2:
            lost, self._lost = self._lost, 0
            log.warning("log_lines_lost", lines=lost, why="nobody read them")

    def close(self) -> None:
        """Write what waits, for a bounded time."""
        if self._thread.is_alive():
            self._closed.set()
            self._records.put(None)
            self._thread.join(_PATIENCE)
        super().close()

    def _serve(self) -> None:
        while (record := self._records.get()) is not None:
            # not `handle`, which holds a lock meanwhile that logging wants at the end
            self._target.emit(record)
            if self._records.empty():
                self._closed.wait(_REST)
        self._target.close()


class Straight:
    """A text stream to a file descriptor without a buffer, and so without a lock that a blocked write holds:
    the interpreter wants those of its own streams at the end.
    """

    def __init__(self, number: int) -> None:
        self._number = number

    def write(self, text: str) -> None:
        """Write all of it; waits while nobody reads."""
        data = text.encode(errors="replace")
        while data:
            data = data[os.write(self._number, data) :]

    def flush(self) -> None:
        """There is nothing that waits."""


def is_journal(stream: TextIO) -> bool:
    """Whether the stream goes to the journal: `$JOURNAL_STREAM` names its device and inode."""
    try:
        about = os.fstat(stream.fileno())
    except (OSError, ValueError):
        return False
    return os.environ.get("JOURNAL_STREAM") == f"{about.st_dev}:{about.st_ino}"


class JournalHandler(logging.Handler):
    """Sends what its formatter makes (one JSON object) to the journal's socket.

    While nobody listens there, the line goes to `stream` with its priority in front, as sd-daemon(3)
    has it, and the journal finds the priority at least.
    """

    def __init__(self, stream: TextIO) -> None:
        super().__init__()
        self._stream = stream
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
        self._socket.setblocking(False)

    def emit(self, record: logging.LogRecord) -> None:
        """Send one event; never raises."""
        try:
            line = self.format(record)
            event = json.loads(line)
            try:
                self._socket.sendto(entry(event), SOCKET)
            except OSError:
                self._stream.write(f"<{_priority(event)}>{line}\n")
                self._stream.flush()
        except Exception:  # noqa: BLE001 - logging's own way with what fails in a handler
            self.handleError(record)

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()
        super().close()


def entry(event: Mapping[str, Any]) -> bytes:
    """An event as the native protocol has it: text beside its name, or its length and bytes."""
    return b"".join(_written(name, value[:_FIELD_MOST]) for name, value in _fields(event))


def _fields(event: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    told = {
        key: value
        for key, value in event.items()
        if key not in ("event", "level", "timestamp") and value is not None
    }
    what = str(event.get("event", ""))
    # the exception has lines of its own, at the end
    words = [f"{key}={_text(value)}" for key, value in told.items() if key != "exception"]
    lines = [" ".join([what, *words]), _text(told.get("exception", ""))]
    yield "MESSAGE", "\n".join(line for line in lines if line)
    yield "PRIORITY", str(_priority(event))
    yield "SYSLOG_IDENTIFIER", "access-monitor"
    yield "EVENT", what
    for key, value in told.items():
        name = "".join(c if c.isascii() and c.isalnum() else "_" for c in key.upper()).strip("_")
        if name and name not in ("MESSAGE", "PRIORITY", "SYSLOG_IDENTIFIER", "EVENT"):
            yield name[:64], _text(value)


def _priority(event: Mapping[str, Any]) -> int:
    return _PRIORITIES.get(str(event.get("level")), 6)


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _written(name: str, value: str) -> bytes:
    data = value.encode(errors="replace")
    if b"\n" not in data:
        return b"%s=%s\n" % (name.encode(), data)
    return b"%s\n%s%s\n" % (name.encode(), struct.pack("<Q", len(data)), data)
