"""How a process ends when it is asked to: from its first moment on, once, and in order.

Asked by SIGTERM, SIGINT or SIGHUP, what runs is ended as by Ctrl-C: what stands in `finally` is still done.
A second signal ends the process at once, but for one that follows within `ECHO`: `timeout`, and a
terminal's group of processes, send two.
"""

import os
import signal
import time
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any, NoReturn, TypeVar

#: Seconds within which a second signal is the first one's echo.
ECHO = 0.5

T = TypeVar("T")

_ENDING = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


class _Asked:
    """The signals that came so far, and who handles them."""

    def __init__(self) -> None:
        self.number = 0
        self.at = 0.0
        #: None: nobody reads settings anew here, and SIGHUP ends like the others
        self.again: Callable[[], object] | None = None
        self.end: Callable[[int], object] = _raise


def _raise(number: int) -> NoReturn:
    if number == signal.SIGINT:
        raise KeyboardInterrupt
    # a daemon that has not begun yet has stopped in order
    early = number == signal.SIGTERM and _asked.again is not None
    raise SystemExit(0 if early else 128 + number)


_asked = _Asked()


def handle(*, reloads: bool = False) -> None:
    """Take the signals over; the first thing that a process does.

    With `reloads` SIGHUP ends nothing: it is kept for who reads the settings anew (`serve_with`).
    """
    if reloads:
        _asked.again = _keep
    for number in _ENDING:
        # who starts a process may have it ignore a signal, as `nohup` and a shell's `&` do
        if signal.getsignal(number) is not signal.SIG_IGN or (reloads and number == signal.SIGHUP):
            signal.signal(number, _take)


def serve_with(end: Callable[[int], object], again: Callable[[], object]) -> None:
    """From here on `end` is called with the signal that asks for the end, and `again` for SIGHUP.

    One that came before is told at once.
    """
    early = _asked.again is _kept
    _asked.end, _asked.again = end, again
    handle()
    if early:
        again()


@contextmanager
def deferred() -> Iterator[None]:
    """A signal that asks for the end waits until this is over: for a step that must not be cut in two."""
    came: list[int] = []
    end, _asked.end = _asked.end, came.append
    try:
        yield
    finally:
        _asked.end = end
    if came:
        end(came[0])


def run(work: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine to its end, as `asyncio.run` does. A signal cancels it, and then ends the command."""
    import asyncio  # noqa: PLC0415 - the first moment is before it is loaded

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
    """SIGHUP came already."""


def _take(number: int, _: FrameType | None) -> None:
    if number == signal.SIGHUP and _asked.again is not None:
        _asked.again()
        return
    now = time.monotonic()
    if not _asked.number:
        _asked.number, _asked.at = number, now
        _asked.end(number)
    elif now - _asked.at > ECHO:
        # A second signal: what was committed is safe, the rest is done at the next start.
        os._exit(128 + number)
