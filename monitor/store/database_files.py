"""The database's files: made, locked, copied, and checked that they are still the ones that were opened."""

import fcntl
import os
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import structlog
from sqlalchemy import Connection
from sqlalchemy.exc import SQLAlchemyError

from monitor.access.databases import Database, Server
from monitor.store.connections import is_foreign, sqlite_errors
from monitor.store.errors import (
    DestinationError,
    GoneError,
    LockedError,
    StoreError,
    of_sqlite,
    one_line,
    read_only,
    require,
)
from monitor.store.status_queries import ACCEPTS, REFUSES

log = structlog.get_logger()

#: Suffixes of a database's own files: the database, SQLite's logs, and the lock.
_ENDINGS = ("", "-wal", "-shm", "-journal", ".lock")


@contextmanager
def as_store_errors(database: Database) -> Iterator[None]:
    """Turn the libraries' exceptions into a StoreError that names the database and the cause."""
    if isinstance(database, Server):
        from monitor.store import postgres

        with postgres.errors(database):
            try:
                yield
            except SQLAlchemyError as error:
                raise StoreError(f"{database}: {cause(error)}") from error
        return
    with sqlite_errors(database):
        try:
            yield
        except SQLAlchemyError as error:
            raise of_sqlite(database, getattr(error, "orig", None) or error) from error


def cause(error: Exception) -> str:
    """The database's own error text in one line, without the statement and its values."""
    own = getattr(error, "orig", None) or error
    diagnosed = getattr(own, "diag", None)  # of psycopg: the words without the row
    return one_line(getattr(diagnosed, "message_primary", None) or str(own))


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
            holder = (os.read(self._file, 32).decode(errors="replace").split() or ["unknown"])[0]
            os.close(self._file)
            raise LockedError(
                f"{path}: another instance has this database open (process {holder})"
            ) from None
        os.ftruncate(self._file, 0)
        os.write(self._file, b"%d %s\n" % (os.getpid(), ACCEPTS))

    def note(self, *, refusing: bool) -> None:
        """Note whether the database refuses results, for other processes. Never raises.

        Where this file cannot be written to either, they see only that the daemon's notes grow old.
        """
        word = REFUSES if refusing else ACCEPTS
        with suppress(OSError):  # it overwrites what is there, which a full disk allows
            os.pwrite(self._file, b"%d %s\n" % (os.getpid(), word), 0)

    def release(self) -> None:
        """Release the file for another instance."""
        self.note(refusing=False)  # nobody is left who could say so when it ends
        os.close(self._file)


class DatabaseFiles:
    """Remembers which files were opened. Make it when the database is open and has been written to.

    A process can still write to an open file that was deleted or replaced, and all of it is lost when the
    last process closes it. Therefore the files must be checked.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._files = [path, path.with_name(path.name + "-wal")]
        self._were = [_identity(file) for file in self._files]

    def require(self) -> None:
        """Raise GoneError when the database or its log is not the file that was opened."""
        for file, was in zip(self._files, self._were, strict=True):
            if _identity(file) != was:
                what = "replaced" if file.exists() else "deleted"
                raise GoneError(f"{file}: it was {what} while the database was in use")

    def save(self, connection: Connection) -> None:
        """If the database was deleted or replaced, copy what the open connection still sees to a file.

        The copy gets the old path if that is free, else `NAME.displaced` beside it. Never raises.
        """
        if _identity(self._path) == self._were[0]:
            return
        taken = self._path.exists()
        place = self._path.with_name(f"{self._path.name}.displaced") if taken else self._path
        try:
            original = connection.connection.dbapi_connection
            _write_copy(original, place)  # type: ignore[arg-type]  # it is sqlite3's own
        except Exception as error:
            # no error may stop the shutdown; log what is lost
            log.exception("database_lost", path=str(self._path), error=str(error))
        else:
            log.error("database_saved", path=str(self._path), to=str(place))


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        about = path.stat()
    except OSError:
        return None
    return about.st_dev, about.st_ino


def backup(source: Path, destination: Path) -> None:
    """Copy a database, in use or not, to a file of mode 0600. The file appears complete or not at all.

    An older copy is replaced, and so is an empty file. Raises StoreError when one of the files cannot be
    read or written, and DestinationError when another file is there, or one of the database's own.
    """
    require(source)
    with as_store_errors(destination):
        _require_replaceable(source, destination)
        with closing(read_only(source)) as original:
            _write_copy(original, destination)


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
    # such as the settings, named by mistake
    if is_foreign(destination):
        raise DestinationError(
            f"{destination}: this file is no database; name an older copy, or a file that does not exist"
        )


def _write_copy(original: sqlite3.Connection, destination: Path) -> None:
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
