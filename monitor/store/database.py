"""Opens a database for its writers: makes, locks, migrates and copies it, and connects to it.

Alembic is imported only for a migration: it takes 11 MB and as long as the rest of a start. A new
database is made from the tables of the code.
"""

import fcntl
import os
import sqlite3
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import Connection, Engine, create_engine, event, inspect, text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.pool import NullPool

from monitor.access.databases import Database, Server
from monitor.store.connections import is_foreign, sqlite_errors, writing_connection
from monitor.store.errors import (
    BUSY_TIMEOUT,
    HEAD,
    DestinationError,
    LockedError,
    StoreError,
    is_there,
    of_sqlite,
    one_line,
    read_only,
    require,
)
from monitor.store.fences import require_free
from monitor.store.status_queries import ACCEPTS, REFUSES
from monitor.store.tables import metadata

if TYPE_CHECKING:
    from alembic.config import Config

#: The table as Alembic makes it.
_REVISION_TABLE = (
    "CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL,"
    " CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num))"
)
#: Suffixes of a database's own files: the database, SQLite's logs, and the lock.
_ENDINGS = ("", "-wal", "-shm", "-journal", ".lock")


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


@contextmanager
def as_store_errors(database: Database) -> Iterator[None]:
    """Turn the libraries' exceptions into a StoreError that names the database and the cause."""
    if isinstance(database, Server):
        from monitor.store import postgres

        with postgres.errors(database):
            try:
                yield
            except SQLAlchemyError as error:
                raise StoreError(f"{database}: {cause(error)}") from error
        return
    with sqlite_errors(database):
        try:
            yield
        except SQLAlchemyError as error:
            raise of_sqlite(database, getattr(error, "orig", None) or error) from error


def cause(error: Exception) -> str:
    """The database's own error text in one line, without the statement and its values."""
    own = getattr(error, "orig", None) or error
    diagnosed = getattr(own, "diag", None)  # of psycopg: the words without the row
    return one_line(getattr(diagnosed, "message_primary", None) or str(own))


def make_file(path: Path) -> None:
    """Make the folder (0700) and the file (0600) if they are missing; existing ones stay unchanged.

    SQLite gives its log files the mode of the file.
    """
    with as_store_errors(path):
        if not path.parent.exists():
            path.parent.mkdir(mode=0o700, parents=True)
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))


class FileLock:
    """One instance per database: a lock on `FILE.lock`, which the system releases when the process ends.

    `FILE.lock` is never removed: two processes could then lock two files of one name.
    """

    def __init__(self, path: Path) -> None:
        self._path = path.with_name(path.name + ".lock")
        with as_store_errors(self._path):
            self._file = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            holder = (os.read(self._file, 32).decode(errors="replace").split() or ["unknown"])[0]
            os.close(self._file)
            raise LockedError(
                f"{path}: another instance has this database open (process {holder})"
            ) from None
        os.ftruncate(self._file, 0)
        os.write(self._file, b"%d %s\n" % (os.getpid(), ACCEPTS))

    def note(self, *, refusing: bool) -> None:
        """Note whether the database refuses results, for other processes. Never raises.

        Where this file cannot be written to either, they see only that the daemon's notes grow old.
        """
        word = REFUSES if refusing else ACCEPTS
        with suppress(OSError):  # it overwrites what is there, which a full disk allows
            os.pwrite(self._file, b"%d %s\n" % (os.getpid(), word), 0)

    def close(self) -> None:
        """Release the file for another instance."""
        self.note(refusing=False)  # nobody is left who could say so when it ends
        os.close(self._file)


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
    while not (is_there(path) and path.stat().st_size):
        make_file(path)
        try:
            lock = FileLock(path)
        except StoreError:  # a daemon is starting
            if time.monotonic() > until:
                raise
            time.sleep(0.1)
            continue
        with closing(lock):
            migrate(path)
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


def backup(source: Path, destination: Path) -> None:
    """Copy a database, in use or not, to a file of mode 0600. The file appears complete or not at all.

    An older copy is replaced, and so is an empty file. Raises StoreError when one of the files cannot be
    read or written, and DestinationError when another file is there, or one of the database's own.
    """
    require(source)
    with as_store_errors(destination):
        _require_replaceable(source, destination)
        with closing(read_only(source)) as original:
            write_copy(original, destination)


def _require_replaceable(source: Path, destination: Path) -> None:
    whole = source.resolve()
    own = [whole.with_name(whole.name + ending) for ending in _ENDINGS]
    place = destination.resolve()
    # compare names too: a log that does not exist now is made by the next write
    if place in own or any(place.exists() and o.exists() and place.samefile(o) for o in own):
        raise DestinationError(f"{destination}: this is the database itself, or one of its files")
    # a device, a folder, or a link, which could point to either
    if destination.is_symlink() or (destination.exists() and not destination.is_file()):
        raise DestinationError(
            f"{destination}: this is no regular file; name one that may be replaced"
        )
    # such as the settings, named by mistake
    if is_foreign(destination):
        raise DestinationError(
            f"{destination}: this file is no database; name an older copy, or a file that does not exist"
        )


def write_copy(original: sqlite3.Connection, destination: Path) -> None:
    """Copy what an open connection sees, as `backup` does. Raises sqlite3.Error and OSError."""
    # a unique name: another copy or another file may have a fixed one
    made, name = tempfile.mkstemp(".unfinished", f"{destination.name}.", destination.parent)
    os.close(made)
    unfinished = Path(name)
    try:
        with closing(sqlite3.connect(unfinished)) as copy:
            original.backup(copy)
            # one file without a log, so that it can be opened anywhere
            copy.execute("PRAGMA journal_mode = DELETE")
        unfinished.replace(destination)
    finally:
        unfinished.unlink(missing_ok=True)
