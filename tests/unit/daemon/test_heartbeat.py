"""The dead man's switch: what is called when."""

import asyncio
from datetime import timedelta

import pytest
import structlog

from monitor.config import Secret
from monitor.daemon.health_reporter import HeartbeatSender, address

pytestmark = pytest.mark.anyio

URL = "https://hc-ping.example/FAKE-0001"


@pytest.mark.parametrize(
    ("url", "what", "called"),
    [
        (URL, "", URL),
        (URL, "start", f"{URL}/start"),
        (f"{URL}/", "fail", f"{URL}/fail"),
        (f"{URL}?create=1", "fail", f"{URL}/fail?create=1"),
        ("https://hc-ping.example", "start", "https://hc-ping.example/start"),
    ],
)
def test_start_and_fail_are_added_to_the_path(url, what, called):
    assert address(url, what) == called


class Calls:
    """Takes calls, and lets a test wait for them."""

    def __init__(self, error=None):
        self.urls = []
        self.error = error
        self._came = asyncio.Event()

    async def __call__(self, url):
        self.urls.append(url.removeprefix(URL))
        self._came.set()
        return self.error

    async def next(self):
        async with asyncio.timeout(20):
            self._came.clear()
            await self._came.wait()


async def beating(calls, stalled):
    url, every = Secret(URL, "env:HEARTBEAT_URL"), timedelta(milliseconds=5)
    return asyncio.create_task(HeartbeatSender(url, every, calls, stalled).run())


async def end(task):
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_it_calls_start_then_success_while_there_is_progress():
    calls = Calls()
    task = await beating(calls, list)
    while len(calls.urls) < 3:
        await calls.next()
    await end(task)
    assert calls.urls[:3] == ["/start", "", ""]


async def test_when_progress_ends_it_fails_once_and_is_silent_until_it_goes_on():
    verdicts = iter([[], ["a channel has made no progress"], ["still"], ["still"], [], []])
    calls = Calls()
    task = await beating(calls, lambda: next(verdicts))
    while len(calls.urls) < 5:
        await calls.next()
    await end(task)
    assert calls.urls == ["/start", "", "/fail", "", ""]


async def test_a_switch_that_does_not_take_the_calls_is_logged_once_without_its_url():
    with structlog.testing.capture_logs() as logged:
        calls = Calls("answered 503")
        task = await beating(calls, list)
        while len(calls.urls) < 4:
            await calls.next()
        calls.error = None
        await calls.next()
        await calls.next()
        await end(task)
    assert [line["event"] for line in logged] == ["heartbeat_not_taken", "heartbeat_taken_again"]
    assert "hc-ping" not in str(logged)
