"""The demo itself: simulator, receivers and a real daemon, shown while they work."""

import asyncio
import contextlib
import signal
import sys
import tempfile
import time
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

from monitor.cli.common import Exit
from monitor.cli.demo.demo_settings import write_settings
from monitor.cli.demo.receivers import Receivers
from monitor.cli.status import print_history
from monitor.simulator import Simulator, load_scenario
from monitor.store import queries, status_queries
from monitor.store.errors import StoreError

#: Seconds within which the daemon stops when asked.
_STOP = 10


async def show(seconds: int) -> Exit:
    """Run the demo for that long. Returns DONE when all went as it should."""
    with tempfile.TemporaryDirectory(prefix="access-monitor-demo-") as name:
        screen = _Screen(Path(name))
        simulator = Simulator(load_scenario("demo"))
        base_url = await simulator.start()
        try:
            async with Receivers(screen.arrived) as receivers:
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
        try:
            await _watch(screen, simulator, receivers, daemon, seconds)
        finally:
            status = await _stop(daemon)
    if status != 0:
        screen.say(f"the daemon ended with status {status}; its log ends with")
        screen.say("\n".join((screen.folder / "daemon.log").read_text().splitlines()[-15:]))
        return Exit.FAILED
    return _conclude(screen, simulator, receivers)


async def _watch(
    screen: _Screen,
    simulator: Simulator,
    receivers: Receivers,
    daemon: asyncio.subprocess.Process,
    seconds: int,
) -> None:
    ended = asyncio.create_task(daemon.wait())
    screen.began = time.monotonic()
    while screen.seconds < seconds and not ended.done():
        await asyncio.wait({ended}, timeout=1.0)
        screen.progress(
            f"{screen.seconds:5.0f} s  {_states(screen.folder)} | {simulator.ledger.count()} requests"
            f" | told: webhook {receivers.counts['webhook']}, mail {receivers.counts['mail']}"
        )
    ended.cancel()


def _states(folder: Path) -> str:
    try:
        found = status_queries.status(folder / "demo.db", now=datetime.now(UTC))
    except StoreError:
        return "starting"
    counts = Counter(str(target.state) for target in found.targets)
    counts["blocked"] = sum(target.blocker is not None for target in found.targets)
    return ", ".join(f"{number} {state}" for state, number in sorted(counts.items()) if number)


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
