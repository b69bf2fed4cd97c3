"""A thread that writes log lines: a slow or stopped reader does not block the loop."""

import logging
import os
import queue
import sys
import threading

import structlog

log = structlog.get_logger()

#: Lines that wait at most, a few MB; what comes then is counted and lost, and said.
_MOST = 10_000
#: Seconds to wait at the end for lines that are not written yet.
_PATIENCE = 2.0
#: Seconds that the thread rests when all is written: to wake it for each line costs more than the line.
_REST = 0.05


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
