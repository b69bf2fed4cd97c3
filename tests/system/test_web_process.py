"""The page as a process: what it tells its service manager, and when it does not start."""

import contextlib
import signal
import socket

import pytest

pytestmark = pytest.mark.anyio

SETTINGS = """
[monitor]
database = "sqlite:///monitor.db"
[[keys]]
name = "acme"
secret = "env:NOT_SET"
watch = ["gpt-image-2"]
"""


async def test_it_tells_the_service_manager_that_it_is_up_and_that_it_stops(lab):
    lab.settings.write_text(SETTINGS)
    with contextlib.closing(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)) as end:
        end.bind(str(lab.folder / "notify"))
        end.setblocking(False)
        page, url = await lab.page(NOTIFY_SOCKET=str(lab.folder / "notify"))
        assert end.recv(1000).decode() == f"READY=1\nSTATUS=at {url}; 0 pages watched live"
        page.send_signal(signal.SIGTERM)
        assert await page.wait() == 0
        assert end.recv(1000).decode() == "STOPPING=1\nSTATUS=stopping"


async def test_where_anybody_could_read_it_is_the_settings_that_are_wrong(lab):
    lab.settings.write_text(SETTINGS)
    ended = await lab.call("web", "--config", str(lab.settings), "--listen", "0.0.0.0:0")
    assert ended.status == 2
    assert "there are no tokens: add [[web.tokens]]" in ended.err


async def test_an_address_that_is_taken_is_said(lab):
    lab.settings.write_text(SETTINGS)
    _, url = await lab.page()
    listen = url.removeprefix("http://").rstrip("/")
    ended = await lab.call("web", "--config", str(lab.settings), "--listen", listen)
    assert ended.status == 1
    assert f"cannot listen on {listen}: " in ended.err
