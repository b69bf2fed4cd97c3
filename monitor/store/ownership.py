"""Who writes to a database: one daemon at a time, and how each of the two databases sees to that."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from pathlib import Path
from typing import Protocol

from sqlalchemy import Connection, text
from sqlalchemy.exc import SQLAlchemyError

from monitor.access.databases import Database, Server
from monitor.store import fences, tables
from monitor.store.database import CommitWatch, migrate, writing_engine
from monitor.store.database_files import DatabaseFiles, FileLock, as_store_errors, make_file
from monitor.store.errors import GoneError, StoreError
from monitor.store.inbox import epoch_and_requests
from monitor.store.transaction import FleetTerms

_TAKE_AGAIN = text("""
    UPDATE declarations SET taken_at = NULL WHERE id > (SELECT min(declared) FROM shards)
""")
_NOTE_ENDED = text(
    "UPDATE daemon SET stopped_at = progress_at WHERE id <> 1 AND stopped_at IS NULL"
)


class Ownership(Protocol):
    """The right of a daemon to write to a database, until it is released."""

    #: the number of its row in `daemon`
    number: int

    @property
    def terms(self) -> FleetTerms | None:
        """What binds a worker of a fleet; None for the one daemon."""

    def take(self, connection: Connection) -> None:
        """Become the owner, in the first transaction. Raises LockedError while another one lives."""

    def opened(self) -> None:
        """The first transaction is committed."""

    def enter(self, connection: Connection) -> int:
        """Begin a transaction of the owner; returns its number, one more than that of the last one.

        Raises GoneError when another has become the owner.
        """

    def guarded(self, connection: Connection) -> AbstractContextManager[None]:
        """End what is done meanwhile when the database does not answer for long."""

    def require(self) -> None:
        """Raise GoneError when what was opened is no longer the database, or another owns it."""

    def commits(self) -> int | None:
        """A number that changes with each commit of any process; None where only a query could tell."""

    def has_requests(self) -> bool:
        """Whether there may be requests, by a query where `commits` does not tell. Never raises."""

    def note(self, *, refusing: bool) -> None:
        """Note whether the database refuses results, for other processes. Never raises."""

    def ending(self, connection: Connection) -> None:
        """The writer's connection is about to be closed. Never raises."""

    def release(self) -> None:
        """Let another instance have it."""


class FileOwnership:
    """A file has one owner by a lock, which ends with the process. It is held from the beginning."""

    number = fences.ONE
    terms = None

    def __init__(self, path: Path) -> None:
        make_file(path)
        self._path = path
        self._lock = FileLock(path)
        self._files: DatabaseFiles | None = None
        self._commits: CommitWatch | None = None
        self._number = 0

    def take(self, connection: Connection) -> None:
        """Nothing is left to do."""

    def opened(self) -> None:
        """Remember the files as they are now."""
        self._files, self._commits = DatabaseFiles(self._path), CommitWatch(self._path)

    def enter(self, connection: Connection) -> int:  # noqa: ARG002 - the lock is enough
        """Count: a commit always tells what became of it."""
        self._number += 1
        return self._number

    def guarded(self, connection: Connection) -> AbstractContextManager[None]:  # noqa: ARG002
        """Do nothing: SQLite waits for a bounded time."""
        return nullcontext()

    def require(self) -> None:
        """Raise GoneError when the file was deleted or replaced."""
        if self._files:
            self._files.require()

    def commits(self) -> int | None:
        """The number that SQLite has in the file."""
        return self._commits.version() if self._commits else None

    def has_requests(self) -> bool:
        """It may."""
        return True

    def note(self, *, refusing: bool) -> None:
        """Note it in the lock's file."""
        self._lock.note(refusing=refusing)

    def ending(self, connection: Connection) -> None:
        """Save what a deleted file had."""
        # before the writer's: only the last connection empties the write-ahead log
        if self._commits:
            self._commits.close()
        if self._files:
            self._files.save(connection)

    def release(self) -> None:
        """Release the lock."""
        self._lock.release()


class ServerOwnership:
    """A server's database has one owner by a fence: a row with the epoch of the owner.

    Each of the owner's transactions checks the epoch and counts, so that who lost it writes nothing more, and
    who was cut off from a commit learns what became of it.
    """

    number = fences.ONE

    def __init__(self, server: Server) -> None:
        self._server = server
        self._epoch: int | None = None
        self._lost = False

    @property
    def terms(self) -> FleetTerms | None:
        """None: it has all."""
        return None

    def take(self, connection: Connection) -> None:
        """Begin the next epoch, unless the owner of the present one lives."""
        fences.require_free(self._server, connection)
        fences.take_away(connection)
        # what a fleet had shared; the next one begins anew. A shard may not have taken the last declarations
        connection.execute(_TAKE_AGAIN)
        connection.execute(tables.shards.delete())
        connection.execute(tables.months.delete())
        connection.execute(_NOTE_ENDED)
        self._epoch = fences.take(connection)

    def opened(self) -> None:
        """Nothing is left to do."""

    def enter(self, connection: Connection) -> int:
        """Check the epoch."""
        number = fences.enter(connection, self._epoch)
        if number is None:
            self._lost = True
            self.require()
        return int(number or 0)

    def guarded(self, connection: Connection) -> AbstractContextManager[None]:
        """Cut the connection: the server may hang, and its machine still acknowledge what is sent."""
        from monitor.store import postgres

        return postgres.cut_after(postgres.WRITE_MOST, connection.connection.driver_connection)

    def require(self) -> None:
        """Raise GoneError when another daemon has taken the database."""
        if self._lost:
            raise GoneError(
                f"{self._server}: another daemon has taken the database over; this one records nothing more"
            )

    def commits(self) -> int | None:
        """None: a query must tell."""
        return None

    def has_requests(self) -> bool:
        """Ask, and whether it is still the owner: this writes nothing, as the writer would."""
        try:
            epoch, waiting = epoch_and_requests(self._server, self.number)
        except StoreError:
            return False  # the writer notices, and says so
        self._lost |= epoch != self._epoch
        return waiting

    def note(self, *, refusing: bool) -> None:
        """Do nothing: it could be noted in the database only."""

    def ending(self, connection: Connection) -> None:
        """Let another daemon have it at once."""
        if connection.invalidated:
            return  # the server is away, and a stop does not wait for it
        with suppress(SQLAlchemyError), self.guarded(connection), connection.begin():
            fences.leave(connection, self._epoch, self.number)

    def release(self) -> None:
        """Nothing is left to do: see `ending`."""


@contextmanager
def writing_alone(database: Database, *, patient: bool = False) -> Iterator[Connection]:
    """A transaction of a command while no daemon lives, which keeps daemons and other commands out.

    Makes or migrates the database. A server that does not answer is waited for only by the `patient`. Raises
    StoreError: `LockedError` when a daemon or, for a moment, another command has it.
    """
    if isinstance(database, Server):
        from monitor.store import postgres

        migrate(database)
        with as_store_errors(database), writing_engine(database).begin() as connection:
            driver = connection.connection.driver_connection
            most = None if patient else postgres.WRITE_MOST
            with postgres.cut_after(most, driver):
                fences.require_free(database, connection)
                fences.take_away(connection)
                # it does not see what the command spends; the next fleet sums up anew
                connection.execute(tables.months.delete())
                yield connection
        return
    make_file(database)
    lock = FileLock(database)
    try:
        migrate(database)
        with as_store_errors(database), writing_engine(database).begin() as connection:
            yield connection
    finally:
        lock.release()
