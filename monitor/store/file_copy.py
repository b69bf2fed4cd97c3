"""Copying a database while others use it."""

import os
import sqlite3
import tempfile
from contextlib import closing
from pathlib import Path

from monitor.store.connections import as_store_errors, require
from monitor.store.errors import DestinationError

#: What the names of a database's own files end with: itself, SQLite's logs, and the lock.
_ENDINGS = ("", "-wal", "-shm", "-journal", ".lock")


def backup(source: Path, destination: Path) -> None:
    """Copy a database, live or not, to a file of mode 0600, which appears whole or not at all.

    A file already there is replaced. Raises StoreError when one of them cannot be read or written, and
    DestinationError for what is no regular file, and for the database's own files.
    """
    require(source)
    with as_store_errors(destination):
        _require_replaceable(source, destination)
        with closing(_read_only(source)) as original:
            write_copy(original, destination)


def _require_replaceable(source: Path, destination: Path) -> None:
    whole = source.resolve()
    own = [whole.with_name(whole.name + ending) for ending in _ENDINGS]
    place = destination.resolve()
    # by name, too: a log that is not there now is made with the next write
    if place in own or any(place.exists() and o.exists() and place.samefile(o) for o in own):
        raise DestinationError(f"{destination}: this is the database itself, or one of its files")
    # a device, a folder, or a link, which could lead to either
    if destination.is_symlink() or (destination.exists() and not destination.is_file()):
        raise DestinationError(
            f"{destination}: this is no regular file; name one that may be replaced"
        )


def write_copy(original: sqlite3.Connection, destination: Path) -> None:
    """Copy what an open connection sees, as `backup` does. Raises sqlite3.Error and OSError."""
    # a name of its own: another copy, or a file of somebody's, may be there
    made, name = tempfile.mkstemp(".unfinished", f"{destination.name}.", destination.parent)
    os.close(made)
    unfinished = Path(name)
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
