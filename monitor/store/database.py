"""Opens the database for its one writer: makes or migrates it, and connects to it.

Alembic is imported only for a migration: it takes 11 MB and as long as the rest of a start. A new
database is made from the tables of the code.
"""

import os
import sqlite3
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import Connection, Engine, create_engine, event, text
from sqlalchemy.pool import NullPool

from monitor.store.connections import IS_MIGRATED, writing_connection
from monitor.store.database_files import (
    FileLock,
    as_store_errors,
    backup,
    make_file,
)
from monitor.store.errors import (
    BUSY_TIMEOUT,
    HEAD,
    StoreError,
    read_only,
)
from monitor.store.tables import metadata

if TYPE_CHECKING:
    from alembic.config import Config

#: The table as Alembic makes it.
_REVISION_TABLE = (
    "CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL,"
    " CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num))"
)


def writing_engine(path: Path, *, foreign_keys: bool = True) -> Engine:
    """An engine whose every transaction begins with `BEGIN IMMEDIATE`.

    A plain BEGIN takes the write lock at the first write, and fails at once if another process wrote in
    between. Connecting raises StoreError where WAL is not available.
    """
    engine = create_engine(
        "sqlite://",
        creator=partial(writing_connection, path, foreign_keys=foreign_keys),
        poolclass=NullPool,
        hide_parameters=True,  # bound values stay out of exceptions
    )

    @event.listens_for(engine, "begin")
    def begin_transaction(connection: Connection) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE")

    return engine


class CommitWatch:
    """Tells whether any process has committed since. It takes no lock, and 2 µs: the loop may call it."""

    def __init__(self, path: Path) -> None:
        self._connection = read_only(path, timeout=0, check_same_thread=False)

    def version(self) -> int | None:
        """A number that changes with each commit; None if SQLite does not tell it now."""
        try:
            (version,) = self._connection.execute("PRAGMA data_version").fetchone()
        except sqlite3.Error:
            return None
        return int(version)

    def close(self) -> None:
        """Close the connection to the file."""
        self._connection.close()


def revision(connection: Connection) -> str | None:
    """The revision of the tables, or None before the first migration."""
    if connection.exec_driver_sql(IS_MIGRATED).first() is None:
        return None
    return connection.exec_driver_sql("SELECT version_num FROM alembic_version").scalar()


def damage(connection: Connection) -> str:
    """The first damage that SQLite finds in the file, in SQLite's words; empty if the file is sound."""
    found = connection.exec_driver_sql("PRAGMA quick_check(1)").scalar()
    connection.rollback()
    return "" if found == "ok" else " ".join(str(found).split())


def migrate(path: Path) -> str | None:
    """Migrate the database, which may be an empty file, to HEAD in one transaction.

    A database with tables is first copied to `NAME.before-REVISION`. Returns the revision found before.
    Raises StoreError for a database of an unknown revision, and when the migration fails: the file is then
    unchanged.
    """
    # foreign keys off: a migration that rebuilds a table drops it for a moment
    engine = writing_engine(path, foreign_keys=False)
    with as_store_errors(path):
        with engine.connect() as connection:
            found = revision(connection)
            tables = connection.execute(text("SELECT count(*) FROM sqlite_master")).scalar()
        if found == HEAD:
            return found
        if not tables:
            with engine.begin() as connection:
                metadata.create_all(connection)
                connection.execute(text(_REVISION_TABLE))
                connection.execute(
                    text("INSERT INTO alembic_version VALUES (:head)"), {"head": HEAD}
                )
            return found
        from alembic import command

        config = _config()
        _require_known(path, found, config)
        backup(path, path.with_name(f"{path.name}.before-{HEAD}"))
        with engine.begin() as connection:
            config.attributes["connection"] = connection
            command.upgrade(config, "head")
            if connection.execute(text("PRAGMA foreign_key_check")).first():
                raise StoreError(f"{path}: the migration to {HEAD} would break references")
    return found


def create(path: Path) -> None:
    """Make the database if there is none, as the first start of a daemon does.

    It gets the owner of its folder if that is not root. Raises StoreError when it cannot be made, or
    when another process is making it and does not finish.
    """
    until = time.monotonic() + BUSY_TIMEOUT
    while not path.exists() or not path.stat().st_size:
        make_file(path)
        try:
            lock = FileLock(path)
        except StoreError:  # a daemon is starting
            if time.monotonic() > until:
                raise
            time.sleep(0.1)
            continue
        try:
            migrate(path)
        finally:
            lock.release()
        _hand_over(path)


def _hand_over(path: Path) -> None:
    owner = path.parent.stat()
    if os.geteuid() == 0 and owner.st_uid:
        with as_store_errors(path):
            for file in (path, path.with_name(path.name + ".lock")):
                os.chown(file, owner.st_uid, owner.st_gid)


def _config() -> "Config":
    from alembic.config import Config

    config = Config()
    folder = str(Path(__file__).parent / "migrations")
    config.set_main_option("script_location", folder.replace("%", "%%"))
    return config


def _require_known(path: Path, found: str | None, config: "Config") -> None:
    if found is None:
        raise StoreError(f"{path}: this is a database of another program")
    from alembic.script import ScriptDirectory

    known = {script.revision for script in ScriptDirectory.from_config(config).walk_revisions()}
    if found not in known:
        raise StoreError(
            f"{path}: the database is of revision {found}, which this version of access-monitor"
            f" does not know (its newest is {HEAD}): a newer version has migrated it."
            " Start that version, or restore the copy it made"
        )
