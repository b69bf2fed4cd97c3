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
    screen = _Screen()
    async with contextlib.AsyncExitStack() as stack:
        name = stack.enter_context(tempfile.TemporaryDirectory(prefix="access-monitor-demo-"))
        folder = Path(name)
        simulator = Simulator(load_scenario("demo"))
        base_url = await simulator.start()
        stack.push_async_callback(simulator.stop)
        receivers = Receivers(screen.arrived)
        channels = await stack.enter_async_context(receivers.listening())
        settings, secrets = write_settings(folder, base_url, simulator.scenario, channels)
        address = await stack.enter_async_context(_page(settings, folder / "web.log"))
        if address is None:
            screen.say(f"the page did not start; {_end_of(folder / 'web.log')}")
            return Exit.FAILED
        screen.say(f"Watch it in a browser: {address}\n")
        simulator.replace(simulator.scenario)  # the story begins with the daemon
        screen.say(
            "Eight targets of two organizations and a relay, against a simulated API on this machine.\n"
            "No account, no network; it would cost a cent or two if it were real. A daemon watches them,\n"
            "a webhook and a mailbox are told. Ctrl-C ends it.\n"
        )

        def progress() -> str:
            told = receivers.counts
            return (
                f"{_states(folder / 'demo.db')} | {simulator.ledger.count()} requests"
                f" | told: webhook {told['webhook']}, mail {told['mail']}"
            )

        with (folder / "daemon.log").open("wb") as log:
            daemon = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "monitor", "run", "--config", str(settings),
                env={**os.environ, **secrets}, stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip
            status = await _watch(daemon, screen, seconds, progress)
        if status != 0:
            log_end = _end_of(folder / "daemon.log")
            screen.say(f"the daemon ended with status {status}; {log_end}")
            return Exit.FAILED
        return _conclude(screen, folder / "demo.db", simulator, receivers)


class _Screen:
    """What is printed: lines that stay, and one that moves on a terminal."""

    def __init__(self) -> None:
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
    async def listening(self) -> AsyncIterator[Mapping[str, str]]:
        """Take them while the block runs; yields the channels' URLs by name."""
        app = web.Application(client_max_size=_MOST)
        app.router.add_post("/hook", self._hook)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        mail = await asyncio.get_running_loop().create_server(
            lambda: SMTP(self, data_size_limit=_MOST, enable_SMTPUTF8=True), "127.0.0.1", 0
        )
        port = mail.sockets[0].getsockname()[1]
        try:
            yield {
                "webhook": f"json://127.0.0.1:{runner.addresses[0][1]}/hook",
                "mail": f"mailto://127.0.0.1:{port}?from=monitor@acme.example&to=ops@acme.example"
                "&mode=insecure",
            }
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


async def _watch(
    daemon: asyncio.subprocess.Process, screen: _Screen, seconds: int, progress: Callable[[], str]
) -> int:
    """Show the progress for that long, then stop the daemon. Returns its exit status."""
    ended = asyncio.create_task(daemon.wait())
    screen.began = time.monotonic()
    try:
        while screen.seconds < seconds and not ended.done():
            await asyncio.wait({ended}, timeout=1.0)
            screen.progress(f"{screen.seconds:5.0f} s  {progress()}")
    finally:
        ended.cancel()
        status = await _stop(daemon)
    return status


@contextlib.asynccontextmanager
async def _page(settings: Path, log: Path) -> AsyncIterator[str | None]:
    """The page on the demo's database, as a process of its own that is given none of its secrets.

    Yields its address; None if it did not start.
    """
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "monitor", "web", "--config", str(settings), "--listen", "127.0.0.1:0",
        stderr=asyncio.subprocess.PIPE, start_new_session=True,
    )  # fmt: skip
    listening: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    reading = asyncio.create_task(_keep_log(process.stderr, log, listening))
    try:
        either: set[asyncio.Future[Any]] = {listening, reading}
        await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
        yield listening.result() if listening.done() else None
    finally:
        await _stop(process)
        await reading


async def _keep_log(
    stderr: asyncio.StreamReader | None, log: Path, listening: asyncio.Future[str]
) -> None:
    """Write the page's log to the file, and learn from it where it listens."""
    if stderr is None:
        return
    with log.open("wb") as file:
        async for line in stderr:
            file.write(line)
            file.flush()
            if b"web_started" in line and not listening.done():
                listening.set_result(json.loads(line)["url"])


def _end_of(log: Path) -> str:
    return "\n".join(["its log ends with", *log.read_text().splitlines()[-15:]])


def _states(database: Path) -> str:
    try:
        found = status_queries.status(database, now=datetime.now(UTC))
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


def _conclude(screen: _Screen, database: Path, simulator: Simulator, receivers: Receivers) -> Exit:
    screen.say("\nWhat happened, as `access-monitor history` shows it:\n")
    print_history(queries.history(database))
    now = datetime.now(UTC)
    status = status_queries.status(database, now=now)
    spent = sum({one.key: one.spend_today_usd for one in status.targets}.values())
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
    folder: Path, base_url: str, scenario: Scenario, channels: Mapping[str, str]
) -> tuple[Path, Mapping[str, str]]:
    """Write the settings file; returns it and the variables in which the daemon finds its secrets."""
    secrets = {f"DEMO_{name.upper()}": url for name, url in channels.items()}
    relay = base_url.removesuffix("/v1") + "/relay/v1"
    parts = [
        f'[monitor]\ndatabase = "sqlite:///{folder / "demo.db"}"\nlog_format = "json"\n',
        # the simulator stands in for OpenAI itself, so its route is a direct one
        f'[routes.simulator]\nbase_url = "{base_url}"\ncontract = "direct"\n',
        f'[routes.relay]\nbase_url = "{relay}"\ncontract = "provider"\n',
        *(f'[[channels]]\nname = "{name}"\nurl = "env:DEMO_{name.upper()}"\n' for name in channels),
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
    return path, secrets
