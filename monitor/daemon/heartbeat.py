"""The dead man's switch: a URL that is called while there is progress, so that silence is noticed."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta
from urllib.parse import urlsplit

import structlog

from monitor.config import Secret

log = structlog.get_logger()

#: Calls the URL; returns None when the call was accepted, else the error, without the URL.
Ping = Callable[[str], Awaitable[str | None]]


class HeartbeatSender:
    """Calls `URL/start` once, then `URL` at its interval while `stalled` is empty.

    When progress ends it calls `URL/fail` once, and then nothing until there is progress again. A failed call
    is logged once and not repeated: the next one is due soon enough.
    """

    def __init__(
        self, url: Secret, every: timedelta, ping: Ping, stalled: Callable[[], Sequence[str]]
    ) -> None:
        self._url = url.reveal()
        self._every = every.total_seconds()
        self._ping = ping
        self._stalled = stalled
        self._taken = True

    async def run(self) -> None:
        """Call until cancelled."""
        await self._call("start")
        failing = False
        while True:
            await asyncio.sleep(self._every)
            problems = self._stalled()
            if not problems:
                await self._call("")
            elif not failing:
                await self._call("fail")
            failing = bool(problems)

    async def fail(self) -> None:
        """Report that the monitor ended with an error."""
        await self._call("fail")

    async def _call(self, what: str) -> None:
        error = await self._ping(address(self._url, what))
        if error and self._taken:
            log.warning("heartbeat_not_taken", call=what or "success", error=error)
        elif not error and not self._taken:
            log.info("heartbeat_taken_again")
        self._taken = error is None


def address(url: str, what: str) -> str:
    """The URL with `/start` or `/fail` at the end of its path; itself for a success."""
    if not what:
        return url
    parts = urlsplit(url)
    return parts._replace(path=f"{parts.path.rstrip('/')}/{what}").geturl()
