"""What the benchmarks share: N keys as settings and as a scenario, processes, figures from /proc, two ends.

The daemon has one core for itself (the first that this process may use), the simulator, the receivers
and the driver have the others; where there is only one they share it, and the figures show it.
"""

import asyncio
import json
import logging
import os
import platform
import random
import re
import sqlite3
import sys
import time
import warnings
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass, field
from datetime import datetime
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import httpx

# a benchmark is a script of its own: pytest's paths are not there
sys.path.insert(0, str(Path(__file__).parents[1] / "support"))
from mail_server import MailServer, certificate, server_tls, text_of

# It warns of its own attributes, once a connection.
logging.getLogger("mail.log").setLevel(logging.ERROR)
warnings.filterwarnings("ignore", module="aiosmtpd")

COMMAND = Path(sys.executable).with_name("access-monitor")
PROFILED = Path(__file__).with_name("profiled.py")
#: A gated capability without the image surfaces' gap between the probes of an organization.
CAPABILITY = "gpt-5.1:summary"
#: The most that the settings let one route send in a second is 1,000: more keys, more routes.
KEYS_PER_ROUTE = 2_500
PATIENCE = 120.0

_CORES = sorted(os.sched_getaffinity(0))
DAEMON_CORE = _CORES[0]
OTHER_CORES = _CORES[1:] or _CORES
_TICK = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Key:
    """One key of a benchmark: who it belongs to, and when its gate opens (seconds), if it does."""

    name: str
    organization: str | None = None
    opens: float | None = None

    @property
    def secret(self) -> str:
        """A visibly fake secret."""
        return f"sk-sim-FAKE-{self.name}-0001"

    @property
    def target(self) -> str:
        """The name of its target."""
        return f"{self.name}/{CAPABILITY}"


def many(count: int) -> list[Key]:
    """So many keys of as many organizations, all shut."""
    return [Key(f"key-{number:05d}") for number in range(count)]


#: What befalls a share of the probes: an error of the server, a refusal for a while, and silence.
FAULTS = "".join(
    f'[[keys.faults]]\nwhat = "{what}"\nprobability = {share}\n{more}\n'
    for what, share, more in (
        ("overloaded", 0.025, ""),
        ("rate_limited", 0.015, "retry_after = 20.0"),
        ("timeout", 0.01, "seconds = 30.0"),
    )
)


def scenario(keys: Sequence[Key], *, faults: bool = False) -> str:
    """The simulator's scenario for the keys: answers take 50 to 150 ms, as over a network."""
    parts = ['name = "bench"', 'about = "a benchmark"']
    for number, key in enumerate(keys):
        organization = key.organization or f"org-{key.name}"
        parts.append(
            f'[[keys]]\nname = "{key.name}"\nsecret = "{key.secret}"\norganization = "{organization}"'
        )
        if key.opens is not None:
            parts.append(f'[keys.capabilities."{CAPABILITY}"]\nopen = {key.opens}')
        seconds = 0.05 + number % 101 / 1000
        parts.append(f'[[keys.faults]]\nwhat = "slow"\nseconds = {seconds}')
        parts.append(FAULTS if faults else "")
    return "\n".join(parts)


def settings(
    base_url: str, keys: Sequence[Key], folder: Path, *, every: str = "10s", more: str = ""
) -> str:
    """The daemon's settings for the keys; their secrets are written into one file each."""
    secrets = folder / "secrets"
    secrets.mkdir(exist_ok=True)
    # The token bucket and the month's budget are raised: defaults are for tens of keys.
    parts = [
        '[monitor]\ndatabase = "sqlite:///monitor.db"\nlog_format = "json"',
        "[budget]\nper_month = 1000.0",
        f'[cadence]\neager = "{every}"',
        more,
    ]
    routes = -(-len(keys) // KEYS_PER_ROUTE)
    parts += [
        f'[routes.sim-{number}]\nbase_url = "{base_url}"\ncontract = "direct"\nrate = 1000.0'
        for number in range(routes)
    ]
    for number, key in enumerate(keys):
        (secrets / key.name).touch(mode=0o600)
        (secrets / key.name).write_text(key.secret)
        organization = f'organization = "{key.organization}"\n' if key.organization else ""
        parts.append(
            f'[[keys]]\nname = "{key.name}"\nsecret = "file:secrets/{key.name}"\n{organization}'
            f'route = "sim-{number % routes}"\nwatch = ["{CAPABILITY}"]'
        )
    return "\n".join(parts)


def machine() -> dict[str, Any]:
    """Which machine this is."""
    found = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
    return {
        "processor": found[1] if found else platform.machine(),
        "cores": len(_CORES),
        "python": platform.python_version(),
    }


class Machine:
    """How busy the machine was between two moments, and how much of it was others' work."""

    def __init__(self, *processes: asyncio.subprocess.Process) -> None:
        self._pids = [process.pid for process in processes]
        self._busy, self._own, self._at = _busy(), self._used(), time.monotonic()

    def others(self) -> float:
        """Cores that others kept busy since then."""
        elapsed = time.monotonic() - self._at
        return max(0.0, (_busy() - self._busy) - (self._used() - self._own)) / elapsed

    def _used(self) -> float:
        return sum(map(processor_seconds, self._pids)) + time.process_time()


def _busy() -> float:
    fields = Path("/proc/stat").read_text().splitlines()[0].split()[1:]
    user, nice, system, _, _, irq, soft, steal = map(int, fields[:8])
    return (user + nice + system + irq + soft + steal) / _TICK


def processor_seconds(pid: int, *, loop: bool = False) -> float:
    """User and system time that a process has used; that of its first thread, the loop's, alone."""
    which = f"/proc/{pid}/task/{pid}/stat" if loop else f"/proc/{pid}/stat"
    fields = Path(which).read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICK


def memory_mb(pid: int, what: str = "VmHWM") -> float:
    """A process's peak memory, or another row of its status, in MB."""
    text = Path(f"/proc/{pid}/status").read_text()
    return int(re.search(rf"{what}:\s+(\d+)", text)[1]) / 1000


def percentile(values: Sequence[float], share: float) -> float:
    """The value that this share of the values does not pass; nan for none."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else float("nan")


@dataclass
class End:
    """A receiver: each message's events, and when it came (seconds since the epoch)."""

    port: int = 0
    messages: int = 0
    #: events that came once more
    doubled: int = 0
    at: dict[int, float] = field(default_factory=dict)

    def take(self, text: str) -> None:
        """One message came in."""
        now = time.time()
        self.messages += 1
        for number in {int(found) for found in re.findall(r"\[#(\d+)\]", text)}:
            self.doubled += number in self.at
            self.at.setdefault(number, now)


class Webhook(End):
    """Takes any POST and answers 200, but for a share that it refuses with 503."""

    refuses = 0.0
    _dice = random.Random(1)

    async def connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection."""
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = int(re.search(rb"(?i)content-length: (\d+)", head)[1])
                text = (await reader.readexactly(length)).decode()
                if self._dice.random() < self.refuses:
                    writer.write(b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n")
                    continue
                self.take(text)
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()


class Mailbox(End, MailServer):
    """The mails that came."""

    def took(self, mail: EmailMessage) -> bool:
        """Keep its text."""
        self.take(text_of(mail))
        return True


class Lab:
    """A folder with settings, the simulator and the daemon as processes, and two ends."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.base_url = ""
        self.webhook, self.mailbox = Webhook(), Mailbox()
        self._processes: list[asyncio.subprocess.Process] = []
        self._servers: list[asyncio.Server] = []
        self._environ = {"PATH": os.environ["PATH"], "HOME": str(folder), "NO_PROXY": "127.0.0.1"}

    @property
    def database(self) -> Path:
        """The daemon's database."""
        return self.folder / "monitor.db"

    @property
    def config(self) -> Path:
        """The daemon's settings file."""
        return self.folder / "access-monitor.toml"

    async def open_ends(self, *, mail: bool = True) -> str:
        """Start a webhook and, if wanted, a mail server; the settings of the channels."""
        webhook = await asyncio.start_server(self.webhook.connected, "127.0.0.1", 0)
        self._servers.append(webhook)
        self.webhook.port = webhook.sockets[0].getsockname()[1]
        self._environ["HOOK"] = f"json://127.0.0.1:{self.webhook.port}/hook"
        channels = '[[channels]]\nname = "hook"\nurl = "env:HOOK"\n'
        return channels + await self._open_mail() if mail else channels

    async def _open_mail(self) -> str:
        tls = server_tls(certificate(self.folder, "mail.example"))
        self._servers.append(await self.mailbox.listen(tls))
        self._environ["MAIL"] = self.mailbox.url()
        return '[[channels]]\nname = "mail"\nurl = "env:MAIL"'

    async def simulate(self, text: str) -> asyncio.subprocess.Process:
        """Start the simulator as a process, and learn its base URL."""
        path = self.folder / "scenario.toml"
        path.write_text(text)
        arguments = ["simulate", "--scenario", str(path), "--listen", "127.0.0.1:0"]
        process = await self._start([str(COMMAND), *arguments], OTHER_CORES, "simulate.log")
        assert process.stdout is not None
        self.base_url = (
            (await asyncio.wait_for(process.stdout.readline(), PATIENCE)).decode().strip()
        )
        return process

    async def play(self, text: str) -> None:
        """Have the simulator play another scenario, from its beginning."""
        await self._ask("POST", "/sim/scenario", text.encode())

    async def daemon(self, *, profile: Path | None = None) -> asyncio.subprocess.Process:
        """Start the daemon on its own core, under the profiler if a file is given for its figures."""
        program = (
            [str(COMMAND)] if profile is None else [sys.executable, str(PROFILED), str(profile)]
        )
        arguments = [*program, "run", "--config", str(self.config)]
        return await self._start(arguments, [DAEMON_CORE], "run.log")

    async def web(self, *, beside: bool = False) -> tuple[asyncio.subprocess.Process, int]:
        """Start the page as deploy/ does, on a core of its own unless `beside` a daemon; and its port."""
        arguments = [str(COMMAND), "web", "--config", str(self.config), "--listen", "127.0.0.1:0"]
        cores = OTHER_CORES if beside else [DAEMON_CORE]
        (self.folder / "web.log").unlink(missing_ok=True)
        process = await self._start(arguments, cores, "web.log", {"MALLOC_ARENA_MAX": "1"})
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline and process.returncode is None:
            said = (self.folder / "web.log").read_text()
            ports = re.findall(r"http://127\.0\.0\.1:(\d+)/", said)
            if ports and '"event": "web_started"' in said.splitlines()[-1]:
                return process, int(ports[-1])
            await asyncio.sleep(0.1)
        raise RuntimeError((self.folder / "web.log").read_text()[-3000:])

    async def started(self, daemon: asyncio.subprocess.Process) -> float:
        """Wait until the daemon said that it has started; when that was (seconds since the epoch)."""
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline and daemon.returncode is None:
            for line in (self.folder / "run.log").read_text().splitlines():
                if '"event": "started"' in line:
                    return datetime.fromisoformat(json.loads(line)["timestamp"]).timestamp()
            await asyncio.sleep(0.1)
        raise RuntimeError((self.folder / "run.log").read_text()[-3000:])

    async def totals(self) -> dict[str, Any]:
        """The simulator's totals."""
        return await self._ask("GET", "/sim/ledger?totals=1")

    async def ledger(self, since: int = 0) -> list[dict[str, Any]]:
        """What the simulator answered after that entry."""
        return (await self._ask("GET", f"/sim/ledger?since={since}"))["log"]

    async def call(self, *arguments: str, stdin: str = "") -> tuple[float, int, str]:
        """Run the command to its end: seconds, exit status, output."""
        began = time.perf_counter()
        process = await asyncio.create_subprocess_exec(
            str(COMMAND), *arguments, cwd=self.folder, env=self._environ,
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )  # fmt: skip
        out, _ = await asyncio.wait_for(process.communicate(stdin.encode()), PATIENCE)
        return time.perf_counter() - began, process.returncode or 0, out.decode()

    def ask(self, query: str, *values: Any) -> list[tuple[Any, ...]]:
        """Rows of the database, read beside the daemon."""
        with closing(
            sqlite3.connect(f"{self.database.as_uri()}?mode=ro", uri=True, timeout=10)
        ) as connection:
            return connection.execute(query, values).fetchall()

    def stored(self) -> tuple[int, int]:
        """Bytes of the database's file, and of the write-ahead file beside it."""
        log = Path(f"{self.database}-wal")
        return self.database.stat().st_size, log.stat().st_size if log.exists() else 0

    async def close(self) -> None:
        """End what still runs."""
        for process in self._processes:
            if process.returncode is None:
                process.kill()
            await process.wait()
        for server in self._servers:
            server.close()

    async def _start(
        self,
        program: list[str],
        cores: Sequence[int],
        log: str,
        more: Mapping[str, str] | None = None,
    ) -> asyncio.subprocess.Process:
        listed = ",".join(map(str, cores))
        with (self.folder / log).open("ab") as file:
            process = await asyncio.create_subprocess_exec(
                "taskset", "-c", listed, *program, cwd=self.folder, env=self._environ | dict(more or {}),
                stdout=asyncio.subprocess.PIPE if "simulate" in program else file, stderr=file,
            )  # fmt: skip
        self._processes.append(process)
        return process

    async def _ask(self, method: str, path: str, content: bytes | None = None) -> Any:
        async with httpx.AsyncClient(trust_env=False, timeout=60) as client:
            url = self.base_url.removesuffix("/v1") + path
            response = await client.request(method, url, content=content)
            response.raise_for_status()
            return response.json()


@asynccontextmanager
async def lab(folder: Path) -> AsyncIterator[Lab]:
    """A lab in a new folder, ended with its processes."""
    folder.mkdir(parents=True)  # noqa: ASYNC240 - nothing else runs yet
    os.sched_setaffinity(0, OTHER_CORES)
    one = Lab(folder)
    try:
        yield one
    finally:
        await one.close()
