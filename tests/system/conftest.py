"""The installed command as processes, and real ends for what it sends: Slack over TLS, mail with AUTH."""

import asyncio
import json
import os
import re
import signal
import sqlite3
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, closing, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.message import EmailMessage
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest
from mail_server import MailServer, certificate, server_tls, text_of
from postgres_server import PostgresServer
from warm_command import COMMAND, fork, forked

HERE = Path(__file__).parent
SLACK_URL = "https://hooks.slack.com/services/TFAKE0001/BFAKE0002/fakeFAKEfakeFAKEfake0003"
#: Seconds; a loaded machine takes ten times as long as a quiet one.
PATIENCE = 150.0

#: Every duration of the cadence table, small enough to live an hour in seconds.
FAST = """
[cadence]
eager = "300ms"
settling = "1200ms"
deciding = "500ms"
listing = "2s"
blocked = "1s"
locked = "2s"
inconclusive = "300ms"
image_gap = "1ms"
image_gap_limited = "200ms"
image_gap_limited_for = "1s"

[confirmation]
confirmation_span = "1s"

[delivery]
group_within = "50ms"
retry_first = "200ms"
retry_most = "1s"
"""


@dataclass
class Arrival:
    """One message as it came in, and when (seconds since the epoch)."""

    text: str
    at: float

    @property
    def ids(self) -> list[int]:
        """The ids of the events it tells."""
        return [int(number) for number in dict.fromkeys(re.findall(r"\[#(\d+)\]", self.text))]


@dataclass
class End:
    """A receiver that can be down."""

    arrivals: list[Arrival] = field(default_factory=list)
    down: bool = False
    refused: int = 0

    def take(self, text: str) -> bool:
        if self.down:
            self.refused += 1
            return False
        self.arrivals.append(Arrival(text, datetime.now(UTC).timestamp()))
        return True

    @property
    def ids(self) -> list[int]:
        return [id_ for arrival in self.arrivals for id_ in arrival.ids]


class Slack(End):
    """Slack behind a proxy: takes CONNECT, speaks TLS as hooks.slack.com, wants Slack's payload."""

    async def connected(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, tls: ssl.SSLContext
    ) -> None:
        try:
            request = await reader.readuntil(b"\r\n\r\n")
            assert request.startswith(b"CONNECT hooks.slack.com:443 ")
            writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
            await writer.start_tls(tls)
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = int(re.search(rb"(?i)content-length: (\d+)", head)[1])
                body = json.loads(await reader.readexactly(length))
                path = head.split(b" ", 2)[1].decode()
                good = SLACK_URL.endswith(path) and "attachments" in body
                taken = good and self.take(json.dumps(body, ensure_ascii=False))
                answer = b"ok" if taken else b"no_service"
                status = b"200 OK" if taken else b"503 Unavailable"
                writer.write(
                    b"HTTP/1.1 %s\r\nContent-Length: %d\r\n\r\n%s" % (status, len(answer), answer)
                )
        except (asyncio.IncompleteReadError, ConnectionError, ssl.SSLError):
            pass
        finally:
            writer.close()


class Mailbox(End, MailServer):
    """A mail server that can be down, too."""

    #: the last mail it took
    last: EmailMessage

    def took(self, mail: EmailMessage) -> bool:
        self.last = mail
        return self.take(text_of(mail))


@dataclass
class Ended:
    """A process that ended."""

    status: int
    out: str
    err: str


class Lab:
    """A folder with settings, a simulator process, daemon processes, and the two ends."""

    def __init__(self, folder: Path, stack: AsyncExitStack, *, forks: bool = True) -> None:
        self.folder = folder
        #: whether `call` forks the command, or starts what is installed
        self._forks = forks
        self.slack = Slack()
        self.mail = Mailbox()
        self.environ: dict[str, str] = {"PATH": os.environ["PATH"], "HOME": str(folder)}
        self.base_url = ""
        self._stack = stack
        # to make one that knows all authorities takes longer than many answers
        self._client = httpx.AsyncClient(trust_env=False, verify=False, timeout=10)
        stack.push_async_callback(self._client.aclose)
        #: the PostgreSQL that the settings name, else a file of theirs
        self.server: PostgresServer | None = None
        self._connection: psycopg.Connection[Any] | None = None

    def start_server(self) -> str:
        """Start a PostgreSQL, and return what the settings say of it."""
        self.server = PostgresServer(durable=True)
        self._stack.callback(self.server.close)
        self._stack.callback(self._disconnect)
        self.environ["DATABASE_URL"] = self.server.url()
        return "env:DATABASE_URL"

    def _disconnect(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    @property
    def settings(self) -> Path:
        return self.folder / "access-monitor.toml"

    async def open_ends(self) -> None:
        """Start Slack and the mail server, and point the daemon's environment at them."""
        pem = certificate(self.folder, "hooks.slack.com")
        tls = server_tls(pem)
        proxy = await asyncio.start_server(
            lambda reader, writer: self.slack.connected(reader, writer, tls), "127.0.0.1", 0
        )
        mail = await self.mail.listen(server_tls(certificate(self.folder, "mail.example")))
        for one in (proxy, mail):
            self._stack.callback(one.close)
        self.environ |= {
            "HTTPS_PROXY": f"http://127.0.0.1:{proxy.sockets[0].getsockname()[1]}",
            "NO_PROXY": "127.0.0.1",
            "REQUESTS_CA_BUNDLE": str(pem),
            "SLACK_URL": SLACK_URL,
            "MAIL_URL": self.mail.url(),
        }

    async def simulate(self, scenario: str) -> None:
        """Start the simulator as a process, and learn its base URL."""
        path = self.folder / "scenario.toml"
        path.write_text(scenario)
        words = ("simulate", "--scenario", str(path), "--listen", "127.0.0.1:0")
        log = self.folder / "simulate.log"
        process = fork(words, self.folder, self.environ, log, log)
        self._stack.callback(process.join)
        self._stack.callback(process.kill)

        def listening() -> bool:
            assert process.is_alive(), log.read_text()
            found = re.search(r"^http://127\.0\.0\.1:.*$", log.read_text(), re.MULTILINE)
            self.base_url = found[0] if found else ""
            return bool(found)

        log.touch()
        await self.until(listening, "the simulator to listen")

    async def replay(self, scenario: str) -> None:
        """Have the simulator play another scenario, from its beginning."""
        answer = await self._simulator("POST", "scenario", content=scenario)
        assert answer.status_code == 200, answer.text

    async def ledger(self) -> Any:
        """What the simulator answered and billed."""
        return (await self._simulator("GET", "ledger")).json()

    async def totals(self) -> Any:
        """The same without each answer."""
        return (await self._simulator("GET", "ledger?totals=1")).json()

    async def _simulator(self, method: str, path: str, **more: Any) -> httpx.Response:
        url = f"{self.base_url.removesuffix('/v1')}/sim/{path}"
        return await self._client.request(method, url, **more)

    async def start(
        self, *arguments: str, environ: Mapping[str, str] | None = None, log: str = ""
    ) -> asyncio.subprocess.Process:
        """Start the command; it is ended with the test if it still runs then."""
        return await self.launch(str(COMMAND), *arguments, environ=environ, log=log)

    async def launch(
        self, program: str, *arguments: str, environ: Mapping[str, str] | None = None, log: str = ""
    ) -> asyncio.subprocess.Process:
        """Start a program, in the same way; it writes to the log of its command, or to that one."""
        name = "run" if "run" in arguments else arguments[0]
        with (self.folder / f"{log or name}.log").open("ab") as file:
            process = await asyncio.create_subprocess_exec(
                program, *arguments, cwd=self.folder, env={**self.environ, **(environ or {})},
                stdout=file if log or name == "run" else asyncio.subprocess.PIPE, stderr=file,
            )  # fmt: skip
        self._stack.push_async_callback(_end, process)
        return process

    async def daemon(self, **environ: str) -> asyncio.subprocess.Process:
        """Start the daemon on the settings file."""
        return await self.start("run", "--config", str(self.settings), environ=environ)

    async def page(self, **environ: str) -> tuple[asyncio.subprocess.Process, str]:
        """Start the page on the settings file. Returns its process, and its address with a slash."""
        words = ("web", "--config", str(self.settings), "--listen", "127.0.0.1:0")
        process = await self.start(*words, environ=environ, log="web")
        return process, await self.page_address(process)

    async def page_address(self, process: asyncio.subprocess.Process) -> str:
        """Where a page listens that writes its log to `web.log`."""
        log, found = self.folder / "web.log", ""

        def listening() -> bool:
            nonlocal found
            match = re.search(r".*web_started.*", log.read_text())
            match = match and re.search(r"http://[\d.:]+/", match[0])
            found = match[0] if match else ""
            return bool(found) or process.returncode is not None

        await self.until(listening, "the page to listen")
        assert found, log.read_text()
        return found

    async def call(self, *arguments: str, **environ: str) -> Ended:
        """Run the command to its end."""
        own = self.environ | environ
        if self._forks:
            async with asyncio.timeout(PATIENCE):
                return Ended(*await forked(arguments, self.folder, own))
        process = await asyncio.create_subprocess_exec(
            COMMAND, *arguments, cwd=self.folder, env=own,
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        out, err = await asyncio.wait_for(process.communicate(), PATIENCE)
        assert process.returncode is not None
        return Ended(process.returncode, out.decode(), err.decode())

    async def history(self) -> list[dict[str, Any]]:
        """The history, oldest first; empty before there is a database."""
        ended = await self.call("history", "--config", str(self.settings), "--format", "json")
        return json.loads(ended.out) if ended.status == 0 else []

    def logged(self, event: str) -> list[dict[str, Any]]:
        """The daemon's log entries of this event."""
        lines = (self.folder / "run.log").read_text().splitlines()
        rows = [json.loads(line) for line in lines if line.startswith("{") and f'"{event}"' in line]
        return [row for row in rows if row["event"] == event]

    async def until(
        self, condition: Callable[[], Awaitable[bool] | bool], what: str, patience: float = PATIENCE
    ) -> None:
        """Wait until something is so."""
        deadline = asyncio.get_running_loop().time() + patience
        while True:
            found = condition()
            if not isinstance(found, bool):
                found = await found
            if found:
                return
            if asyncio.get_running_loop().time() > deadline:
                log = self.folder / "run.log"
                tail = log.read_text()[-3000:] if log.exists() else ""
                pytest.fail(f"waited {patience:g} s for {what}\n{tail}")
            await asyncio.sleep(0.05)

    async def told(self, *events: str, count: int = 1) -> None:
        """Wait until the history has `count` events of these kinds."""
        query = f"SELECT id FROM events WHERE kind IN ({', '.join('?' * len(events))})"
        await self.until(
            lambda: len(self.ask(query, *events)) >= count, f"{count} of {events} in the history"
        )

    def ask(self, query: str, *values: object) -> list[tuple[Any, ...]]:
        """Rows of the database; none before there is one, or while it cannot be read.

        A command for each query would take what the daemon needs.
        """
        if self.server:
            for _ in range(2):  # what was connected before the server went is of no use
                with suppress(psycopg.Error):
                    if self._connection is None:
                        self._connection = psycopg.connect(self.server.url(), autocommit=True)
                    return self._connection.execute(
                        query.replace("?", "%s"), values or None
                    ).fetchall()
                self._disconnect()
            return []
        text = self.settings.read_text() if self.settings.exists() else ""
        named = re.search(r'database = "sqlite:///([^"]+)"', text)
        path = self.folder / (named[1] if named else "monitor.db")
        with (
            suppress(sqlite3.Error),
            closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as database,
        ):
            return database.execute(query, values).fetchall()
        return []


async def _end(process: asyncio.subprocess.Process) -> None:
    if process.returncode is None:
        process.send_signal(signal.SIGKILL)
    await process.wait()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what `make test-system` runs: all that is here but the smoke tests."""
    for item in items:
        if HERE in item.path.parents and not item.get_closest_marker("smoke"):
            item.add_marker("system")


@pytest.fixture(scope="session", autouse=True)
def interruptible() -> None:
    """A shell's background job ignores signals, and so would every process started from it."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for number in (signal.SIGHUP, signal.SIGQUIT):
        signal.signal(number, signal.SIG_DFL)


@pytest.fixture
async def lab(
    tmp_path: Path, anyio_backend: str, request: pytest.FixtureRequest
) -> AsyncIterator[Lab]:
    async with AsyncExitStack() as stack:
        yield Lab(tmp_path, stack, forks=not request.node.get_closest_marker("smoke"))


@pytest.fixture
def certified(tmp_path: Path) -> Callable[..., Path]:
    """Makes a certificate and its key in the lab's folder: for a name, and for how many days."""
    return partial(certificate, tmp_path)


@pytest.fixture
def fast() -> str:
    return FAST


@pytest.fixture
def new_lab() -> type[Lab]:
    """For tests that need more than one."""
    return Lab
