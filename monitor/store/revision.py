"""The revision of the tables that this program knows, and the error texts for others."""

from pathlib import Path

#: The newest revision in `migrations/versions`.
HEAD = "0001"

#: Seconds that a connection waits for another process's transaction.
BUSY_TIMEOUT = 5.0


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
