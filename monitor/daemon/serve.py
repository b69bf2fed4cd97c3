"""Runs a monitor as a process: signals in, exit status out."""

import asyncio
import gc
import signal
from collections.abc import Callable, Sequence
from typing import Any

import structlog

from monitor.alerts.interfaces import Sender
from monitor.config import Settings, SettingsError
from monitor.daemon import signals
from monitor.daemon.service import Monitor, ReloadError
from monitor.daemon.service_manager import ServiceManager
from monitor.store.errors import StoreError

log = structlog.get_logger()


#: The thresholds of the garbage collector, far above the defaults: few of our objects are in cycles.
_GARBAGE = (10_000, 20, 20)

#: Reads the settings again and makes the senders; raises SettingsError.
Read = Callable[[], tuple[Settings, Sequence[Sender]]]


async def serve(monitor: Monitor, manager: ServiceManager, read: Read) -> int:
    """Run until SIGTERM or SIGINT, then stop in order (see `signals`).

    SIGHUP reloads the settings: the whole file is parsed first, then swapped in. A file that does not load
    changes nothing. Returns the exit status: 0 after SIGTERM, 130 after SIGINT. Raises StoreError when the
    database cannot be used, or was deleted or replaced.
    """
    loop = asyncio.get_running_loop()
    asked: asyncio.Future[int] = loop.create_future()
    again = asyncio.Event()

    def ask(number: int) -> None:
        log.info("signal", name=signal.Signals(number).name)
        asked.set_result(number)

    # a signal's handler may run between any two steps, so it only leaves a note for the loop
    signals.serve_with(
        lambda number: loop.call_soon_threadsafe(ask, number),
        lambda: loop.call_soon_threadsafe(again.set),
    )
    try:
        await monitor.start()
        _freeze_objects()
        running = asyncio.create_task(monitor.run(), name="run")
        while not (asked.done() or running.done()):
            wanted: asyncio.Future[Any] = asyncio.ensure_future(again.wait())
            either: set[asyncio.Future[Any]] = {asked, wanted, running}
            await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
            wanted.cancel()
            if again.is_set() and not asked.done():
                again.clear()
                await reload(monitor, manager, read)
        running.cancel()
        (ended,) = await asyncio.gather(running, return_exceptions=True)
        await monitor.stop()
        if isinstance(ended, StoreError):
            raise ended
    finally:
        signals.serve_with(lambda _: None, lambda: None)
    return 130 if asked.done() and asked.result() == signal.SIGINT else 0


def _freeze_objects() -> None:
    """Exclude the objects that stay from garbage collection: searching them took a third of the loop's time.

    With 10,000 targets a full collection stops everything for a quarter of a second.
    """
    gc.unfreeze()
    gc.collect()
    gc.freeze()
    gc.set_threshold(*_GARBAGE)


async def reload(monitor: Monitor, manager: ServiceManager, read: Read) -> None:
    """Change to the settings as they are read now. If they cannot be used, the old ones stay."""
    manager.reloading()
    try:
        settings, channels = await _read_anew(read)
        await monitor.reload(settings, channels)
        _freeze_objects()
    except (SettingsError, ReloadError) as error:
        log.error("reload_refused", error=str(error), why="nothing was changed")  # noqa: TRY400
        await monitor.keep_settings()


async def _read_anew(read: Read) -> tuple[Settings, Sequence[Sender]]:
    """Read the settings. A defect in that must not end a daemon that watches with the old ones."""
    try:
        return await asyncio.to_thread(read)
    except SettingsError:
        raise
    except Exception as error:
        log.exception("settings_not_read")
        raise ReloadError(f"internal: {type(error).__name__}") from None
