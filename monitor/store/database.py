"""Opens a database for its writers: makes or migrates it, and connects to it.

Alembic is imported only for a migration: it takes 11 MB and as long as the rest of a start. A new
database is made from the tables of the code.
"""

import os
import sqlite3
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import Connection, Engine, create_engine, event, inspect, text
from sqlalchemy.pool import NullPool

from monitor.access.databases import Database, Server
from monitor.store.connections import writing_connection
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
from monitor.store.fences import require_free
from monitor.store.tables import metadata

if TYPE_CHECKING:
    from alembic.config import Config

#: The table as Alembic makes it.
_REVISION_TABLE = (
    "CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL,"
    " CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num))"
)


def writing_engine(database: Database, *, foreign_keys: bool = True) -> Engine:
    """An engine that connects anew each time, and to SQLite begins every transaction with `BEGIN IMMEDIATE`.

    A plain BEGIN takes SQLite's write lock at the first write, and fails at once if another process wrote in
    between. Connecting raises StoreError where WAL is not available.
    """
    if isinstance(database, Server):
        from monitor.store import postgres

        return create_engine(
            "postgresql+psycopg://",
            creator=partial(postgres.connect, database),
            poolclass=NullPool,
            hide_parameters=True,
            use_native_hstore=False,
        )
    engine = create_engine(
        "sqlite://",
        creator=partial(writing_connection, database, foreign_keys=foreign_keys),
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
    if not inspect(connection).has_table("alembic_version"):
        return None
    return connection.exec_driver_sql("SELECT version_num FROM alembic_version").scalar()


def damage(connection: Connection) -> str:
    """The first damage that SQLite finds in the file, in SQLite's words; empty if the file is sound.

    PostgreSQL says itself what it cannot read.
    """
    if connection.dialect.name != "sqlite":
        return ""
    found = connection.exec_driver_sql("PRAGMA quick_check(1)").scalar()
    connection.rollback()
    return "" if found == "ok" else " ".join(str(found).split())


def keep_log_short(connection: Connection, pages: int) -> None:
    """Have SQLite copy its write-ahead log into the database after so many pages."""
    if connection.dialect.name == "sqlite":
        connection.exec_driver_sql(f"PRAGMA wal_autocheckpoint = {pages}")


def migrate(database: Database) -> str | None:
    """Migrate the database, which may be empty, to HEAD in one transaction.

    A file with tables is first copied to `NAME.before-REVISION`. Returns the revision found before. Raises
    StoreError for a database of an unknown revision, and when the migration fails: it is then unchanged.
    """
    # foreign keys off: a migration that rebuilds a table drops it for a moment
    engine = writing_engine(database, foreign_keys=False)
    with as_store_errors(database):
        with engine.connect() as connection:
            found = revision(connection)
            tables = inspect(connection).get_table_names()
        if found == HEAD:
            return found
        if not tables:
            _make_tables(engine)
            return found
        from alembic import command

        config = _config()
        _require_known(database, found, config)
        if not isinstance(database, Server):
            backup(database, database.with_name(f"{database.name}.before-{HEAD}"))
        with engine.begin() as connection:
            _keep_others_out(connection)
            if isinstance(database, Server):
                if revision(connection) == HEAD:
                    return HEAD
                require_free(database, connection)  # a daemon of the older version may live
            config.attributes["connection"] = connection
            command.upgrade(config, "head")
            if _breaks_references(connection):
                raise StoreError(f"{database}: the migration to {HEAD} would break references")
    return found


def _make_tables(engine: Engine) -> None:
    with engine.begin() as connection:
        _keep_others_out(connection)
        if revision(connection) is None:
            metadata.create_all(connection)
            connection.execute(text(_REVISION_TABLE))
            connection.execute(text("INSERT INTO alembic_version VALUES (:head)"), {"head": HEAD})


def _keep_others_out(connection: Connection) -> None:
    """Let others who migrate wait until the transaction ends; of a file there is only one who does."""
    if connection.dialect.name == "postgresql":
        # of this transaction only: a lock of a session is lost behind a pooler. The number is any.
        connection.exec_driver_sql("SELECT pg_advisory_xact_lock(4203174201)")


def _breaks_references(connection: Connection) -> bool:
    """Whether a row refers to none, in SQLite, which does not look while tables are rebuilt."""
    if connection.dialect.name != "sqlite":
        return False
    return connection.exec_driver_sql("PRAGMA foreign_key_check").first() is not None


def create(database: Database) -> None:
    """Make the database if there is none, as the first start of a daemon does.

    A file gets the owner of its folder if that is not root. Raises StoreError when it cannot be made, or
    when another process is making it and does not finish.
    """
    if isinstance(database, Server):
        migrate(database)
        return
    path = database
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


def _require_known(database: Database, found: str | None, config: "Config") -> None:
    if found is None:
        raise StoreError(f"{database}: this is a database of another program")
    from alembic.script import ScriptDirectory

    known = {script.revision for script in ScriptDirectory.from_config(config).walk_revisions()}
    if found not in known:
        raise StoreError(
            f"{database}: the database is of revision {found}, which this version of access-monitor"
            f" does not know (its newest is {HEAD}): a newer version has migrated it."
            " Start that version, or restore the copy it made"
        )
