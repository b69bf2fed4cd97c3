"""The thread that writes: it carries out groups of work, each group in one transaction."""

import asyncio
import queue
import sqlite3
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from sqlalchemy import Connection
from sqlalchemy.exc import DatabaseError, OperationalError, SQLAlchemyError

from monitor.store.connections import cause, damage
from monitor.store.errors import StoreError, UnavailableError
from monitor.store.transaction import Hide, Memo, Transaction

Work = Callable[[Transaction], Any]


class Unit(Protocol):
    """A unit of work, whole or not at all. It may be called twice: again after a rollback."""

    @property
    def work(self) -> Work: ...  # noqa: D102 - see above
    @property
    def ordered(self) -> bool:
        """Whether it must not be written when an ordered one before it was refused."""
        ...


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a unit once that is committed: its result, or why it was not written."""

    value: Any = None
    error: Exception | None = None


Group = Sequence[Unit]


class Writer:
    """Runs groups of work in the order they came. `done` is called on the loop with each one's outcomes.

    When a unit fails, all is rolled back and each is tried alone: a bad row cannot stop the others.
    `ending` gets the connection before it is closed, and must not raise.
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
        self._groups: queue.SimpleQueue[Group | None] = queue.SimpleQueue()
        self._loop = asyncio.get_running_loop()
        self._thread = threading.Thread(target=self._serve, name="store-writer", daemon=True)

    def start(self, done: Callable[[Any, Sequence[Outcome]], None]) -> None:
        """Begin to take groups."""
        self._done = done
        self._thread.start()

    def put(self, group: Group) -> None:
        """Have a group carried out after those that were put before."""
        self._groups.put(group)

    async def aclose(self) -> None:
        """Carry out what was put, then end the thread and close its connection."""
        self._groups.put(None)
        await asyncio.to_thread(self._thread.join)

    def _serve(self) -> None:
        while (group := self._groups.get()) is not None:
            outcomes = self._carry_out(group)
            try:
                self._loop.call_soon_threadsafe(self._done, group, outcomes)
            except RuntimeError:
                break  # the loop is closed: no caller is left
        self._ending(self._connection)
        self._connection.close()

    def _carry_out(self, group: Group) -> list[Outcome]:
        try:
            begun = self._connection.begin()
        except SQLAlchemyError as error:  # another process holds the lock: no use in trying each
            return [Outcome(error=_plain(error)) for _ in group]
        try:
            with begun:
                transaction = Transaction(self._connection, self._memo, self._clock(), self._hide)
                outcomes = [Outcome(unit.work(transaction)) for unit in group]
                transaction.flush()
        except Exception as error:  # noqa: BLE001  whatever it is, its caller gets it
            self._memo.rolled_back()
            if len(group) == 1:
                return [Outcome(error=self._judged(error))]
            return self._each_alone(group)
        self._memo.committed()
        return outcomes

    def _each_alone(self, group: Group) -> list[Outcome]:
        outcomes: list[Outcome] = []
        refused: Outcome | None = None
        for unit in group:
            if refused and unit.ordered:
                outcomes.append(refused)
                continue
            (outcome,) = self._carry_out([unit])
            if unit.ordered and isinstance(outcome.error, UnavailableError):
                refused = outcome
            outcomes.append(outcome)
        return outcomes

    def _judged(self, error: Exception) -> Exception:
        """What to tell the caller: in a damaged file a good row may fail like a bad one."""
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
        # what is read was written by this program: SQLite itself sees no damage within a value
        plain: Exception = StoreError("the database is damaged (a value cannot be read)")
        plain.__cause__ = error
        return plain
    if not isinstance(error, SQLAlchemyError | sqlite3.Error):
        return error
    # the driver's other classes are of the statement: what it breaks, what it does not fit
    of_the_file = isinstance(error, OperationalError | sqlite3.OperationalError) or type(error) in (
        DatabaseError,
        sqlite3.DatabaseError,
    )
    kind = UnavailableError if of_the_file else StoreError
    plain = kind(f"the database refused it: {cause(error)}")
    plain.__cause__ = error
    return plain
