"""Copying a database while others use it."""

import os
import sqlite3
from contextlib import closing
from pathlib import Path

from monitor.store.engine import require, told_plainly
from monitor.store.errors import StoreError


def backup(source: Path, destination: Path) -> None:
    """Copy a database, live or not, to a file of mode 0600, which appears whole or not at all.

    A file already there is replaced. Raises StoreError when one of them cannot be read or written.
    """
    require(source)
    if destination.exists() and destination.samefile(source):
        raise StoreError(f"{destination}: this is the database itself")
    with told_plainly(destination), closing(_read_only(source)) as original:
        write_copy(original, destination)


def write_copy(original: sqlite3.Connection, destination: Path) -> None:
    """Copy what an open connection sees, as `backup` does. Raises sqlite3.Error and OSError."""
    unfinished = destination.with_name(destination.name + ".unfinished")
    unfinished.unlink(missing_ok=True)
    os.close(os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    try:
        with closing(sqlite3.connect(unfinished)) as copy:
            original.backup(copy)
            # one file without a log beside it, so that it can be opened anywhere
            copy.execute("PRAGMA journal_mode = DELETE")
        unfinished.replace(destination)
    finally:
        unfinished.unlink(missing_ok=True)


def _read_only(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(path.resolve().as_uri() + "?mode=ro", uri=True)
