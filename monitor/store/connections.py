"""Connections to the file: one writer, read-only others, and the lock of the writer."""

import errno
import fcntl
import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import Connection, Engine, create_engine, event, inspect, text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.pool import NullPool

from monitor.store.errors import LockedError, StoreError
from monitor.store.revision import BUSY_TIMEOUT, trouble_of


def writing_engine(path: Path, *, foreign_keys: bool = True) -> Engine:
    """An engine whose every transaction begins with `BEGIN IMMEDIATE`.

    A plain BEGIN takes the write lock at the first write, and fails at once if another process wrote in
    between. Connecting raises StoreError where WAL is not available.
    """

    def connect() -> sqlite3.Connection:
        # isolation_level None: the driver begins no transactions itself
        connection = sqlite3.connect(
            path, isolation_level=None, timeout=BUSY_TIMEOUT, check_same_thread=False
        )
        (mode,) = connection.execute("PRAGMA journal_mode = WAL").fetchone()
        if mode != "wal":
            connection.close()
            raise StoreError(
                f"{path}: this place cannot keep a write-ahead log (its journal is {mode!r});"
                " put the database on a local disk"
            )
        # FULL: NORMAL may lose the last commits when the power fails
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute(f"PRAGMA foreign_keys = {'ON' if foreign_keys else 'OFF'}")
        # a long read lets the log grow: give the space back at the next checkpoint
        connection.execute(f"PRAGMA journal_size_limit = {16 * 1024 * 1024}")
        return connection

    # hide_parameters: bound values stay out of exceptions
    engine = create_engine("sqlite://", creator=connect, poolclass=NullPool, hide_parameters=True)

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE")

    return engine


@contextmanager
def reading(path: Path) -> Iterator[Connection]:
    """A read-only connection in one transaction: all reads see the same moment.

    Raises StoreError when there is no database of this program's revision, or it cannot be read.
    """
    require(path)

    def connect() -> sqlite3.Connection:
        connection = sqlite3.connect(
            path.resolve().as_uri() + "?mode=ro",
            uri=True,
            isolation_level=None,
            timeout=BUSY_TIMEOUT,
        )
        connection.execute("PRAGMA query_only = ON")
        return connection

    engine = create_engine("sqlite://", creator=connect, poolclass=NullPool, hide_parameters=True)

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        connection.exec_driver_sql("BEGIN")

    with as_store_errors(path), engine.connect() as connection:
        require_head(path, connection)
        yield connection


@contextmanager
def as_store_errors(path: Path) -> Iterator[None]:
    """Turn the library's exceptions into a StoreError that names the file and the cause."""
    try:
        yield
    except (SQLAlchemyError, sqlite3.Error) as error:
        driver = getattr(error, "orig", None) or error
        corrupt = getattr(driver, "sqlite_errorname", "").startswith("SQLITE_CORRUPT")
        raise StoreError(
            _damaged(path, cause(error)) if corrupt else f"{path}: {cause(error)}"
        ) from error
    except OSError as error:
        refused = isinstance(error, PermissionError) or error.errno == errno.EROFS
        hint = (
            "; let this user write there, or name another place: [monitor] database"
            if refused
            else ""
        )
        raise StoreError(f"{path}: {error.strerror or error}{hint}") from error
    except (ValueError, TypeError, LookupError) as error:
        # this program wrote the value, so it is damaged; SQLite does not detect damage within a value
        raise StoreError(f"{path}: the database is damaged (a value cannot be read)") from error


def cause(error: Exception) -> str:
    """The database's own error text, without the statement."""
    return str(getattr(error, "orig", None) or error)


def require(path: Path) -> None:
    """Raise StoreError when the database does not exist yet."""
    if not path.exists():
        raise StoreError(trouble_of(path, None))


def revision(connection: Connection) -> str | None:
    """The revision of the tables, or None before the first migration."""
    if not inspect(connection).has_table("alembic_version"):
        return None
    return connection.execute(text("SELECT version_num FROM alembic_version")).scalar()


def require_head(path: Path, connection: Connection) -> None:
    """Raise StoreError when the tables are not of this program's revision."""
    if problem := trouble_of(path, revision(connection)):
        raise StoreError(problem)


def require_sound(path: Path, connection: Connection) -> None:
    """Raise StoreError when the file is damaged: what is written to it would be lost sooner or later."""
    if words := damage(connection):
        raise StoreError(_damaged(path, words))


def _damaged(path: Path, words: str) -> str:
    return (
        f"{path}: the database is damaged ({words}). Restore a copy made by `access-monitor backup`,"
        " or move it away to begin anew; what it remembers is then forgotten"
    )


def damage(connection: Connection) -> str:
    """The first damage that SQLite finds in the file, in SQLite's words; empty if the file is sound."""
    found = connection.exec_driver_sql("PRAGMA quick_check(1)").scalar()
    connection.rollback()
    return "" if found == "ok" else " ".join(str(found).split())


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
            holder = os.read(self._file, 32).decode(errors="replace").strip() or "unknown"
            os.close(self._file)
            raise LockedError(
                f"{path}: another instance has this database open (process {holder})"
            ) from None
        os.ftruncate(self._file, 0)
        os.write(self._file, f"{os.getpid()}\n".encode())

    def release(self) -> None:
        """Release the file for another instance."""
        os.close(self._file)
