"""How a process ends on a signal: from its first moment on, once, and in order.

SIGTERM, SIGINT and SIGHUP end the running work as Ctrl-C does, so `finally` blocks still run. A second
signal ends the process at once, unless it follows within `ECHO`: `timeout` sends two, and so does a
terminal to its group of processes.
"""

import os
import signal
import time
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any, NoReturn, TypeVar

#: A second signal within this many seconds is a copy of the first.
ECHO = 0.5

T = TypeVar("T")

_ENDING = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


class _Asked:
    """The first signal that arrived, and the handlers."""

    def __init__(self) -> None:
        self.number = 0
        self.at = 0.0
        #: None where no settings are reloaded: SIGHUP then ends the process like the others
        self.again: Callable[[], object] | None = None
        self.end: Callable[[int], object] = _raise


def _raise(number: int) -> NoReturn:
    if number == signal.SIGINT:
        raise KeyboardInterrupt
    # a daemon that has not started yet counts as stopped in order
    early = number == signal.SIGTERM and _asked.again is not None
    raise SystemExit(0 if early else 128 + number)


_asked = _Asked()


def handle(*, reloads: bool = False) -> None:
    """Install the handlers; call it first in a process.

    With `reloads` SIGHUP does not end the process: it is kept for the handler that `serve_with` sets.
    """
    if reloads:
        _asked.again = _keep
    for number in _ENDING:
        # keep signals ignored that the parent process had ignored, as `nohup` and a shell's `&` do
        if signal.getsignal(number) is not signal.SIG_IGN or (reloads and number == signal.SIGHUP):
            signal.signal(number, _take)


def serve_with(end: Callable[[int], object], again: Callable[[], object]) -> None:
    """From now on call `end` with a signal that ends the process, and `again` on SIGHUP.

    A SIGHUP that arrived earlier calls `again` at once.
    """
    early = _asked.again is _kept
    _asked.end, _asked.again = end, again
    handle()
    if early:
        again()


@contextmanager
def deferred() -> Iterator[None]:
    """Handle a signal that ends the process only after this block: for a step that must not be cut."""
    came: list[int] = []
    end, _asked.end = _asked.end, came.append
    try:
        yield
    finally:
        _asked.end = end
    if came:
        end(came[0])


def run(work: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine as `asyncio.run` does. A signal cancels it and then ends the command."""
    import asyncio  # noqa: PLC0415 - signals are handled before it is loaded

    async def listening() -> T:
        task, loop = asyncio.current_task(), asyncio.get_running_loop()

        def end(_: int) -> None:
            if task is not None:
                loop.call_soon_threadsafe(task.cancel)

        _asked.end = end
        return await work

    try:
        return asyncio.run(listening())
    except asyncio.CancelledError:
        if not _asked.number:
            raise
    finally:
        _asked.end = _raise
    return _raise(_asked.number)


def _keep() -> None:
    _asked.again = _kept


def _kept() -> None:
    """Marks that SIGHUP arrived before its handler was set."""


def _take(number: int, _: FrameType | None) -> None:
    if number == signal.SIGHUP and _asked.again is not None:
        _asked.again()
        return
    now = time.monotonic()
    if not _asked.number:
        _asked.number, _asked.at = number, now
        _asked.end(number)
    elif now - _asked.at > ECHO:
        # A second signal: committed results are safe, the next start does the rest.
        os._exit(128 + number)
