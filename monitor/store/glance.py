"""A glance at the daemon's row, without the machinery of the other queries: it has to be quick to start.

A container's health check runs every half minute, and to import SQLAlchemy takes longer than all else.
"""

import json
import sqlite3
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

from monitor.store.errors import StoreError
from monitor.store.records import DaemonRow
from monitor.store.revision import BUSY_TIMEOUT, trouble_of


def daemon(path: Path) -> DaemonRow | None:
    """The daemon that has the database or had it last; raises StoreError as `queries.daemon` does."""
    if not path.exists():
        raise StoreError(trouble_of(path, None))
    try:
        with closing(
            sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True, timeout=BUSY_TIMEOUT)
        ) as connection:
            tables = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
            found = None
            if ("alembic_version",) in tables.fetchall():
                (found,) = connection.execute("SELECT version_num FROM alembic_version").fetchone()
            if problem := trouble_of(path, found):
                raise StoreError(problem)
            row = connection.execute(
                "SELECT pid, started_at, progress_at, stopped_at, status FROM daemon"
            ).fetchone()
        if row is None:
            return None
        pid, started, progress, stopped, status = row
        return DaemonRow(
            pid,
            _time(started),
            _time(progress),
            _time(stopped) if stopped else None,
            json.loads(status),
        )
    except (sqlite3.Error, OSError) as error:
        raise StoreError(f"{path}: {error}") from error
    except (ValueError, TypeError) as error:
        raise StoreError(f"{path}: the database is damaged (a value cannot be read)") from error


def _time(stored: str) -> datetime:
    return datetime.fromisoformat(stored).replace(tzinfo=UTC)
