"""Runs a monitor as a process: signals in, exit status out."""

import asyncio
import os
import signal

import structlog

from monitor.daemon.service import Monitor

log = structlog.get_logger()


async def serve(monitor: Monitor) -> int:
    """Run until SIGTERM or SIGINT, then stop in order; a second one ends the process at once.

    Returns the exit status: 0 after SIGTERM, 130 after SIGINT. Raises StoreError when the database
    cannot be used.
    """
    loop = asyncio.get_running_loop()
    asked: asyncio.Future[int] = loop.create_future()

    def ask(number: int) -> None:
        if asked.done():
            # Somebody is in a hurry; what was committed is safe, the rest is done at the next start.
            os._exit(128 + number)
        log.info("signal", name=signal.Signals(number).name)
        asked.set_result(number)

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ask, number)
    try:
        await monitor.start()
        running = asyncio.create_task(monitor.run(), name="run")
        await asked
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        await monitor.stop()
    finally:
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(number)
    return 130 if asked.done() and asked.result() == signal.SIGINT else 0
