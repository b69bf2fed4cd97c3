"""The errors of the store, and which databases it can read."""

from pathlib import Path

#: The newest revision in `migrations/versions`.
HEAD = "0001"

#: Seconds that a connection waits for another process's transaction.
BUSY_TIMEOUT = 5.0


class StoreError(Exception):
    """The database cannot be opened, read or written. The text is meant for a person.

    It never has bound values, so the data of a write stay out of logs.
    """


class UnavailableError(StoreError):
    """The database is locked, full, read-only or damaged. The work is not at fault and may be retried."""


class LockedError(StoreError):
    """Another process has the database: a daemon, or, for a moment, a command."""


class GoneError(StoreError):
    """The file was deleted or replaced while it was in use."""


class DestinationError(StoreError):
    """The destination cannot be written; the user must choose another one."""


def trouble_of(path: Path, found: str | None) -> str:
    """Why a database of revision `found` (None: it has no tables) cannot be read; empty if it can."""
    if not path.exists():
        return f"{path}: there is no database yet; start `access-monitor run` first"
    if found is None:
        return f"{path}: the database is empty; start `access-monitor run` first"
    if found != HEAD:
        return (
            f"{path}: the database is of revision {found}, this program of {HEAD};"
            " the daemon runs another version, or has yet to be restarted with this one"
        )
    return ""
