"""One thread that writes: what waits when it becomes free is committed together."""

import asyncio
import queue
import sqlite3
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar

from sqlalchemy import Connection
from sqlalchemy.exc import DatabaseError, OperationalError, SQLAlchemyError

from monitor.store.engine import cause, damage
from monitor.store.errors import StoreError, UnavailableError
from monitor.store.transaction import Hide, Memo, Transaction

T = TypeVar("T")

#: Units of work that share a commit at most, so that none waits long for the others.
_TOGETHER = 256
#: Units that may wait at most; after that, callers wait for a place.
_PLACES = 4096


@dataclass(frozen=True, slots=True)
class _Unit:
    work: Callable[[Transaction], Any]
    future: "asyncio.Future[Any]"


@dataclass(frozen=True, slots=True)
class _Outcome:
    value: Any = None
    error: Exception | None = None


class Writer:
    """Runs units of work in the order they came, each whole or not at all.

    Waiting units share a transaction, as a commit costs more than the rows in it. When one fails,
    all is rolled back and each is tried alone: a bad row cannot stop the others, and only its own
    caller gets the exception. `ending` gets the connection before it is closed, and must not raise.
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
        self._loop = asyncio.get_running_loop()
        self._places = asyncio.Semaphore(_PLACES)
        self._units: queue.SimpleQueue[_Unit | None] = queue.SimpleQueue()
        self._closed = False
        self._thread = threading.Thread(target=self._serve, name="store-writer", daemon=True)
        self._thread.start()

    async def do(self, work: Callable[[Transaction], T]) -> T:
        """Run `work` in the writer's thread and return its result once that is committed.

        Accepted work is carried out even if the caller is cancelled meanwhile. It may be called
        twice: again after a rollback. Raises StoreError when the database refuses it or is closed.
        """
        await self._places.acquire()
        if self._closed:
            self._places.release()
            raise StoreError("the database is closed")
        future: asyncio.Future[T] = self._loop.create_future()
        self._units.put(_Unit(work, future))
        return await future

    async def aclose(self) -> None:
        """Carry out what waits, then end the thread and close its connection."""
        if not self._closed:
            self._closed = True
            self._units.put(None)
        await asyncio.to_thread(self._thread.join)

    def _serve(self) -> None:
        last = False
        while not last and (unit := self._units.get()) is not None:
            batch = [unit]
            last = self._gather(batch)
            outcomes = self._carry_out(batch)
            try:
                self._loop.call_soon_threadsafe(self._settle, batch, outcomes)
            except RuntimeError:
                break  # the loop is closed: no caller is left
        self._ending(self._connection)
        self._connection.close()

    def _gather(self, batch: list[_Unit]) -> bool:
        """Add what waits already; True when the end is among it."""
        while len(batch) < _TOGETHER:
            try:
                unit = self._units.get_nowait()
            except queue.Empty:
                break
            if unit is None:
                return True
            batch.append(unit)
        return False

    def _carry_out(self, batch: Sequence[_Unit]) -> list[_Outcome]:
        try:
            begun = self._connection.begin()
        except SQLAlchemyError as error:  # another process holds the lock: no use in trying each
            return [_Outcome(error=_plain(error)) for _ in batch]
        try:
            with begun:
                transaction = Transaction(self._connection, self._memo, self._clock(), self._hide)
                outcomes = [_Outcome(unit.work(transaction)) for unit in batch]
                transaction.flush()
        except Exception as error:  # noqa: BLE001  whatever it is, its caller gets it
            self._memo.rolled_back()
            if len(batch) == 1:
                return [_Outcome(error=self._judged(error))]
            return [outcome for unit in batch for outcome in self._carry_out([unit])]
        self._memo.committed()
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

    def _settle(self, batch: Sequence[_Unit], outcomes: Sequence[_Outcome]) -> None:
        for unit, outcome in zip(batch, outcomes, strict=True):
            self._places.release()
            if unit.future.done():  # its caller was cancelled
                continue
            if outcome.error:
                unit.future.set_exception(outcome.error)
            else:
                unit.future.set_result(outcome.value)


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
