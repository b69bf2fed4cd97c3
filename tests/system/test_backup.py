"""`access-monitor backup`: copies of a database in use, and a start on one of them."""

import os
import signal
import sqlite3
from contextlib import closing

import pytest
from watched import scenario, secrets, settings

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(240)]

KEYS = ("acme", "example", "north", "south")


async def test_a_backup_while_it_runs_is_consistent_and_can_be_started_on(
    lab, fast, fault, torture
):
    await lab.simulate(scenario(dict.fromkeys(KEYS, "")))
    lab.settings.write_text(settings(lab.base_url, KEYS) + fast)
    lab.environ |= secrets(KEYS)
    daemon = await lab.daemon()
    await lab.told("unverified", count=len(KEYS))
    # one after the other, while copies are made
    await lab.replay(scenario({key: f"open = {1 + n}" for n, key in enumerate(KEYS)}))
    copies = 40 if torture else 6
    for n in range(copies):
        copy = lab.folder / f"copy-{n}.db"
        ended = await lab.call("backup", str(copy), "--config", str(lab.settings))
        assert ended.status == 0, ended.err
        with closing(sqlite3.connect(copy)) as database:
            assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)
            states = dict(database.execute("SELECT name, state FROM targets"))
            told = database.execute(
                "SELECT target, after FROM events WHERE after IS NOT NULL ORDER BY id"
            )
            assert states == dict.fromkeys(states, "unknown") | dict(told)
    await lab.told("available", count=len(KEYS))
    assert (await lab.call("backup", "last.db", "--config", str(lab.settings))).status == 0
    daemon.send_signal(signal.SIGTERM)
    assert await daemon.wait() == 0
    before = await lab.history()
    for file in lab.folder.glob("monitor.db*"):
        file.unlink()
    (lab.folder / "last.db").rename(lab.folder / "monitor.db")
    again = await lab.daemon()
    await lab.told("started", count=2)
    again.send_signal(signal.SIGTERM)
    assert await again.wait() == 0
    assert (await lab.history())[: len(before) - 1] == before[:-1]
    fault("`access-monitor backup` while states change", copies + 1,
          "every copy consistent, states and transitions of one moment; a restored one goes on",
          f"{copies + 1} copies sound, history the same after a restore")  # fmt: skip


async def test_a_backup_replaces_regular_files_only_and_none_of_the_databases_own(lab):
    lab.settings.write_text(settings("http://127.0.0.1:9/v1", KEYS))
    lab.environ |= secrets(KEYS)
    # the first declaration makes the database
    assert (await lab.call("declare", "verified", "acme")).status == 0
    original = (lab.folder / "monitor.db").read_bytes()
    os.mkfifo(lab.folder / "pipe")
    (lab.folder / "folder").mkdir()
    (lab.folder / "link").symlink_to("monitor.db")
    (lab.folder / "elsewhere").symlink_to("access-monitor.toml")
    os.link(lab.folder / "monitor.db", lab.folder / "hard-link")
    own = ("monitor.db", "./monitor.db", "monitor.db-wal", "monitor.db-shm", "monitor.db-journal",
           "monitor.db.lock", "link", "hard-link", "folder/../monitor.db")  # fmt: skip
    for file in own:
        ended = await lab.call("backup", file)
        assert (ended.status, ended.out) == (2, ""), file
        assert "this is the database itself, or one of its files" in ended.err
    for file in ("/dev/null", "pipe", "folder", "elsewhere"):
        ended = await lab.call("backup", file)
        assert ended.status == 2
        assert f"{file}: this is no regular file" in ended.err
    kept = lab.settings.read_bytes()
    named = await lab.call("backup", "access-monitor.toml")
    assert named.status == 2
    assert "access-monitor.toml: this file is no database; name an older copy" in named.err
    assert lab.settings.read_bytes() == kept
    (lab.folder / "older.db").touch()
    for _ in range(2):  # the second replaces the first
        assert (await lab.call("backup", "older.db")).status == 0
    empty = await lab.call("backup", "")
    assert (empty.status, "names no file" in empty.err) == (2, True)
    missing = await lab.call("backup", "nowhere/copy.db")
    assert missing.err == "access-monitor: nowhere/copy.db: No such file or directory\n"
    assert (lab.folder / "monitor.db").read_bytes() == original
    assert (lab.folder / "pipe").is_fifo()
    assert not list(lab.folder.glob("*.unfinished"))
    # bytes that are no text name a file like any others
    assert (await lab.call("backup", os.fsdecode(b"caf\xe9.db"))).status == 0
    assert (lab.folder / os.fsdecode(b"caf\xe9.db")).stat().st_mode & 0o777 == 0o600
