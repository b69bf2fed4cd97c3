"""Time that passes faster than outside: on the loop, on the clock that is handed in, for the scheduler.

All waits of a monitor are the loop's or go by its clock, so a whole monitor runs through its minutes in
seconds, with the figures that it always has. What threads and sockets need takes its real time.
"""

import asyncio
import selectors
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, tzinfo

import pytest

from monitor.daemon.clock import Clock, even_seconds

#: Seconds that pass in one of the outside. With more, a busy machine is too slow for the tests' figures.
FACTOR = 4.0
#: Seconds of the outside that anything may take.
PATIENCE = 60.0


class _Selector(selectors.DefaultSelector):
    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        return super().select(timeout / FACTOR if timeout else timeout)


class QuickLoop(asyncio.SelectorEventLoop):
    """A loop on which time passes quickly."""

    def __init__(self) -> None:
        super().__init__(_Selector())

    def time(self) -> float:
        return super().time() * FACTOR


#: For the fixture `anyio_backend`.
QUICK_BACKEND = ("asyncio", {"loop_factory": QuickLoop})
#: For a test that waits on its loop and needs no clock besides.
in_quick_time = pytest.mark.parametrize("anyio_backend", [QUICK_BACKEND], ids=["quick"])


def quick_even() -> float:
    """Seconds that never step."""
    return even_seconds() * FACTOR


def quick_wall() -> Callable[[], datetime]:
    """A wall clock that begins at the present."""
    at, even = datetime.now(UTC), quick_even()
    return lambda: at + timedelta(seconds=quick_even() - even)


def quick_clock(wall: Callable[[], datetime] | None = None) -> Clock:
    """A monitor's clock."""
    return Clock(wall or quick_wall(), quick_even)


def datetime_of(wall: Callable[[], datetime]) -> type[datetime]:
    """`datetime` for a module that asks it for the time."""

    class Datetime(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> datetime:  # type: ignore[override]
            return wall().astimezone(tz)

    return Datetime
