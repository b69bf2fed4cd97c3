"""The page as people meet it: the daemon and the web process as processes, and a real Chromium."""

import asyncio
import json
import re
import shutil
import socket
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import pytest
from playwright.async_api import Browser, BrowserContext, Page, async_playwright

READ, WRITE = "FAKE-read-token-0001", "FAKE-write-token-0002"
TOKENS = {"WEB_READ": READ, "WEB_WRITE": WRITE}
#: Secrets that the daemon is started with, and the web process is not.
KEYS = {f"KEY_{n}": f"sk-sim-FAKE-key-{n}-0001" for n in range(6)}

#: A name that a browser trusts less than the machine's own.
ELSEWHERE = "monitor.example"
TARGET = "acme-prod/gpt-image-2:images"

_SHUT = f"""
name = "web"
[[keys]]
name = "acme-prod"
secret = "{KEYS["KEY_0"]}"
organization = "org-acme"
"""
_OTHERS = f"""
[[keys]]
name = "acme-lab"
secret = "{KEYS["KEY_1"]}"
organization = "org-acme"
[keys.gate]
locked = "always"
[[keys]]
name = "example-empty"
secret = "{KEYS["KEY_2"]}"
organization = "org-example"
[[keys.blocks]]
what = "insufficient_quota"
[[keys]]
name = "relay-one"
secret = "{KEYS["KEY_3"]}"
contract = "provider"
[keys.gate]
open = "always"
[[keys]]
name = "pool-one"
secret = "{KEYS["KEY_4"]}"
organization = "org-pool"
[[keys]]
name = "pool-two"
secret = "{KEYS["KEY_5"]}"
organization = "org-pool"
[keys.gate]
open = "always"
"""
SCENARIO = _SHUT + _OTHERS
#: The same when the gate of acme-prod opened: played when a test has seen what it waits for.
OPENED = _SHUT + '[keys.gate]\nopen = "always"\n' + _OTHERS

SETTINGS = """
[monitor]
database = "sqlite:///monitor.db"
log_format = "json"
[routes.sim]
base_url = "{base_url}"
contract = "direct"
rate = 500.0
[routes.relay]
base_url = "{base_url}"
contract = "provider"
rate = 500.0
[[keys]]
name = "acme-prod"
secret = "env:KEY_0"
route = "sim"
organization = "org-acme"
watch = ["gpt-image-2"]
[[keys]]
name = "acme-lab"
secret = "env:KEY_1"
route = "sim"
organization = "org-acme"
watch = ["gpt-image-2"]
[[keys]]
name = "example-empty"
secret = "env:KEY_2"
route = "sim"
organization = "org-example"
watch = ["gpt-image-2"]
[[keys]]
name = "relay-one"
secret = "env:KEY_3"
route = "relay"
watch = ["gpt-image-2"]
[[pools]]
name = "pool-a"
secrets = "file:pool-a.keys"
route = "sim"
organization = "org-pool"
watch = ["gpt-image-2"]
[[channels]]
name = "ops"
url = "env:OPS_URL"
[[channels]]
name = "pager"
url = "env:PAGER_URL"
[[web.tokens]]
name = "reader"
secret = "env:WEB_READ"
[[web.tokens]]
name = "writer"
secret = "env:WEB_WRITE"
right = "write"
"""


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


class Site:
    """The web process beside a daemon, on the settings of a lab; both can be ended and started again."""

    def __init__(self, lab: Any, fast: str) -> None:
        self.lab = lab
        self._fast = fast
        self.port = free_port()
        self.web: asyncio.subprocess.Process | None = None
        self.daemon: asyncio.subprocess.Process | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/"

    @property
    def database(self) -> Path:
        return self.lab.folder / "monitor.db"

    def write_settings(self, *, tokens: bool, more: str = "") -> None:
        text = SETTINGS.format(base_url=self.lab.base_url or "http://127.0.0.1:9/v1")
        if not tokens:
            text = text.partition("[[web.tokens]]")[0]
        # what nobody takes is given up soon: there is something dead to show
        text += self._fast + 'give_up_after = "10s"\n' + more
        self.lab.settings.write_text(text)
        pool = self.lab.folder / "pool-a.keys"
        pool.write_text(f"{KEYS['KEY_4']}\n{KEYS['KEY_5']}\n")
        pool.chmod(0o600)

    async def watch(
        self, *, tokens: bool = False, more: str = "", environ: Mapping[str, str] | None = None
    ) -> None:
        """Start the stand-in for the API and the daemon."""
        await self.lab.simulate(SCENARIO)
        self.write_settings(tokens=tokens, more=more)
        # nobody listens there: what is for them dies
        urls = {"OPS_URL": "json://127.0.0.1:9/ops", "PAGER_URL": "json://127.0.0.1:9/pager"}
        self.daemon = await self.lab.daemon(**KEYS, **urls, **(environ or {}))
        await self.lab.told("unverified")

    async def serve(self, *arguments: str, **environ: str) -> None:
        """Start the web process; it has its own tokens, and no other secret."""
        log = self.lab.folder / "web.log"
        seen = log.read_text().count("web_started") if log.exists() else 0
        self.web = await self.lab.start(
            "web", "--config", str(self.lab.settings),
            "--listen", f"127.0.0.1:{self.port}", *arguments,
            environ={**TOKENS, **environ}, log="web",
        )  # fmt: skip

        def started() -> bool:
            assert self.web is not None
            assert self.web.returncode is None, log.read_text()
            return log.read_text().count("web_started") > seen

        await self.lab.until(started, "the web process")

    def logged(self) -> list[dict[str, Any]]:
        """The web process's log."""
        lines = (self.lab.folder / "web.log").read_text().splitlines()
        return [json.loads(line) for line in lines if line.startswith("{")]

    def client(self, token: str = "", **more: Any) -> httpx.AsyncClient:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        return httpx.AsyncClient(
            base_url=self.url, headers=headers, trust_env=False, verify=False, timeout=30, **more
        )

    async def declare(self, organization: str) -> None:
        """Tell the daemon of a completed verification."""
        ended = await self.lab.call(
            "declare", "verified", organization, "--config", str(self.lab.settings)
        )
        assert ended.status == 0, ended.err

    async def status(self) -> dict[str, str]:
        """Each target's state, as the database has it."""
        return dict(self.lab.ask("SELECT name, state FROM targets WHERE active"))

    async def reaches(self, state: str, target: str = TARGET) -> None:
        async def so() -> bool:
            return (await self.status()).get(target) == state

        await self.lab.until(so, f"{target} to be {state}")


@pytest.fixture
async def site(lab: Any, fast: str) -> Site:
    return Site(lab, fast)


class Viewer:
    """A browser with its windows. What a page says on its console is kept, and is a failure at the end."""

    def __init__(self, browser: Browser, stack: AsyncExitStack) -> None:
        self._browser = browser
        self._stack = stack
        self.complaints: list[str] = []
        self.expected: list[str] = []

    async def context(self, **more: Any) -> BrowserContext:
        context = await self._browser.new_context(**more)
        context.set_default_timeout(60_000)
        self._stack.push_async_callback(context.close)
        return context

    async def open(self, url: str, *, context: BrowserContext | None = None, **more: Any) -> Page:
        """A new window, or a new tab of a context, at this address."""
        page = await (context or await self.context(**more)).new_page()
        page.on("console", self._heard)
        page.on("pageerror", lambda error: self.complaints.append(f"{page.url}: {error}"))
        await page.goto(url)
        return page

    def _heard(self, message: Any) -> None:
        if message.type in ("error", "warning"):
            self.complaints.append(f"{message.location.get('url', '')}: {message.text}")

    @property
    def unexpected(self) -> list[str]:
        return [
            one
            for one in self.complaints
            if not any(re.search(pattern, one) for pattern in self.expected)
        ]


@pytest.fixture
async def viewer(anyio_backend: str) -> AsyncIterator[Viewer]:
    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.skip("there is no Chromium here: apt-get install chromium")
    async with AsyncExitStack() as stack:
        playwright = await stack.enter_async_context(async_playwright())
        browser = await playwright.chromium.launch(
            executable_path=chromium,
            args=[
                "--no-sandbox",
                "--disable-gpu",
                "--disable-background-networking",
                f"--host-resolver-rules=MAP {ELSEWHERE} 127.0.0.1",
            ],
        )
        stack.push_async_callback(browser.close)
        found = Viewer(browser, stack)
        yield found
        assert found.unexpected == []


@pytest.fixture
def pages() -> Mapping[str, str]:
    """Every page by name, below the root."""
    name = quote(TARGET, safe="")
    return {
        "overview": "",
        "overview, filtered": "?q=acme&state=locked&range=7d",
        "overview, a pool": "?pool=pool-a",
        "overview, nothing found": "?q=nothing",
        "target": f"target?name={name}",
        "target, open": f"target?name={quote('relay-one/gpt-image-2:images', safe='')}",
        "target, blocked": f"target?name={quote('example-empty/gpt-image-2:images', safe='')}",
        "evidence": f"evidence?name={name}",
        "propagation": "propagation",
        "notifications": "notifications",
        "notifications, dead": "notifications?state=dead",
        "silences": "silences",
        "silences, of a target": f"silences?pattern={name}",
        "api": "api",
        "not found": "nothing/here",
        "sign in": "login",
    }


@pytest.fixture
def tokens() -> dict[str, str]:
    return {"read": READ, "write": WRITE}


@pytest.fixture
def elsewhere() -> str:
    return ELSEWHERE


@pytest.fixture
def keys() -> Mapping[str, str]:
    return KEYS


@pytest.fixture
def target() -> str:
    return TARGET


@pytest.fixture
def opened() -> str:
    return OPENED


@pytest.fixture
def port() -> Callable[[], int]:
    return free_port


async def sign_in(page: Page, token: str) -> None:
    """Sign in as a person does."""
    await page.get_by_label("Token").fill(token)
    await page.get_by_role("button", name="Sign in").click()
    await page.wait_for_load_state()


@pytest.fixture
def signed_in() -> Callable[[Page, str], Any]:
    return sign_in
