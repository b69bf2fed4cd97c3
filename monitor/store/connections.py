"""Connections without SQLAlchemy: the one by which every other process reads, and the one by which it asks.

The page has little memory, and commands such as `status` and the health check are to start fast: to import
SQLAlchemy takes 24 MB, and longer than all the rest.
"""

import errno
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, date, datetime
from pathlib import Path

from monitor.store.errors import (
    BUSY_TIMEOUT,
    StoreError,
    of_sqlite,
    read_only,
    require,
    require_head,
)

IS_MIGRATED = "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'alembic_version'"

# used only where `detect_types` asks for it: the types of the tables' columns, and `"name [datetime]"` for
# what is computed
sqlite3.register_converter(
    # to put the zone into a time afterwards takes three times as long
    "datetime",
    lambda stored: datetime.fromisoformat(f"{stored.decode()}+00:00"),
)
sqlite3.register_converter("date", lambda stored: date.fromisoformat(stored.decode()))
sqlite3.register_converter("boolean", lambda stored: stored != b"0")
_TYPES = sqlite3.PARSE_DECLTYPES | sqlite3.PARSE_COLNAMES


def stored(at: datetime) -> str:
    """A time in its stored form, to compare with. Raises ValueError for one without a zone."""
    if at.tzinfo is None:
        raise ValueError("a time without a zone")
    return at.astimezone(UTC).replace(tzinfo=None).isoformat(" ", "microseconds")


@contextmanager
def reading(path: Path) -> Iterator[sqlite3.Connection]:
    """A read-only connection in one transaction: all reads see the same moment.

    Raises StoreError when there is no database of this program's revision, or it cannot be read.
    """
    require(path)
    with sqlite_errors(path), closing(read_only(path, detect_types=_TYPES)) as connection:
        connection.row_factory = sqlite3.Row
        connection.execute("BEGIN")
        require_head(path, _revision(connection))
        yield connection


@contextmanager
def writing(path: Path) -> Iterator[sqlite3.Connection]:
    """A connection in a transaction that holds the write lock, and is committed at the end.

    Raises StoreError as `reading` does, and when another process holds the lock for long.
    """
    require(path)
    with sqlite_errors(path), closing(writing_connection(path)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        require_head(path, _revision(connection))
        yield connection
        connection.execute("COMMIT")


def writing_connection(path: Path, *, foreign_keys: bool = True) -> sqlite3.Connection:
    """A connection that writes durably. Raises StoreError where WAL is not available."""
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


def _revision(connection: sqlite3.Connection) -> str | None:
    if connection.execute(IS_MIGRATED).fetchone() is None:
        return None
    row = connection.execute("SELECT version_num FROM alembic_version").fetchone()
    return str(row[0]) if row else None


@contextmanager
def sqlite_errors(path: Path) -> Iterator[None]:
    """Turn SQLite's and the system's exceptions into a StoreError that names the file and the cause."""
    try:
        yield
    except sqlite3.Error as error:
        raise of_sqlite(path, error) from error
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
