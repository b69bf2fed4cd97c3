"""The demo itself: simulator, receivers, a real daemon and its page, shown while they work."""

import asyncio
import contextlib
import json
import os
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping
from datetime import UTC, datetime
from email import message_from_bytes
from email.header import decode_header, make_header
from pathlib import Path
from typing import Any

from aiohttp import web
from aiosmtpd.smtp import SMTP, Envelope, Session

from monitor.cli.common import Exit
from monitor.cli.history import print_history
from monitor.simulator import Scenario, Simulator, load_scenario
from monitor.store import queries, status_queries
from monitor.store.errors import StoreError

#: Seconds within which the daemon stops when asked.
_STOP = 10
#: Bytes of one message; the daemon's are a few thousand.
_MOST = 1024 * 1024
#: What each key of the scenario watches.
_WATCH = {
    "acme-prod": ["gpt-image-2", "gpt-5.1:summary"],
    "acme-lab": ["gpt-image-2"],
    "acme-stray": ["gpt-image-2"],
    "example-old": ["gpt-image-1"],
    "example-empty": ["gpt-image-2"],
    "example-new": ["gpt-image-2"],
    "relay-one": ["gpt-image-2"],
}

_FIGURES = """
[cadence]               # a minute of the demo is a good hour of life
eager = "1s"
eager_for = "1h"
settling = "2500ms"
deciding = "1s"
listing = "5s"
locked = "10s"
blocked = "4s"
inconclusive = "1s"
image_gap = "300ms"
image_gap_limited = "1s"
image_gap_limited_for = "3s"

[confirmation]
confirmation_span = "2s"

[deadlines]
overdue = ["12s", "10m"]

[delivery]
group_within = "2s"
"""


async def show(seconds: int) -> Exit:
    """Run the demo for that long. Returns DONE when all went as it should."""
    with tempfile.TemporaryDirectory(prefix="access-monitor-demo-") as name:
        screen = _Screen(Path(name))
        simulator = Simulator(load_scenario("demo"))
        base_url = await simulator.start()
        try:
            receivers = Receivers(screen.arrived)
            async with receivers.listening():
                return await _play(screen, simulator, receivers, base_url, seconds)
        finally:
            await simulator.stop()


class _Screen:
    """The temporary folder, and what is printed: lines that stay, and one that moves on a terminal."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.began = time.monotonic()
        self._terminal = sys.stdout.isatty()
        self._moving = False

    def say(self, text: str = "") -> None:
        if self._moving:
            print("\r\x1b[K", end="")
            self._moving = False
        print(text, flush=True)

    def arrived(self, end: str, title: str) -> None:
        self.say(f"{self.seconds:5.1f} s  {end:<7}  {title}")

    def progress(self, text: str) -> None:
        if self._terminal:
            print(f"\r\x1b[K{text[:110]}", end="", flush=True)
            self._moving = True
        elif round(self.seconds) % 10 == 0:
            self.say(text)

    @property
    def seconds(self) -> float:
        return time.monotonic() - self.began


class Receivers:
    """Takes notifications and calls `arrived` with the end's name and the title, as they arrive."""

    def __init__(self, arrived: Callable[[str, str], None]) -> None:
        self._arrived = arrived
        self.counts = {"webhook": 0, "mail": 0}

    @contextlib.asynccontextmanager
    async def listening(self) -> AsyncIterator[None]:
        """Take them while the block runs, at `webhook_url` and `mail_url`."""
        app = web.Application(client_max_size=_MOST)
        app.router.add_post("/hook", self._hook)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        mail = await asyncio.get_running_loop().create_server(
            lambda: SMTP(self, data_size_limit=_MOST, enable_SMTPUTF8=True), "127.0.0.1", 0
        )
        self.webhook_url = f"json://127.0.0.1:{runner.addresses[0][1]}/hook"
        port = mail.sockets[0].getsockname()[1]
        self.mail_url = (
            f"mailto://127.0.0.1:{port}?from=monitor@acme.example&to=ops@acme.example&mode=insecure"
        )
        try:
            yield
        finally:
            mail.close()
            await runner.cleanup()

    async def _hook(self, request: web.Request) -> web.Response:
        body = json.loads(await request.read())
        self._count("webhook", str(body.get("title", "")))
        return web.Response()

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: ARG002, D102, N802 - aiosmtpd's name
        content: Any = envelope.content
        subject = message_from_bytes(content)["Subject"] or ""
        self._count("mail", str(make_header(decode_header(subject))))
        return "250 OK"

    def _count(self, end: str, title: str) -> None:
        self.counts[end] += 1
        self._arrived(end, title)


async def _play(
    screen: _Screen, simulator: Simulator, receivers: Receivers, base_url: str, seconds: int
) -> Exit:
    settings, environ = write_settings(
        screen.folder,
        base_url,
        simulator.scenario,
        webhook_url=receivers.webhook_url,
        mail_url=receivers.mail_url,
    )
    page = Page(settings, screen.folder / "web.log")
    try:
        address = await page.start()
        screen.say(f"Watch it in a browser: {address}\n")
        simulator.replace(simulator.scenario)  # the story begins with the daemon
        return await _watch(
            screen, simulator, receivers, settings=settings, environ=environ, seconds=seconds
        )
    except PageError as error:
        screen.say(str(error))
        return Exit.FAILED
    finally:
        await page.end()


async def _watch(
    screen: _Screen,
    simulator: Simulator,
    receivers: Receivers,
    *,
    settings: Path,
    environ: Mapping[str, str],
    seconds: int,
) -> Exit:
    screen.say(
        "Eight targets of two organizations and a relay, against a simulated API on this machine.\n"
        "No account, no network; it would cost a cent or two if it were real. A daemon watches them,\n"
        "a webhook and a mailbox are told. Ctrl-C ends it.\n"
    )
    with (screen.folder / "daemon.log").open("wb") as log:
        daemon = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "monitor", "run", "--config", str(settings),
            env=environ, stdout=log, stderr=log, start_new_session=True,
        )  # fmt: skip
        ended = asyncio.create_task(daemon.wait())
        screen.began = time.monotonic()
        try:
            while screen.seconds < seconds and not ended.done():
                await asyncio.wait({ended}, timeout=1.0)
                screen.progress(
                    f"{screen.seconds:5.0f} s  {_states(screen.folder)} | {simulator.ledger.count()} requests"
                    f" | told: webhook {receivers.counts['webhook']}, mail {receivers.counts['mail']}"
                )
        finally:
            ended.cancel()
            status = await _stop(daemon)
    if status != 0:
        screen.say(f"the daemon ended with status {status}; its log ends with")
        screen.say("\n".join((screen.folder / "daemon.log").read_text().splitlines()[-15:]))
        return Exit.FAILED
    return _conclude(screen, simulator, receivers)


class PageError(Exception):
    """The page did not start. The text says why."""


class Page:
    """The page on the demo's database, as a process of its own that is given none of its secrets."""

    def __init__(self, settings: Path, log: Path) -> None:
        self._settings = settings
        self._log = log
        self._reading: asyncio.Task[None] | None = None

    async def start(self) -> str:
        """Start it on a free port. Returns its address. Raises PageError."""
        self._process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "monitor", "web",
            "--config", str(self._settings), "--listen", "127.0.0.1:0",
            stderr=asyncio.subprocess.PIPE, start_new_session=True,
        )  # fmt: skip
        listening: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._reading = asyncio.create_task(self._read(self._process.stderr, listening))
        either: set[asyncio.Future[Any]] = {listening, self._reading}
        await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
        if not listening.done():
            said = "\n".join(self._log.read_text().splitlines()[-15:])
            raise PageError(f"the page did not start; its log ends with\n{said}")
        return listening.result()

    async def _read(
        self, stderr: asyncio.StreamReader | None, listening: asyncio.Future[str]
    ) -> None:
        """Write its log to the file, and learn from it where it listens."""
        if stderr is None:
            return
        with self._log.open("wb") as log:
            async for line in stderr:
                log.write(line)
                log.flush()
                if b"web_started" in line and not listening.done():
                    listening.set_result(json.loads(line)["url"])

    async def end(self) -> None:
        """Stop it, if it runs."""
        if self._reading is not None:
            await _stop(self._process)
            await self._reading


def _states(folder: Path) -> str:
    try:
        found = status_queries.status(folder / "demo.db", now=datetime.now(UTC))
    except StoreError:
        return "starting"
    counts = Counter(str(target.state) for target in found.targets)
    blocked = sum(target.blocker is not None for target in found.targets)
    states = ", ".join(f"{number} {state}" for state, number in sorted(counts.items()))
    return states + (f" ({blocked} blocked)" if blocked else "")


async def _stop(daemon: asyncio.subprocess.Process) -> int:
    if daemon.returncode is None:
        with contextlib.suppress(ProcessLookupError):
            daemon.send_signal(signal.SIGTERM)
    try:
        return await asyncio.wait_for(daemon.wait(), _STOP)
    except TimeoutError:
        daemon.kill()
        return await daemon.wait()


def _conclude(screen: _Screen, simulator: Simulator, receivers: Receivers) -> Exit:
    database = screen.folder / "demo.db"
    screen.say("\nWhat happened, as `access-monitor history` shows it:\n")
    print_history(queries.history(database))
    now = datetime.now(UTC)
    status = status_queries.status(database, now=now)
    spent = sum(row.settled_usd for row in queries.spend(database, now.date()))
    ledger = simulator.ledger
    screen.say(
        f"\n{ledger.count()} requests: {ledger.count(what='granted')} granted,"
        f" {ledger.count(what='gated')} gated.\n"
        f"They would have cost ${ledger.billed():.5f}; the monitor booked ${spent:.5f}.\n"
        f"Told: {receivers.counts['webhook']} messages to the webhook,"
        f" {receivers.counts['mail']} to the mailbox;"
        f" {status.pending} notifications pending, {status.dead} dead."
    )
    told = all(receivers.counts.values()) and not status.dead
    return Exit.DONE if told else Exit.FAILED


def write_settings(
    folder: Path, base_url: str, scenario: Scenario, *, webhook_url: str, mail_url: str
) -> tuple[Path, Mapping[str, str]]:
    """Write the settings file; returns it and the environment the daemon finds its secrets in."""
    secrets = {"DEMO_WEBHOOK": webhook_url, "DEMO_MAIL": mail_url}
    relay = base_url.removesuffix("/v1") + "/relay/v1"
    parts = [
        f'[monitor]\ndatabase = "sqlite:///{folder / "demo.db"}"\nlog_format = "json"\n',
        # the simulator stands in for OpenAI itself, so its route is a direct one
        f'[routes.simulator]\nbase_url = "{base_url}"\ncontract = "direct"\n',
        f'[routes.relay]\nbase_url = "{relay}"\ncontract = "provider"\n',
        '[[channels]]\nname = "webhook"\nurl = "env:DEMO_WEBHOOK"\n',
        '[[channels]]\nname = "mail"\nurl = "env:DEMO_MAIL"\n',
    ]
    for key in scenario.keys:
        variable = f"DEMO_{key.name.upper().replace('-', '_')}"
        secrets[variable] = key.secret
        watch = ", ".join(f'"{capability}"' for capability in _WATCH[key.name])
        lines = ["[[keys]]", f'name = "{key.name}"', f'secret = "env:{variable}"']
        if key.contract == "provider":
            lines.append('route = "relay"')
        else:
            lines += [f'organization = "{key.organization}"', 'route = "simulator"']
        parts.append("\n".join([*lines, f"watch = [{watch}]", ""]))
    path = folder / "access-monitor.toml"
    path.write_text("\n".join(parts) + _FIGURES, encoding="utf-8")
    return path, {**os.environ, **secrets}
