"""Who writes to a database: one daemon at a time, and how each of the two databases sees to that."""

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Protocol

import structlog
from sqlalchemy import Connection, text
from sqlalchemy.exc import SQLAlchemyError

from monitor.access.databases import Database, Server
from monitor.store.database import CommitWatch, migrate, writing_engine
from monitor.store.database_files import DatabaseFiles, FileLock, as_store_errors, make_file
from monitor.store.errors import BUSY_TIMEOUT, GoneError, LockedError
from monitor.store.inbox import is_waiting
from monitor.store.liveness import FRESH

log = structlog.get_logger()

# One row of `fences`. Its time is the server's: clocks of different machines are not compared.
_MAKE = text("""
    INSERT INTO fences (id, epoch, sequence, seen_at) VALUES (1, 0, 0, clock_timestamp())
    ON CONFLICT DO NOTHING
""")
_ASK = text("""
    SELECT holder, extract(epoch FROM clock_timestamp() - seen_at) AS age
    FROM fences WHERE id = 1 FOR UPDATE
""")
_TAKE = text("""
    UPDATE fences SET epoch = epoch + 1, sequence = 0, holder = :holder, seen_at = clock_timestamp()
    WHERE id = 1 RETURNING epoch
""")
_ENTER = text("""
    UPDATE fences SET sequence = sequence + 1, seen_at = clock_timestamp()
    WHERE id = 1 AND epoch = :epoch RETURNING sequence
""")
_LEAVE = text("UPDATE fences SET holder = NULL WHERE id = 1 AND epoch = :epoch")


class Ownership(Protocol):
    """The right of one daemon to write to a database, until it is released."""

    def take(self, connection: Connection) -> None:
        """Become the owner, in the first transaction. Raises LockedError while another one lives."""

    def opened(self) -> None:
        """The first transaction is committed."""

    def enter(self, connection: Connection) -> int:
        """Begin a transaction of the owner; returns its number, one more than that of the last one.

        Raises GoneError when another has become the owner.
        """

    def require(self) -> None:
        """Raise GoneError when what was opened is no longer the database, or another owns it."""

    def commits(self) -> int | None:
        """A number that changes with each commit of any process; None where only a query could tell."""

    def has_requests(self) -> bool:
        """Whether there may be requests, by a query where `commits` does not tell. Raises StoreError."""

    def note(self, *, refusing: bool) -> None:
        """Note whether the database refuses results, for other processes. Never raises."""

    def ending(self, connection: Connection) -> None:
        """The writer's connection is about to be closed. Never raises."""

    def release(self) -> None:
        """Let another instance have it."""


def ownership_of(database: Database) -> Ownership:
    """What sees to it that a database has one owner. Raises StoreError when another has the file."""
    return ServerOwnership(database) if isinstance(database, Server) else FileOwnership(database)


class FileOwnership:
    """A file has one owner by a lock, which ends with the process. It is held from the beginning."""

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
        if (
            self._commits
        ):  # before the writer's: only the last connection empties the write-ahead log
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

    def __init__(self, server: Server) -> None:
        self._server = server
        self._epoch: int | None = None
        self._lost = False

    def take(self, connection: Connection) -> None:
        """Begin the next epoch, unless the owner of the present one lives."""
        _require_free(self._server, connection)
        values = {"holder": _own_name()}
        self._epoch = connection.execute(_TAKE, values).scalar_one()

    def opened(self) -> None:
        """Nothing is left to do."""

    def enter(self, connection: Connection) -> int:
        """Check the epoch."""
        number = connection.execute(_ENTER, {"epoch": self._epoch}).scalar_one_or_none()
        if number is None:
            self._lost = True
            self.require()
        return int(number or 0)

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
        """Ask: nothing is written for that, as it would be in a transaction of the owner."""
        return is_waiting(self._server)

    def note(self, *, refusing: bool) -> None:
        """Do nothing: it could be noted in the database only."""

    def ending(self, connection: Connection) -> None:
        """Let another daemon have it at once."""
        with suppress(SQLAlchemyError), connection.begin():
            connection.execute(_LEAVE, {"epoch": self._epoch})

    def release(self) -> None:
        """Nothing is left to do: see `ending`."""


@contextmanager
def writing_alone(database: Database) -> Iterator[Connection]:
    """A transaction of a command while no daemon lives, which keeps daemons and other commands out.

    Makes or migrates the database. Raises StoreError: `LockedError` when a daemon or, for a moment, another
    command has it.
    """
    if isinstance(database, Server):
        migrate(database)
        with as_store_errors(database), writing_engine(database).begin() as connection:
            _require_free(database, connection)
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


def _require_free(server: Server, connection: Connection) -> None:
    """Raise LockedError while another daemon lives. The row stays locked until the transaction ends."""
    connection.execute(text(f"SET LOCAL lock_timeout = '{BUSY_TIMEOUT:.0f}s'"))
    connection.execute(_MAKE)
    holder, age = connection.execute(_ASK).one()
    if holder is None or age > FRESH.total_seconds() or _is_dead(holder):
        return
    raise LockedError(
        f"{server}: another instance has this database ({holder.rpartition('/')[0]}, seen {age:.0f} s ago);"
        f" if it was killed, it can be taken over after {FRESH.total_seconds():.0f} s"
    )


def _own_name() -> str:
    return f"{socket.gethostname()}, process {os.getpid()}/{_started(os.getpid())}"


def _started(process: int) -> str | None:
    """When a process of this machine was started, in a form that is equal only for the same process.

    None when there is no such process. Only Linux tells it.
    """
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        # the name, in parentheses, may hold anything (proc_pid_stat(5))
        about = Path(f"/proc/{process}/stat").read_text(errors="replace").rpartition(")")[2].split()
    except OSError:
        return None
    return f"{boot}-{about[19]}"


def _is_dead(holder: str) -> bool:
    """Whether the holder was a process of this machine, since it was started, and is gone."""
    host, _, process = holder.rpartition(", process ")
    number, _, started = process.partition("/")
    own = _started(os.getpid())
    if host != socket.gethostname() or own is None or started[:36] != own[:36]:
        return False
    return number.isdecimal() and _started(int(number)) != started
