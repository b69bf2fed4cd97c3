"""Logging: one line per event, readable on a terminal and JSON elsewhere; one redactor, last."""

import logging
import sys
import threading
from typing import Any, TextIO

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from monitor.logs.log_handlers import JournalHandler, QueuedHandler, Straight, is_journal
from monitor.logs.redaction import Redactor
from monitor.store.errors import UnavailableError

log = structlog.get_logger()

#: httpx prints whole URLs at INFO. What Apprise prints goes nowhere: see `apprise_channel`, which needs it.
_QUIET = {"httpx": "WARNING", "httpcore": "WARNING", "apscheduler": "WARNING", "alembic": "WARNING",
          "asyncio": "WARNING"}  # fmt: skip


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
    for name, quiet in _QUIET.items():
        logging.getLogger(name).setLevel(quiet)
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
