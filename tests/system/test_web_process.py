"""The page as a process: what it tells its service manager, and when it does not start."""

import contextlib
import re
import signal
import socket
from datetime import UTC, datetime

import httpx
import pytest

from monitor.access.target import Capability, Target
from monitor.access.words import Contract, Surface
from monitor.store.recorder import Recorder

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


async def test_what_is_no_database_is_logged_once_and_the_page_goes_on(lab):
    lab.settings.write_text(SETTINGS)
    (lab.folder / "monitor.db").write_text("no database at all")
    _, url = await lab.page()
    async with httpx.AsyncClient(base_url=url, trust_env=False) as client:
        assert (await client.get("")).status_code == 503
    log = (lab.folder / "web.log").read_text()
    assert log.count("database_not_read") == 1
    assert "file is not a database" in log


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


async def test_it_loads_nothing_of_what_only_the_daemon_and_commands_need(lab):
    """SQLAlchemy alone takes as much memory as all that the page needs of other libraries."""
    token = "FAKE-token-of-the-page-0001"
    lab.settings.write_text(
        f'{SETTINGS}[[web.tokens]]\nname = "ops"\nsecret = "env:PAGE_TOKEN"\nright = "write"\n'
    )
    target = Target("acme", Capability("gpt-image-2", Surface.IMAGES), "openai", Contract.DIRECT)
    recorder = await Recorder.open(lab.folder / "monitor.db", clock=lambda: datetime.now(UTC))
    await recorder.register([target])
    await recorder.aclose()
    page, url = await lab.page(PAGE_TOKEN=token, PYTHONPROFILEIMPORTTIME="1")
    client = httpx.AsyncClient(
        base_url=url, headers={"Authorization": f"Bearer {token}"}, trust_env=False
    )
    async with client:
        name = {"name": target.name}
        pages = (
            "",
            "target",
            "evidence",
            "propagation",
            "notifications",
            "silences",
            "api",
            "healthz",
        )
        data = "status", "history", "propagation", "target", "evidence", "routes", "notifications"
        for place in (*pages, *(f"api/v1/{one}" for one in (*data, "silences", "openapi.json"))):
            assert (await client.get(place, params=name)).status_code == 200, place
        handed = await client.post("api/v1/probes", json={"target": target.name})
        assert handed.status_code == 202, handed.text
    page.terminate()
    await page.wait()
    log = (lab.folder / "web.log").read_text()
    loaded = set(re.findall(r"import time:.*\| +([\w.]+)$", log, re.MULTILINE))
    assert {"aiohttp", "jinja2", "sqlite3", "structlog"} <= loaded
    # structlog asks for rich, and does not get it: the parts of rich would be here
    unwanted = {
        "alembic",
        "apprise",
        "apscheduler",
        "httpx",
        "rich.console",
        "sqlalchemy",
        "sqlmodel",
    }
    assert loaded & unwanted == set()
