"""The errors of the store, which databases it can read, and a connection that reads one.

Made without SQLAlchemy, for `connections`.
"""

import sqlite3
from pathlib import Path
from typing import Any

from monitor.access.databases import Database
from monitor.access.readable import ReadableError

#: The newest revision in `migrations/versions`.
HEAD = "0005"

#: What is said of a folder that is named where a file is wanted.
IS_FOLDER = "this is a folder; name a file, best in a folder of its own: [monitor] database"

#: Seconds that a connection waits for another process's transaction.
BUSY_TIMEOUT = 5.0


class StoreError(ReadableError):
    """The database cannot be opened, read or written.

    The text never has bound values, so the data of a write stay out of logs.
    """


class UnavailableError(StoreError):
    """The database is locked, full, read-only or damaged. The work is not at fault and may be retried."""


class UnansweredError(UnavailableError):
    """The connection was cut during the commit: the work is done or not, and who is told this cannot know."""


class LockedError(StoreError):
    """Another process has the database: a daemon, or, for a moment, a command."""


class GoneError(StoreError):
    """The file was deleted or replaced while it was in use."""


class OverMonthError(StoreError):
    """The month's budget has no room for a reservation: other workers of the fleet have taken it."""


class MovedError(StoreError):
    """A target has become another worker's, by other settings; it is not known any more."""


class TakenError(StoreError):
    """Another worker of the fleet has carried out the request."""


class DestinationError(StoreError):
    """The destination cannot be written; the user must choose another one."""


def of_sqlite(path: Path, error: Exception) -> StoreError:
    """What SQLite reports of this file, and what to do where it is damaged."""
    damaged = getattr(error, "sqlite_errorname", "").startswith("SQLITE_CORRUPT")
    return StoreError(damage_report(path, str(error)) if damaged else f"{path}: {error}")


def one_line(words: str) -> str:
    """The words of a database in one line, without the statement that PostgreSQL adds."""
    return " ".join(words.partition("\nLINE ")[0].split())


def damage_report(database: Database, words: str) -> str:
    """What is said of a damaged file, with SQLite's words for the damage."""
    return (
        f"{database}: the database is damaged ({words}). Restore a copy made by `access-monitor backup`,"
        " or move it away to begin anew; what it remembers is then forgotten"
    )


def is_there(path: Path) -> bool:
    """Whether the database exists. Raises StoreError for a folder, and when this user may not know."""
    try:
        if not path.is_dir():
            return path.exists()
    except OSError as error:
        raise StoreError(
            f"{path}: {error.strerror or error}; let this user enter its folder"
        ) from error
    raise StoreError(f"{path}: {IS_FOLDER}")


def require(path: Path) -> None:
    """Raise StoreError when the database does not exist yet."""
    if not is_there(path):
        raise StoreError(f"{path}: there is no database yet; start `access-monitor run` first")


def require_head(database: Database, found: str | None) -> None:
    """Raise StoreError when `found`, the revision of the tables, is not this program's; None: no tables."""
    if found is None:
        raise StoreError(f"{database}: the database is empty; start `access-monitor run` first")
    if found != HEAD:
        raise StoreError(
            f"{database}: the database is of revision {found}, this program of {HEAD};"
            " the daemon runs another version, or has yet to be restarted with this one"
        )


def read_only(path: Path, *, timeout: float = BUSY_TIMEOUT, **more: Any) -> sqlite3.Connection:
    """A connection that cannot write, and begins no transactions itself."""
    uri = f"{path.resolve().as_uri()}?mode=ro"
    connection: sqlite3.Connection = sqlite3.connect(
        uri, uri=True, isolation_level=None, timeout=timeout, **more
    )
    return connection
