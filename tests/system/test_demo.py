"""The demo: its page is there from the first line to the end, and has none of its secrets."""

import asyncio
import os
import re
import signal
from pathlib import Path

import httpx
import pytest

from monitor.simulator import load_scenario

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(150)]


@pytest.fixture
async def demo(lab):
    """The demo as a process, and the address that it prints first."""
    process = await lab.start("demo", "--seconds", "60")
    line = await asyncio.wait_for(process.stdout.readline(), 60)
    found = re.fullmatch(r"Watch it in a browser: (http://127\.0\.0\.1:\d+/)\n", line.decode())
    assert found, line
    return process, found[1]


def started_by(process, word: str) -> int:
    """The process that a process has started with this word on its command line."""
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    (one,) = (
        pid
        for pid in children
        if word.encode() in Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    )
    return int(one)


def environ_of(pid: int) -> bytes:
    return Path(f"/proc/{pid}/environ").read_bytes()


@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="looks into /proc")
async def test_its_page_shows_eight_targets_has_no_secret_and_ends_with_it(lab, demo):
    process, address = demo
    async with httpx.AsyncClient(trust_env=False, base_url=address, timeout=10) as client:

        async def shows_eight() -> bool:
            answer = await client.get("")
            return "of 8 targets" in answer.text

        await lab.until(shows_eight, "eight targets on the page")
        daemon, page = started_by(process, "run"), started_by(process, "web")
        secrets = [key.secret.encode() for key in load_scenario("demo").keys]
        around = {pid: environ_of(pid) for pid in (daemon, page)}
        assert all(secret in around[daemon] for secret in secrets)
        assert not any(secret in around[page] for secret in secrets)
        assert b"DEMO_" not in around[page]

        process.send_signal(signal.SIGINT)
        assert await asyncio.wait_for(process.wait(), 30) == 130
        with pytest.raises(httpx.ConnectError):
            await client.get("")
    for pid in (daemon, page):
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)
