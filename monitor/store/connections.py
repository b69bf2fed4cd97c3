"""Connections without SQLAlchemy: the one by which every other process reads, and the one by which it asks.

The page has little memory, and commands such as `status` and the health check are to start fast: to import
SQLAlchemy takes 24 MB, and longer than all the rest.

Queries are written in the SQL that both databases know, with SQLite's placeholders; times and days are bound
as text, which PostgreSQL reads as UTC.
"""

import errno
import os
import re
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, closing, contextmanager
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any, Protocol

from monitor.access.databases import Database, Server
from monitor.store.errors import (
    BUSY_TIMEOUT,
    IS_FOLDER,
    StoreError,
    of_sqlite,
    read_only,
    require,
    require_head,
)

#: What a database's file begins with (sqlite.org/fileformat.html, 1.3).
_SQLITE = b"SQLite format 3\0"

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


class Row(Protocol):
    """A row: its columns by position and by name."""

    def keys(self) -> Sequence[str]:
        """The names of the columns."""

    def __getitem__(self, column: Any, /) -> Any: ...
    def __iter__(self) -> Iterator[Any]: ...


class Rows(Protocol):
    """What a statement returned."""

    def fetchone(self) -> Any:
        """The next row; None after the last one."""

    def fetchall(self) -> list[Any]:
        """The rest of the rows."""

    def __iter__(self) -> Iterator[Any]: ...


class Connection(Protocol):
    """A connection of either database, in a transaction."""

    def execute(self, sql: str, values: Sequence[Any] | Mapping[str, Any] = (), /) -> Rows:
        """Run a statement with values for its placeholders."""


def stored(at: datetime) -> str:
    """A time as queries name it: SQLite stores it like this. Raises ValueError for one without a zone."""
    if at.tzinfo is None:
        raise ValueError("a time without a zone")
    return at.astimezone(UTC).replace(tzinfo=None).isoformat(" ", "microseconds")


def is_foreign(path: Path) -> bool:
    """Whether a file is there that is neither empty nor of SQLite. Raises OSError when it cannot be read."""
    if not path.exists():
        return False
    with path.open("rb") as file:
        return file.read(len(_SQLITE)) not in (b"", _SQLITE)


def unwritable(path: Path) -> Path | None:
    """What keeps this user from writing a database: its file, its folder, or what that would be made in."""
    folder = next(one for one in path.parents if os.access(one, os.F_OK))
    if not folder.is_dir() or not os.access(folder, os.W_OK | os.X_OK):
        return folder
    missing = not os.access(path, os.F_OK)
    return None if missing or os.access(path, os.R_OK | os.W_OK) else path


def glob(database: Database, pattern: str) -> tuple[str, str]:
    """The operator by which a text is compared with a pattern of the settings, and the pattern for it."""
    if not isinstance(database, Server):
        # it differs from fnmatch only in the sign of a negated set
        return "GLOB", pattern.replace("[!", "[^")
    parts = re.findall(r"\[[!^]?\]?[^\]]*\]|.", pattern, re.DOTALL)
    regex = "".join(map(_regular, parts))
    return "~", f"^({regex})$"


def _regular(part: str) -> str:
    """A part of a pattern as a regular expression of PostgreSQL's, which finds what SQLite's GLOB finds."""
    if part in "*?":
        return {"*": ".*", "?": "."}[part]
    if len(part) == 1:  # a set that does not end finds nothing
        return "$." if part == "[" else re.escape(part)
    inner = part[1:-1]
    denied = inner[:1] in ("!", "^")
    ranges = re.findall(r"(.)-(.)|(.)", inner[denied:], re.DOTALL)
    signs = "".join(
        f"\\U{ord(low or one):08x}-\\U{ord(high or one):08x}"
        for low, high, one in ranges
        if low <= high
    )
    if not signs:
        return "." if denied else "$."
    return f"[^{signs}]" if denied else f"[{signs}]"


def reading(database: Database) -> AbstractContextManager[Connection]:
    """A read-only connection in one transaction: all reads see the same moment.

    Raises StoreError when there is no database of this program's revision, or it cannot be read.
    """
    return _transaction(database, writes=False)


def writing(database: Database) -> AbstractContextManager[Connection]:
    """A connection in a transaction that is committed at the end; SQLite's holds the write lock meanwhile.

    Raises StoreError as `reading` does, and when another process holds the lock for long.
    """
    return _transaction(database, writes=True)


@contextmanager
def _transaction(database: Database, *, writes: bool) -> Iterator[Connection]:
    if isinstance(database, Server):
        from monitor.store import postgres

        with postgres.transaction(database, writes=writes) as connection:
            yield connection
        return
    path = database
    require(path)
    with (
        sqlite_errors(path),
        closing(
            writing_connection(path) if writes else read_only(path, detect_types=_TYPES)
        ) as file,
    ):
        file.row_factory = sqlite3.Row
        file.execute("BEGIN IMMEDIATE" if writes else "BEGIN")
        require_head(path, _revision(file))
        yield file
        if writes:
            file.execute("COMMIT")


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
    made = "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'alembic_version'"
    if connection.execute(made).fetchone() is None:
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
    except IsADirectoryError as error:
        raise StoreError(f"{path}: {IS_FOLDER}") from error
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
