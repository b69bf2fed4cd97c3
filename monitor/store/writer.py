"""The writer's thread: it runs groups of work, each group in one transaction."""

import asyncio
import queue
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from monitor.access.events import Recorded
from monitor.store.database import cause, damage
from monitor.store.errors import (
    GoneError,
    MovedError,
    StoreError,
    UnansweredError,
    UnavailableError,
)
from monitor.store.ownership import Ownership
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


@dataclass(frozen=True, slots=True)
class _Unsure:
    """A transaction that was committed or not, with the outcomes of the entries that will come again."""

    number: int
    transaction: Transaction
    outcomes: dict[Entry, Outcome]


class Writer:
    """Runs groups of work in the order in which they came, and calls `done` on the loop with the outcomes.

    When an entry fails, the group is rolled back and each entry is tried alone, so that a bad row cannot stop
    the others. A commit may end without an answer, when the connection is cut. What became of it is learned
    at the next transaction, and its entries are not written twice.
    """

    def __init__(
        self,
        connection: Connection,
        memo: Memo,
        clock: Callable[[], datetime],
        ownership: Ownership,
        hide: Hide = lambda said: said,
    ) -> None:
        self._connection = connection
        self._clock = clock
        self._memo = memo
        self._ownership = ownership
        self._number = 0
        #: a commit that ended without an answer, until it is known whether it was made
        self._unsure: _Unsure | None = None
        #: entries that were written by such a commit, and will come again
        self._made: dict[Entry, Outcome] = {}
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
        self._ownership.ending(self._connection)
        self._connection.close()

    def _carry_out(self, group: Sequence[Entry]) -> list[Outcome]:
        try:
            begun = self._connection.begin()
        except SQLAlchemyError as error:  # another process holds the lock, or the server is gone
            plain = self._judged(error)
            return [Outcome(error=plain) for _ in group]
        transaction: Transaction | None = None
        outcomes: list[Outcome] = []
        committing = False
        try:
            with self._ownership.guarded(self._connection), begun:
                self._enter()
                transaction = Transaction(self._connection, self._memo, self._clock(), self._hide)
                outcomes = [
                    self._made.get(entry) or Outcome(entry.work(transaction)) for entry in group
                ]
                transaction.flush()
                committing = True
        except Exception as error:  # noqa: BLE001  the caller gets every error
            if isinstance(error, MovedError):
                return self._carry_out(group)  # all but what is another worker's
            cut = self._is_cut_off()
            unanswered = cut and committing and transaction is not None
            if unanswered and transaction:
                again = {
                    entry: outcome
                    for entry, outcome in zip(group, outcomes, strict=True)
                    if entry.kept
                }
                self._unsure = _Unsure(self._number, transaction, again)
            if len(group) == 1 or cut or isinstance(error, GoneError):
                plain = self._judged(error, cut=cut)
                if unanswered:
                    plain = _caused(UnansweredError(str(plain)), error)
                return [Outcome(error=plain) for _ in group]
            return self._each_alone(group)
        transaction.committed()
        for entry in group:
            self._made.pop(entry, None)
        return outcomes

    def _enter(self) -> None:
        """Begin as the owner, and learn what became of the last commit if that is not known."""
        try:
            number = self._ownership.enter(self._connection)
        except DBAPIError as error:  # whatever it is, no entry is at fault
            raise UnavailableError(f"the database refused it: {cause(error)}") from error
        unsure, self._unsure = self._unsure, None
        if unsure and number == unsure.number + 1:
            unsure.transaction.committed()
            self._made.update(unsure.outcomes)
        self._number = number

    def _is_cut_off(self) -> bool:
        """Whether the connection is lost. The next transaction then begins with a new one."""
        if not self._connection.invalidated:
            driver = self._connection.connection.driver_connection
            if not getattr(driver, "closed", False):
                return False
            self._connection.invalidate()  # the driver was called past SQLAlchemy
        return True

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

    def _judged(self, error: Exception, *, cut: bool = False) -> Exception:
        """The error for the caller: in a damaged file a good row may fail like a bad one."""
        plain = self._plain(error, cut=cut)
        if isinstance(plain, UnavailableError | GoneError):
            return plain
        try:
            found = damage(self._connection)
        except SQLAlchemyError as trouble:
            return self._plain(trouble)
        if found:
            return _caused(UnavailableError(f"the database is damaged: {found}"), error)
        return plain

    def _plain(self, error: Exception, *, cut: bool = False) -> Exception:
        driver = self._connection.dialect.loaded_dbapi
        of_driver = getattr(error, "orig", None) or error
        if isinstance(error, ValueError | TypeError | LookupError):
            # this program wrote the value, so it is damaged; SQLite does not detect damage within a value
            plain: Exception = StoreError("the database is damaged (a value cannot be read)")
        elif cut or isinstance(of_driver, SQLAlchemyError | driver.Error):
            # these mean that the statement is at fault; of a table that is missing SQLite does not say so
            faults = [SQLAlchemyError, driver.DataError, driver.IntegrityError]
            if self._connection.dialect.name == "sqlite":
                faults += [driver.ProgrammingError, driver.InterfaceError]
            kind = StoreError if isinstance(of_driver, tuple(faults)) else UnavailableError
            plain = (UnavailableError if cut else kind)(f"the database refused it: {cause(error)}")
        else:
            return error
        return _caused(plain, error)


def _caused(plain: Exception, error: Exception) -> Exception:
    plain.__cause__ = error
    return plain
