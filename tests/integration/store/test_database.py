"""Opening a database: what is made, migrated, locked, refused."""

import multiprocessing
import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine

from monitor.store import database, errors, tables
from monitor.store.connections import reading
from monitor.store.database import backup
from monitor.store.errors import StoreError
from monitor.store.recorder import Recorder

pytestmark = pytest.mark.anyio


@pytest.fixture
def place(path: Path) -> Path:
    return path


def mode(path: Path) -> str:
    return f"{path.stat().st_mode & 0o777:o}"


async def test_the_folder_and_the_files_are_the_owners_alone(path, recorder, make):
    assert mode(path.parent) == "700"
    assert {file.name: mode(file) for file in path.parent.iterdir()} == {
        path.name: "600",
        f"{path.name}-wal": "600",
        f"{path.name}-shm": "600",
        f"{path.name}.lock": "600",
    }


async def test_the_writer_logs_ahead_syncs_fully_and_heeds_references(path, recorder):
    with database.writing_engine(path).connect() as connection:
        settings = [
            connection.exec_driver_sql(f"PRAGMA {name}").scalar()
            for name in ("journal_mode", "synchronous", "foreign_keys", "busy_timeout")
        ]
    assert settings == ["wal", 2, 1, 5000]


async def test_a_place_that_cannot_log_ahead_is_refused(path):
    with pytest.raises(StoreError, match="write-ahead log"):
        database.writing_engine(Path(":memory:")).connect()


async def test_migrations_from_empty_make_what_a_first_start_makes(path, recorder):
    config, migrated = database._config(), create_engine("sqlite://")
    with migrated.connect() as wanted, create_engine(f"sqlite:///{path}").connect() as found:
        config.attributes["connection"] = wanted
        command.upgrade(config, "head")
        assert schema(found) == schema(wanted)
        assert compare_metadata(MigrationContext.configure(wanted), tables.metadata) == []


def test_a_first_start_imports_no_alembic(path):
    made = (
        "import sys; from pathlib import Path; from monitor.store.database import create;"
        f"create(Path({str(path)!r})); sys.exit('alembic' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", made], check=False).returncode == 0
    with reading(path):  # it is of this revision
        pass


async def test_the_revision_in_the_code_is_the_newest_migration():
    scripts = ScriptDirectory.from_config(database._config())
    assert scripts.get_heads() == [errors.HEAD]


async def test_a_first_start_and_a_second_copy_nothing_aside(path, recorder, clock):
    await recorder.aclose()
    await (await Recorder.open(path, clock=clock)).aclose()
    assert not list(path.parent.glob("*.before-*"))


async def test_an_older_database_is_copied_aside_and_migrated(path, recorder, clock, monkeypatch):
    await recorder.aclose()
    add_revision(monkeypatch, path.parent, "batch.add_column(sa.Column('note', sa.String()))")
    await (await Recorder.open(path, clock=clock)).aclose()
    assert "note" in columns(path)
    copy = path.with_name(f"{path.name}.before-0006")
    assert mode(copy) == "600"
    assert "note" not in columns(copy)
    with closing(sqlite3.connect(copy)) as connection:
        assert connection.execute("SELECT count(*) FROM targets").fetchone() == (1,)


async def test_what_was_recorded_before_there_were_silences_stays(path, recorder, clock, make):
    await recorder.aclose()
    path.unlink()
    config, engine = database._config(), database.writing_engine(path, foreign_keys=False)
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0001")
        connection.exec_driver_sql(
            "INSERT INTO events (id, kind, at, reason, facts)"
            " VALUES (7, 'offline', '2026-11-20 12:00:00.000000', 'all_routes_fail', '{}')"
        )
        connection.exec_driver_sql(
            "INSERT INTO notifications (event_id, channel, state, attempts, created_at)"
            " VALUES (7, 'ops', 'pending', 0, '2026-11-20 12:00:00.000000')"
        )
    again = await Recorder.open(path, clock=clock)
    (row,) = await again.outbox.pending("ops", 10)
    assert row.event.id == 7
    await again.register([make.target()])
    assert await again.write([make.change(make.target(), "ops")]) == [8]
    await again.aclose()


async def test_a_migration_that_fails_leaves_the_file_as_it_was(path, recorder, clock, monkeypatch):
    await recorder.aclose()
    with monkeypatch.context() as patch:
        steps = "batch.add_column(sa.Column('note', sa.String())); op.execute('nonsense')"
        add_revision(patch, path.parent, steps)
        with pytest.raises(StoreError, match="syntax error"):
            await Recorder.open(path, clock=clock)
    assert "note" not in columns(path)
    again = await Recorder.open(path, clock=clock)
    assert len(await again.load_memories()) == 1
    await again.aclose()


async def test_a_database_of_a_newer_version_is_refused(path, recorder, clock, ask):
    await recorder.aclose()
    ask("UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(StoreError, match=r"revision 9999.*newer version"):
        await Recorder.open(path, clock=clock)
    assert not list(path.parent.glob("*.before-*"))


async def test_a_database_of_another_program_is_refused(path, clock, ask):
    path.parent.mkdir()
    ask("CREATE TABLE cookies (id INTEGER)")
    with pytest.raises(StoreError, match="another program"):
        await Recorder.open(path, clock=clock)


async def test_a_file_that_is_no_database_is_refused(path, clock):
    path.parent.mkdir()
    path.write_bytes(b"no database at all " * 100)
    with pytest.raises(StoreError, match="not a database"):
        await Recorder.open(path, clock=clock)


async def test_a_folder_that_cannot_be_made_is_refused(tmp_path, clock):
    (tmp_path / "file").touch()
    with pytest.raises(StoreError, match="file"):
        await Recorder.open(tmp_path / "file" / "sub" / "x.db", clock=clock)


async def test_a_second_instance_is_refused_and_named_the_first(path, recorder, clock):
    with pytest.raises(StoreError, match=f"another instance.*process {os.getpid()}"):
        await Recorder.open(path, clock=clock)
    await recorder.aclose()
    await (await Recorder.open(path, clock=clock)).aclose()


def hold(path: Path, ready, done) -> None:
    database.FileLock(path)
    ready.set()
    done.wait()


async def test_the_lock_of_a_killed_process_is_free(path, clock):
    context = multiprocessing.get_context("spawn")
    ready, done = context.Event(), context.Event()
    path.parent.mkdir()
    process = context.Process(target=hold, args=(path, ready, done))
    process.start()
    ready.wait()
    with pytest.raises(StoreError, match=f"process {process.pid}"):
        await Recorder.open(path, clock=clock)
    process.kill()
    process.join()
    await (await Recorder.open(path, clock=clock)).aclose()


async def test_a_live_database_can_be_copied(path, recorder, make, tmp_path):
    await recorder.write([make.change(make.target(), "ops")])
    backup(path, tmp_path / "copy.db")
    assert mode(tmp_path / "copy.db") == "600"
    with closing(sqlite3.connect(tmp_path / "copy.db")) as copy:
        assert copy.execute("SELECT count(*) FROM notifications").fetchone() == (1,)
        assert copy.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    assert [file.name for file in tmp_path.iterdir() if file.is_file()] == ["copy.db"]
    with pytest.raises(StoreError, match="the database itself"):
        backup(path, path)
    with pytest.raises(StoreError):
        backup(path, tmp_path / "no" / "copy.db")
    with pytest.raises(StoreError, match="no database yet"):
        backup(tmp_path / "missing.db", tmp_path / "copy.db")


def schema(connection) -> dict[str, str]:
    rows = connection.exec_driver_sql(
        "SELECT name, sql FROM sqlite_master WHERE name <> 'alembic_version' AND sql IS NOT NULL"
    )
    # constraints in one order: the tables' text lists them as they were declared; a migration quotes names
    return {
        name: sorted(line.strip(" \t,") for line in sql.replace('"', "").splitlines())
        for name, sql in rows
    }


def columns(path: Path) -> list[str]:
    with closing(sqlite3.connect(path)) as connection:
        return [row[1] for row in connection.execute("PRAGMA table_info(targets)")]


def add_revision(patch: pytest.MonkeyPatch, folder: Path, steps: str) -> None:
    """Let the program know a revision 0006 that changes `targets`."""
    (folder / "versions").mkdir()
    (folder / "versions" / "0006.py").write_text(
        "import sqlalchemy as sa\n"
        "from alembic import op\n"
        "revision, down_revision = '0006', '0005'\n"
        "def upgrade():\n"
        "    with op.batch_alter_table('targets', recreate='always') as batch:\n"
        f"        {steps.split('; ', maxsplit=1)[0]}\n"
        + "".join(f"    {step}\n" for step in steps.split("; ")[1:])
    )
    original = database._config

    def config():
        made = original()
        known = Path(database.__file__).parent / "migrations" / "versions"
        made.set_main_option("path_separator", "newline")
        made.set_main_option("version_locations", f"{known}\n{folder / 'versions'}")
        return made

    patch.setattr(database, "_config", config)
    patch.setattr(database, "HEAD", "0006")
