"""The writer's thread: it runs groups of work, each group in one transaction."""

import asyncio
import queue
import sqlite3
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection
from sqlalchemy.exc import DatabaseError, OperationalError, SQLAlchemyError

from monitor.access.events import Recorded
from monitor.store.database import damage
from monitor.store.database_files import cause
from monitor.store.errors import StoreError, UnavailableError
from monitor.store.records import Change
from monitor.store.transaction import Hide, Memo, Transaction

Work = Callable[[Transaction], Any]
Then = Callable[[list[Recorded]], None]


@dataclass(slots=True, eq=False)
class Entry:
    """An atomic unit of work. It may run twice: again after a rollback."""

    work: Work
    changes: Sequence[Change] = ()
    #: called after the commit with the recorded events
    then: Then | None = None
    #: it writes changes, which must stay in order: nothing ordered is written after one that was refused
    ordered: bool = False
    #: it is kept while the database refuses, and its caller does not wait
    kept: bool = False
    #: its success shows that the database accepts writes
    proves: bool = False
    #: it does not wait for others to share its transaction
    urgent: bool = False
    #: loop time at which it was added
    since: float = 0.0
    future: "asyncio.Future[Any] | None" = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """The outcome of an entry after the commit: its result, or why it was not written."""

    value: Any = None
    error: Exception | None = None


class Writer:
    """Runs groups of work in the order in which they came, and calls `done` on the loop with the outcomes.

    When an entry fails, the group is rolled back and each entry is tried alone, so that a bad row cannot stop
    the others. `ending` gets the connection before it is closed, and must not raise.
    """

    def __init__(
        self,
        connection: Connection,
        memo: Memo,
        clock: Callable[[], datetime],
        ending: Callable[[Connection], None] = lambda _: None,
        hide: Hide = lambda said: said,
    ) -> None:
        self._connection = connection
        self._clock = clock
        self._memo = memo
        self._ending = ending
        self._hide = hide
        self._groups: queue.SimpleQueue[Sequence[Entry] | None] = queue.SimpleQueue()
        self._loop = asyncio.get_running_loop()
        self._thread = threading.Thread(target=self._serve, name="store-writer", daemon=True)

    def start(self, done: Callable[[Sequence[Entry], Sequence[Outcome]], None]) -> None:
        """Start the thread."""
        self._done = done
        self._thread.start()

    def put(self, group: Sequence[Entry]) -> None:
        """Run a group after all groups that were put before."""
        self._groups.put(group)

    async def aclose(self) -> None:
        """Run the remaining groups, then end the thread and close its connection."""
        self._groups.put(None)
        await asyncio.to_thread(self._thread.join)

    def _serve(self) -> None:
        while (group := self._groups.get()) is not None:
            outcomes = self._carry_out(group)
            try:
                self._loop.call_soon_threadsafe(self._done, group, outcomes)
            except RuntimeError:
                break  # the loop is closed, so nobody waits
        self._ending(self._connection)
        self._connection.close()

    def _carry_out(self, group: Sequence[Entry]) -> list[Outcome]:
        try:
            begun = self._connection.begin()
        except SQLAlchemyError as error:  # another process holds the lock: every entry would fail
            return [Outcome(error=_plain(error)) for _ in group]
        try:
            with begun:
                transaction = Transaction(self._connection, self._memo, self._clock(), self._hide)
                outcomes = [Outcome(entry.work(transaction)) for entry in group]
                transaction.flush()
        except Exception as error:  # noqa: BLE001  the caller gets every error
            if len(group) == 1:
                return [Outcome(error=self._judged(error))]
            return self._each_alone(group)
        transaction.committed()
        return outcomes

    def _each_alone(self, group: Sequence[Entry]) -> list[Outcome]:
        outcomes: list[Outcome] = []
        refused: Outcome | None = None
        for entry in group:
            if refused and entry.ordered:
                outcomes.append(refused)
                continue
            (outcome,) = self._carry_out([entry])
            if entry.ordered and isinstance(outcome.error, UnavailableError):
                refused = outcome
            outcomes.append(outcome)
        return outcomes

    def _judged(self, error: Exception) -> Exception:
        """The error for the caller: in a damaged file a good row may fail like a bad one."""
        plain = _plain(error)
        if isinstance(plain, UnavailableError):
            return plain
        try:
            found = damage(self._connection)
        except SQLAlchemyError as trouble:
            return _plain(trouble)
        if found:
            plain = UnavailableError(f"the database is damaged: {found}")
            plain.__cause__ = error
        return plain


def _plain(error: Exception) -> Exception:
    if isinstance(error, ValueError | TypeError | LookupError):
        # this program wrote the value, so it is damaged; SQLite does not detect damage within a value
        plain: Exception = StoreError("the database is damaged (a value cannot be read)")
    elif isinstance(error, SQLAlchemyError | sqlite3.Error):
        # the other classes of the driver mean that the statement is at fault
        of_the_file = isinstance(error, OperationalError | sqlite3.OperationalError) or type(
            error
        ) in (DatabaseError, sqlite3.DatabaseError)
        kind = UnavailableError if of_the_file else StoreError
        plain = kind(f"the database refused it: {cause(error)}")
    else:
        return error
    plain.__cause__ = error
    return plain
