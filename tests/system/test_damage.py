"""The database's file is damaged from outside while the daemon has it open: it never goes by in silence."""

import random
import signal
import sqlite3
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from watched import scenario, secrets, settings

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(300)]

#: Probes of these cost nothing, so they go on when no reservation can be remembered.
KEYS = tuple(f"acme-{n}" for n in range(8))
TOLD = ("unverified", "first_light", "available")
PAGE = 4096
#: What stands before each page in the log, and before them all.
FRAME_HEAD, LOG_HEAD = 24, 32
WORDS = b"damaged " * 64


def write(path: Path, places: list[int], what: bytes = WORDS) -> None:
    with path.open("r+b") as file:
        for place in places:
            file.seek(place)
            file.write(what)


def checkpoint(path: Path) -> None:
    """From here on the pages are read from the file, not from the log."""
    with closing(sqlite3.connect(path)) as database:
        database.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def some_pages(path: Path) -> None:
    checkpoint(path)
    write(path, list(range(4 * PAGE, path.stat().st_size, 3 * PAGE)))


def the_log(path: Path) -> None:
    log = path.with_name(path.name + "-wal")
    frame = FRAME_HEAD + PAGE
    write(log, list(range(LOG_HEAD + FRAME_HEAD, log.stat().st_size, frame)))


def the_head(path: Path) -> None:
    checkpoint(path)
    write(path, [0])


def under_the_log(path: Path) -> None:
    """Many pages are read from the log, and the next checkpoint may mend what is under them."""
    write(path, list(range(PAGE, path.stat().st_size, PAGE)))


def random_places(path: Path) -> None:
    checkpoint(path)
    dice = random.Random(20261120)
    write(path, [dice.randrange(PAGE, path.stat().st_size - 64) for _ in range(60)], WORDS[:64])


SHORT, LONG = (some_pages, the_log), (the_head, under_the_log, random_places)


@pytest.mark.parametrize("damage", [*SHORT, *LONG], ids=lambda damage: damage.__name__)
async def test_a_database_damaged_while_it_is_open_is_never_passed_over_in_silence(
    lab, fast, fault, torture, damage: Callable[[Path], None]
):
    if damage in LONG and not torture:
        pytest.skip("only with --torture")
    await lab.open_ends()
    await lab.simulate(scenario(dict.fromkeys(KEYS, "")))
    lab.settings.write_text(
        settings(lab.base_url, KEYS, route="rate = 500.0\nprice = 0.0", channels=["slack"]) + fast
    )
    lab.environ |= secrets(KEYS)
    path, config = lab.folder / "monitor.db", ("--config", str(lab.settings))
    daemon = await lab.daemon()
    await lab.told("unverified", count=len(KEYS))
    damage(path)
    await lab.replay(scenario(dict.fromkeys(KEYS, "open = 0")))

    def all_seen() -> bool:
        return len({e["target"] for e in lab.logged("probe") if e["state"] == "available"}) == len(
            KEYS
        )

    await lab.until(all_seen, "the probes to go on until all is open")
    said = []
    for command in ("status", "history", "healthcheck"):
        ended = await lab.call(command, *config)
        assert "Traceback" not in ended.err
        said += [command] if ended.status == 1 else []
    refused = bool(lab.logged("database_refuses"))
    daemon.send_signal(signal.SIGTERM)
    status = await daemon.wait()

    log = (lab.folder / "run.log").read_text()
    assert "Traceback" not in log
    for forbidden in ("probe_failed", "beat_failed", "lists_failed", "uncaught"):
        assert not lab.logged(forbidden)
    recorded = Counter(e["event_kind"] for e in lab.logged("transition"))
    named = Counter(e["event_kind"] for e in lab.logged("not_recorded"))
    for event in TOLD:  # each is in the database, or is named in the log
        assert recorded[event] + named[event] >= len(KEYS), (event, recorded, named)
    assert bool(named) == bool(lab.logged("results_lost")) == (status == 1), (named, status)

    again = await lab.daemon()
    seen = "said in the log" if refused else "not noticed by the daemon"
    seen += f"; status 1 of {', '.join(said) or 'no command'}"
    seen += f"; {sum(named.values())} events not recorded, each named"
    if await started(lab, again):
        history = Counter(row["event"] for row in await lab.history())
        assert all(history[event] >= recorded[event] for event in TOLD), (history, recorded)
        again.send_signal(signal.SIGTERM)
        assert await again.wait() == 0
        seen += "; the next start goes on"
    else:
        last = (lab.folder / "run.log").read_text().splitlines()[-1]
        assert again.returncode == 1
        assert last.startswith(f"access-monitor: {path}: ")
        seen += "; the next start is refused"
    fault(f"the database is damaged while it is open: {damage.__name__.replace('_', ' ')}", 1,
          "probes go on; said once SQLite notices, at the latest at the next start", seen)  # fmt: skip


async def started(lab, daemon) -> bool:
    """Whether a daemon is up; False when it ended."""
    before = len(lab.logged("started"))
    await lab.until(
        lambda: daemon.returncode is not None or len(lab.logged("started")) > before,
        "a start or a refusal",
    )
    return daemon.returncode is None
