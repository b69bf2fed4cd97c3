"""The database fails while the daemon runs, and before it starts: nothing recorded is lost without a word."""

import os
import resource
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from datetime import datetime
from pathlib import Path
from time import monotonic

import pytest
from warm_command import COMMAND
from watched import scenario, secrets, variable

from monitor.store.status_queries import is_refusing

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(300)]

LIMITED = Path(__file__).with_name("limited.py")
#: Probes over the route `free` cost nothing, so they go on; those over `paid` need a reservation.
FREE, PAID = tuple(f"free-{n}" for n in range(8)), ("paid-0", "paid-1")
KEYS = (*FREE, *PAID)
#: Granted answers of an opening that are paid for, and reserved together.
CONFIRMATIONS = 2


def settings(lab, fast: str, database: str) -> str:
    parts = [
        f'[monitor]\ndatabase = "sqlite:///{database}"\nlog_format = "json"',
        *(f'[routes.{name}]\nbase_url = "{lab.base_url}"\ncontract = "direct"\nrate = 500.0\nprice = {price}'
          for name, price in (("free", 0.0), ("paid", 1.0))),
        '[[channels]]\nname = "slack"\nurl = "env:SLACK_URL"',
    ]  # fmt: skip
    for key in KEYS:
        parts.append(
            f'[[keys]]\nname = "{key}"\nsecret = "env:{variable(key)}"\n'
            f'organization = "org-{key}"\nroute = "{key[:4]}"\nwatch = ["gpt-5.1:summary"]'
        )
    return "\n".join(parts) + fast


@pytest.fixture
def set_up(lab, fast):
    """Ends, simulator and settings; all gates are shut."""

    async def set_up(database: str = "monitor.db") -> None:
        await lab.open_ends()
        await lab.simulate(scenario(dict.fromkeys(KEYS, "")))
        lab.settings.write_text(settings(lab, fast, database))
        lab.environ |= secrets(KEYS)

    return set_up


def logged_at(lab, event: str) -> datetime:
    return datetime.fromisoformat(lab.logged(event)[-1]["timestamp"])


async def open_gates(lab) -> None:
    await lab.replay(scenario(dict.fromkeys(KEYS, "open = 0")))


async def granted(lab, since: datetime) -> Counter:
    return Counter(
        entry["key"]
        for entry in (await lab.ledger())["log"]
        if entry["what"] == "granted" and datetime.fromisoformat(entry["at"]) > since
    )


async def money(lab, path: Path) -> tuple[Counter, Counter]:
    """By key: what was billed, and what the file counts as spent should the daemon be killed now."""
    billed, remembered = Counter(), Counter()
    for row in (await lab.totals())["billed"]:
        billed[row["key"]] += row["usd"]
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as database:
        both = "SELECT key, settled_usd FROM spend UNION ALL SELECT key, usd FROM holds"
        for key, usd in database.execute(both):
            remembered[key] += usd
    return billed, remembered


class Fault:
    """Something that keeps the daemon from writing, and its end."""

    database = "monitor.db"

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @property
    def path(self) -> Path:
        return self.folder / self.database

    async def daemon(self, lab):
        self.process = await lab.daemon()
        return self.process

    def end(self) -> None:
        pass


class Pages(Fault):
    """SQLite's own limit."""

    async def daemon(self, lab):
        return await lab.launch(
            sys.executable, str(LIMITED), str(self.folder / "full"), "run", "--config", str(lab.settings)
        )  # fmt: skip

    def begin(self) -> None:
        (self.folder / "full").touch()

    def end(self) -> None:
        (self.folder / "full").unlink()


class FileSize(Fault):
    """The system's limit to a file's size, at what the log of the database has now."""

    def begin(self) -> None:
        size = self.path.with_name("monitor.db-wal").stat().st_size
        resource.prlimit(self.process.pid, resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))

    def end(self) -> None:
        unlimited = (resource.RLIM_INFINITY, resource.RLIM_INFINITY)
        resource.prlimit(self.process.pid, resource.RLIMIT_FSIZE, unlimited)


class Locked(Fault):
    """Another process in an exclusive transaction."""

    def begin(self) -> None:
        self.other = sqlite3.connect(self.path, isolation_level=None)
        self.other.execute("BEGIN EXCLUSIVE")

    def end(self) -> None:
        self.other.execute("ROLLBACK")
        self.other.close()


class Disk(Fault):
    """A file system of its own without a free byte."""

    database = "small/monitor.db"

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.path.parent.mkdir()
        mount = ["mount", "-t", "tmpfs", "-o", "size=16m", "small", str(self.path.parent)]
        if os.geteuid() != 0 or subprocess.run(mount, check=False, capture_output=True).returncode:
            pytest.skip("needs root, and leave to mount")

    def begin(self) -> None:
        with (self.path.parent / "filler").open("wb", buffering=0) as filler:
            try:
                while filler.write(b"\0" * 4096):
                    pass
            except OSError:
                pass

    def end(self) -> None:
        (self.path.parent / "filler").unlink()


@pytest.fixture(
    params=[(Pages, "full by max_page_count"), (FileSize, "full by RLIMIT_FSIZE"),
            (Locked, "locked by another process"), (Disk, "on a full tmpfs")],
    ids=["pages", "file size", "lock", "disk"],
)  # fmt: skip
def trouble(request, tmp_path, torture):
    kind, words = request.param
    if kind is Disk and not torture:
        pytest.skip("only with --torture")
    made = kind(tmp_path)
    yield made, words
    if kind is Disk:
        subprocess.run(["umount", "--lazy", made.path.parent], check=False)


async def test_what_is_seen_while_the_database_refuses_is_kept_and_told_afterwards(
    lab, set_up, trouble, torture, fault
):
    made, words = trouble
    await set_up(made.database)
    daemon = await made.daemon(lab)
    await lab.told("unverified", count=len(KEYS))
    # the others differ in nothing that takes time
    least = 32 if torture and isinstance(made, Locked) else 8
    began = monotonic()
    made.begin()
    await open_gates(lab)
    await lab.until(lambda: bool(lab.logged("database_refuses")), "the refusal to be said")
    refused = logged_at(lab, "database_refuses")

    def all_seen() -> bool:
        seen = {line["target"] for line in lab.logged("probe") if line["state"] == "available"}
        lasted = monotonic() - began
        return all(f"{key}/gpt-5.1:summary" in seen for key in FREE) and lasted > least

    await lab.until(all_seen, "openings to be seen while the database refuses", patience=90)
    await lab.until(lambda: is_refusing(made.path), "other processes to see the refusal")
    probes = await granted(lab, refused)
    billed, remembered = await money(lab, made.path)
    made.end()
    await lab.until(lambda: bool(lab.logged("database_accepts_again")), "the end of the trouble")
    await lab.until(lambda: not is_refusing(made.path), "other processes to see its end")
    await lab.told("available", count=len(KEYS))
    owed = [row["id"] for row in await lab.history() if row["notifications"]]
    await lab.until(lambda: set(owed) <= set(lab.slack.ids), "slack to get everything")
    daemon.send_signal(signal.SIGTERM)
    assert await daemon.wait() == 0

    history = await lab.history()
    over = logged_at(lab, "database_accepts_again")
    kept = 0
    for key in KEYS:
        own = [row for row in history if row["target"] and row["target"].startswith(f"{key}/")]
        assert [row["event"] for row in own] == ["unverified", "first_light", "available"]
        kept += refused < datetime.fromisoformat(own[-1]["at"]) < over
    # rows may fit into pages that are there, for a while
    assert kept >= (1 if isinstance(made, Pages) else len(FREE))
    # what was reserved before the trouble pays for an opening's confirmations, and for nothing more
    assert all(probes[key] <= CONFIRMATIONS for key in PAID)
    assert all(billed[key] <= remembered[key] + 1e-9 for key in PAID), (billed, remembered)
    assert len(lab.logged("database_refuses")) == len(lab.logged("database_accepts_again")) == 1
    assert len(lab.logged("outbox.unusable")) <= 1
    for forbidden in ("probe_failed", "beat_failed", "not_recorded", "results_lost"):
        assert not lab.logged(forbidden)
    assert sorted(lab.slack.ids) == sorted(owed)
    with closing(sqlite3.connect(made.path if made.path.exists() else ":memory:")) as database:
        assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    fault(
        f"the database {words} for {monotonic() - began:.0f} s while {len(KEYS)} gates open",
        1,
        "probes that cost nothing go on, results are kept in order, nothing is billed that was not"
        " reserved; said once",
        f"{kept} openings seen meanwhile, ${sum(billed[key] for key in PAID):.5f} billed and"
        f" ${sum(remembered[key] for key in PAID):.5f} reserved or booked; {len(owed)} events told,"
        " none lost or twice",
    )


async def test_a_stop_while_the_database_refuses_says_what_is_lost(lab, set_up, fault):
    await set_up()
    locked = Locked(lab.folder)
    daemon = await locked.daemon(lab)
    await lab.told("unverified", count=len(KEYS))
    locked.begin()
    await open_gates(lab)
    await lab.until(lambda: bool(lab.logged("database_refuses")), "the refusal")

    def lit() -> set[str]:
        return {line["target"] for line in lab.logged("probe") if line["state"] != "unverified"}

    await lab.until(lambda: {f"{key}/gpt-5.1:summary" for key in FREE} <= lit(), "first lights")
    daemon.send_signal(signal.SIGTERM)
    assert await daemon.wait() == 1
    locked.end()
    lost = Counter(line["event_kind"] for line in lab.logged("not_recorded"))
    assert lost["first_light"] == len(lit())
    assert lab.logged("results_lost")
    again = await lab.daemon()
    await lab.told("first_light", count=len(KEYS))
    again.send_signal(signal.SIGTERM)
    assert await again.wait() == 0
    fault(
        "SIGTERM while another process holds the lock", 1,
        "each event that is lost is named in the log, status 1; the next start sees it anew",
        f"{sum(lost.values())} events named, {len(KEYS)} first lights told after the next start",
    )  # fmt: skip


@pytest.mark.parametrize("how", ["deleted", "replaced"])
async def test_a_database_that_is_taken_away_is_saved_and_the_daemon_ends(lab, set_up, fault, how):
    await set_up()
    path = lab.folder / "monitor.db"
    daemon = await lab.daemon()
    await lab.told("unverified", count=len(KEYS))
    if how == "deleted":
        for file in lab.folder.glob("monitor.db*"):
            file.unlink()
    else:
        shutil.copy(path, lab.folder / "other")
        (lab.folder / "other").replace(path)
    await lab.until(lambda: daemon.returncode is not None, "the daemon to end")
    assert daemon.returncode == 1
    assert f"it was {how} while the database was in use" in (lab.folder / "run.log").read_text()
    saved = path if how == "deleted" else path.with_name("monitor.db.displaced")
    assert saved.stat().st_mode & 0o777 == 0o600
    with closing(sqlite3.connect(saved)) as database:
        found = Counter(row[0] for row in database.execute("SELECT kind FROM events"))
    assert found == {"started": 1, "unverified": len(KEYS), "stopping": 1}
    assert len(lab.logged("database_saved")) == 1
    if how == "deleted":
        again = await lab.daemon()
        await open_gates(lab)
        await lab.told("available", count=len(KEYS))
        again.send_signal(signal.SIGTERM)
        assert await again.wait() == 0
    fault(
        f"the database's file is {how} while in use", 1,
        "said at once, all it held is saved to its place or beside, end with status 1",
        f"all {sum(found.values())} events in the saved copy",
    )  # fmt: skip


def damaged(path: Path) -> None:
    with path.open("r+b") as file:
        for page in range(4, path.stat().st_size // 4096, 3):
            file.seek(page * 4096)
            file.write(b"damaged " * 64)


def newer(path: Path) -> None:
    with closing(sqlite3.connect(path)) as database, database:
        database.execute("UPDATE alembic_version SET version_num = '9999'")


def read_only(path: Path) -> None:
    path.chmod(0o400)


def not_ours(path: Path) -> None:
    path.write_text("a shopping list " * 1000)


REFUSED: list[tuple[Callable[[Path], None], str]] = [
    (damaged, "the database is damaged"),
    (newer, "of revision 9999, which this version of access-monitor does not know"),
    (read_only, "Permission denied"),
    (not_ours, "file is not a database"),
]


@pytest.mark.parametrize(("break_it", "said"), REFUSED, ids=[f.__name__ for f, _ in REFUSED])
async def test_a_database_that_cannot_be_used_is_refused_at_the_start_and_left_as_it_is(
    lab, set_up, fault, break_it, said
):
    await set_up()
    path = lab.folder / "monitor.db"
    daemon = await lab.daemon()
    await lab.told("unverified", count=len(KEYS))
    daemon.send_signal(signal.SIGTERM)
    assert await daemon.wait() == 0
    break_it(path)
    before = path.read_bytes()
    again = await lab.launch(
        *as_one_who_heeds_modes(), str(COMMAND), "run", "--config", str(lab.settings)
    )
    await lab.until(lambda: again.returncode is not None, "the refusal")
    last = (lab.folder / "run.log").read_text().splitlines()[-1]
    assert again.returncode == 1
    assert said in last
    assert str(path) in last
    assert path.read_bytes() == before
    fault(f"a start on a file that is {break_it.__name__.replace('_', ' ')}", 1,
          "refused with status 1 and a sentence that names the file", f"“… {said} …”")  # fmt: skip


def as_one_who_heeds_modes() -> list[str]:
    """Root may write what it may not; without that capability it is as others are."""
    if os.geteuid() != 0:
        return ["env"]
    return ["setpriv", "--bounding-set=-dac_override,-dac_read_search", "--inh-caps=-all", "--"]


async def test_a_second_daemon_is_refused_and_the_first_goes_on(lab, set_up, fault):
    await set_up()
    first = await lab.daemon()
    await lab.told("unverified", count=len(KEYS))
    second = await lab.daemon()
    await lab.until(lambda: second.returncode is not None, "the second one to end")
    assert second.returncode == 1
    said = f"another instance has this database open (process {first.pid})"
    assert said in (lab.folder / "run.log").read_text()
    await open_gates(lab)
    await lab.told("available", count=len(KEYS))
    first.send_signal(signal.SIGTERM)
    assert await first.wait() == 0
    fault("a second daemon on the same file", 1, "refused with status 1; the first goes on",
          "the second names the first one's process")  # fmt: skip
