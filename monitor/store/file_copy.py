"""Copies a database while other processes use it."""

import os
import sqlite3
import tempfile
from contextlib import closing
from pathlib import Path

from monitor.store.connections import as_store_errors, require
from monitor.store.errors import DestinationError

#: Suffixes of a database's own files: the database, SQLite's logs, and the lock.
_ENDINGS = ("", "-wal", "-shm", "-journal", ".lock")


def backup(source: Path, destination: Path) -> None:
    """Copy a database, in use or not, to a file of mode 0600. The file appears complete or not at all.

    An existing file is replaced. Raises StoreError when one of the files cannot be read or written, and
    DestinationError when the destination is no regular file or is one of the database's own files.
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
    # compare names too: a log that does not exist now is made by the next write
    if place in own or any(place.exists() and o.exists() and place.samefile(o) for o in own):
        raise DestinationError(f"{destination}: this is the database itself, or one of its files")
    # a device, a folder, or a link, which could point to either
    if destination.is_symlink() or (destination.exists() and not destination.is_file()):
        raise DestinationError(
            f"{destination}: this is no regular file; name one that may be replaced"
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


def _read_only(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(path.resolve().as_uri() + "?mode=ro", uri=True)
