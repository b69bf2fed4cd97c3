"""The daemon with every library at DEBUG, and with accidents that quote the key: `debugging.py run …`.

What a person may do to find a fault, and what a fault may say, reached by wrapping the program's
functions here, so that the program itself has no switch for tests. With ACCIDENT=start the accident is at
the start and ends the process.
"""

import asyncio
import importlib
import logging
import os
import threading
from typing import Any

import monitor.logs as logs
from monitor.cli.app import main
from monitor.daemon.pipeline import Pipeline
from monitor.daemon.service import Monitor

LIBRARIES = (
    "httpx", "httpcore", "apprise", "urllib3", "requests", "asyncio", "sqlalchemy", "alembic",
    "apscheduler", "aiohttp", "h11",
)  # fmt: skip


def debugged() -> None:
    """Everything is said, and goes where the rest of the log goes."""
    for name in (*LIBRARIES, *logging.root.manager.loggerDict):
        logger = logging.getLogger(name)
        logger.setLevel(logging.DEBUG)
        logger.propagate = True


def wrap_logging() -> None:
    importlib.import_module("monitor.alerts.apprise_service")  # it makes Apprise quiet
    configure = logs.configure

    def configured(*arguments: Any, **more: Any) -> None:
        configure(*arguments, **more | {"level": "DEBUG"})
        debugged()

    logs.configure = configured


def wrap_probes() -> None:
    """Each first probe of a key named "accident" fails in all the ways in which Python tells of it."""
    original = Pipeline._probe

    async def probe(self: Pipeline, watch: Any) -> None:
        if watch.target.key.startswith("accident") and not watch.answers:
            watch.answers += 1
            accident(watch.credentials.secret)
        await original(self, watch)

    Pipeline._probe = probe


class Unraisable:
    def __init__(self, text: str) -> None:
        self.text = text

    def __del__(self) -> None:
        raise ValueError(self.text)


def accident(secret: str) -> None:
    text = f"cannot send Authorization: Bearer {secret}"

    def fails() -> None:
        raise ValueError(text)

    async def fails_alone() -> None:
        fails()

    threading.Thread(target=fails, name="accident").start()
    Unraisable(text)
    asyncio.get_running_loop().create_task(fails_alone())  # nobody ever asks for it
    logging.getLogger("some.library").error("failed with %r", {"headers": [(b"auth", text)]})
    fails()


def wrap_start() -> None:
    async def start(self: Monitor) -> None:
        raise RuntimeError(f"Bearer {self._settings.keys[0].secret.reveal()}")

    if os.environ.get("ACCIDENT") == "start":
        Monitor.start = start


if __name__ == "__main__":
    wrap_logging()
    wrap_probes()
    wrap_start()
    main()
