"""Who writes to a database: one daemon at a time, or a command while none lives.

How a fleet's workers share one: see `fleet`.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import AbstractContextManager, closing, contextmanager, nullcontext, suppress
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol

import structlog
from sqlalchemy import Connection, Row, TextClause, select, text
from sqlalchemy.exc import SQLAlchemyError

from monitor.access.databases import Database, Server
from monitor.access.holds import Reservation
from monitor.access.spending import BudgetLedger
from monitor.store import fences, tables
from monitor.store.database import (
    FileLock,
    as_store_errors,
    make_file,
    migrate,
    write_copy,
    writing_engine,
)
from monitor.store.errors import GoneError, StoreError, read_only
from monitor.store.inbox import epoch_and_requests, read_reply
from monitor.store.record_forms import value_of
from monitor.store.transaction import FleetTerms, Memo, Transaction

log = structlog.get_logger()

_TAKE_AGAIN = text("""
    UPDATE declarations SET taken_at = NULL WHERE id > (SELECT min(declared) FROM shards)
""")
_NOTE_ENDED = text(
    "UPDATE daemon SET stopped_at = progress_at WHERE id <> 1 AND stopped_at IS NULL"
)
_ENTER = text("""
    UPDATE fences SET sequence = sequence + 1, seen_at = clock_timestamp()
    WHERE id = :id AND epoch = :epoch RETURNING sequence
""")
_LEAVE = text("UPDATE fences SET holder = NULL WHERE id = :id AND epoch = :epoch")


class Ownership(Protocol):
    """The right of a daemon to write to a database, until it is released."""

    #: the number of its row in `daemon`
    number: int = fences.ONE
    #: what binds a worker of a fleet; None for the one daemon, which has all
    terms: FleetTerms | None = None

    def take(self, connection: Connection) -> None:  # noqa: ARG002
        """Become the owner, in the first transaction. Raises LockedError while another one lives."""
        return

    def opened(self) -> None:
        """The first transaction is committed."""
        return

    def enter(self, connection: Connection) -> int:
        """Begin a transaction of the owner; returns its number, one more than that of the last one.

        Raises GoneError when another has become the owner.
        """

    def guarded(self, connection: Connection) -> AbstractContextManager[None]:  # noqa: ARG002
        """End what is done meanwhile when the database does not answer for long; SQLite always does."""
        return nullcontext()

    def require(self) -> None:
        """Raise GoneError when what was opened is no longer the database, or another owns it."""

    def commits(self) -> int | None:
        """A number that changes with each commit of any process; None where only a query could tell."""
        return None

    def has_requests(self) -> bool:
        """Whether there may be requests, by a query where `commits` does not tell. Never raises."""
        return True

    def note(self, *, refusing: bool) -> None:  # noqa: ARG002 - a server has no place for it
        """Note whether the database refuses results, for other processes. Never raises.

        It is noted beside a file. On a server it could be noted in the database only.
        """
        return

    def ending(self, connection: Connection) -> None:
        """The writer's connection is about to be closed. Never raises."""

    def release(self) -> None:
        """Let another instance have it."""
        return


class FileOwnership(Ownership):
    """A file has one owner by a lock, which ends with the process. It is held from the beginning.

    A process can still write to an open file that was deleted or replaced, and all of it is lost when the
    last process closes it. Therefore the files must be checked.
    """

    def __init__(self, path: Path) -> None:
        make_file(path)
        self._path = path
        self._lock = FileLock(path)
        self._number = 0

    def opened(self) -> None:
        """Remember the files as they are now."""
        files = self._path, self._path.with_name(f"{self._path.name}-wal")
        self._opened = {file: _identity(file) for file in files}
        self._watch = read_only(self._path, timeout=0, check_same_thread=False)

    def enter(self, connection: Connection) -> int:  # noqa: ARG002 - the lock is enough
        """Count: a commit always tells what became of it."""
        self._number += 1
        return self._number

    def require(self) -> None:
        """Raise GoneError when the database or its log is not the file that was opened."""
        for file, was in self._opened.items():
            now = _identity(file)
            if now != was:
                what = "replaced" if now else "deleted"
                raise GoneError(f"{file}: it was {what} while the database was in use")

    def commits(self) -> int | None:
        """SQLite's number, by no lock and in 2 µs: the loop may call it. None if it does not tell it now."""
        try:
            (version,) = self._watch.execute("PRAGMA data_version").fetchone()
        except sqlite3.Error:
            return None
        return int(version)

    def note(self, *, refusing: bool) -> None:
        """Note it in the lock's file."""
        self._lock.note(refusing=refusing)

    def ending(self, connection: Connection) -> None:
        """If the file was deleted or replaced, copy what the open connection still sees to another.

        The copy gets the old path if that is free, else `NAME.displaced` beside it.
        """
        # before the writer's: only the last connection empties the write-ahead log
        self._watch.close()
        taken = _identity(self._path)
        if taken == self._opened[self._path]:
            return
        place = self._path.with_name(f"{self._path.name}.displaced") if taken else self._path
        try:
            original = connection.connection.dbapi_connection
            write_copy(original, place)  # type: ignore[arg-type]  # it is sqlite3's own
        except Exception as error:
            # no error may stop the shutdown; log what is lost
            log.exception("database_lost", path=str(self._path), error=str(error))
        else:
            log.error("database_saved", path=str(self._path), to=str(place))

    def release(self) -> None:
        """Release the lock."""
        self._lock.close()


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        about = path.stat()
    except OSError:
        return None
    return about.st_dev, about.st_ino


class ServerOwnership(Ownership):
    """A server's database has one owner by a fence: a row with the epoch of the owner.

    Each of the owner's transactions checks the epoch and counts, so that who lost it writes nothing more, and
    who was cut off from a commit learns what became of it.
    """

    #: what is said when it is lost
    _taken = "another daemon has taken the database over; this one records nothing more"

    def __init__(self, server: Server) -> None:
        self._server = server
        self._epoch: int | None = None
        self._lost = False

    def take(self, connection: Connection) -> None:
        """Begin the next epoch, unless the owner of the present one lives."""
        fences.end_others(self._server, connection)
        # what a fleet had shared; the next one begins anew. A shard may not have taken the last declarations
        connection.execute(_TAKE_AGAIN)
        connection.execute(tables.shards.delete())
        connection.execute(_NOTE_ENDED)
        self._epoch = fences.take(connection, self.number)

    def enter(self, connection: Connection) -> int:
        """Check the epoch."""
        return int(self._entered(connection, _ENTER).sequence)

    def _entered(self, connection: Connection, enter: TextClause) -> Row[Any]:
        fences.limit_waits(connection)
        values = {"id": self.number, "epoch": self._epoch}
        found = connection.execute(enter, values).one_or_none()
        if found is None:
            raise self._lose()
        return found

    def _lose(self) -> GoneError:
        self._lost = True
        return GoneError(f"{self._server}: {self._taken}")

    def guarded(self, connection: Connection) -> AbstractContextManager[None]:
        """Cut the connection: the server may hang, and its machine still acknowledge what is sent."""
        from monitor.store import postgres

        return postgres.cut_after(postgres.WRITE_MOST, connection.connection.driver_connection)

    def require(self) -> None:
        """Raise GoneError when others have taken over."""
        if self._lost:
            raise self._lose()

    def has_requests(self) -> bool:
        """Ask, and whether it is still the owner: this writes nothing, as the writer would."""
        try:
            epoch, waiting = epoch_and_requests(self._server, self.number)
        except StoreError:
            return False  # the writer notices, and says so
        self._lost |= epoch != self._epoch
        return waiting

    def ending(self, connection: Connection) -> None:
        """Let another daemon have it at once."""
        if connection.invalidated:
            return  # the server is away, and a stop does not wait for it
        with suppress(SQLAlchemyError), self.guarded(connection), connection.begin():
            connection.execute(_LEAVE, {"id": self.number, "epoch": self._epoch})


# --- a command, while no daemon lives ---


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
                fences.end_others(database, connection)
                yield connection
        return
    make_file(database)
    with closing(FileLock(database)):
        migrate(database)
        with as_store_errors(database), writing_engine(database).begin() as connection:
            yield connection


@contextmanager
def open_books(database: Database, ledger: BudgetLedger, now: datetime) -> Iterator[Transaction]:
    """Load the month's spending into an empty ledger, and keep other writers out meanwhile.

    What is posted is written at the end. Makes the database if there is none. Raises StoreError:
    `LockedError` when a daemon or, for a moment, another command has it.
    """
    spend, holds = tables.spend, tables.holds
    with writing_alone(database) as connection:
        first = now.date().replace(day=1)
        spent = connection.execute(select(spend).where(spend.c.day >= first))
        held = connection.execute(select(holds).order_by(holds.c.id))
        ledger.load(
            {(row.key, row.day): row.settled_usd for row in spent},
            [value_of(Reservation, row) for row in held.mappings()],
        )
        books = Transaction(connection, Memo(), now)
        yield books
        books.flush()


def withdraw(books: Transaction, item: int) -> dict[str, Any] | None:
    """Withdraw a request from the inbox. Returns the reply if a daemon gave one meanwhile, else None."""
    its = tables.inbox.c
    query = select(its.reply).where(its.id == item, its.taken_at.is_not(None))
    row = books.flush().execute(query).one_or_none()
    if row is not None:
        return read_reply(row.reply)
    books.settle_inbox([item])
    return None
