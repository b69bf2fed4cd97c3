"""Checks that the database's files on disk are still the ones that were opened."""

from pathlib import Path

import structlog
from sqlalchemy import Connection

from monitor.store.errors import GoneError
from monitor.store.file_copy import write_copy

log = structlog.get_logger()

Identity = tuple[int, int] | None


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
            write_copy(original, place)  # type: ignore[arg-type]  # it is sqlite3's own
        except Exception as error:
            # no error may stop the shutdown; log what is lost
            log.exception("database_lost", path=str(self._path), error=str(error))
        else:
            log.error("database_saved", path=str(self._path), to=str(place))


def _identity(path: Path) -> Identity:
    try:
        about = path.stat()
    except OSError:
        return None
    return about.st_dev, about.st_ino
