"""The spending where no daemon lives: read and written by a command, under the lock of the file."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

from sqlalchemy import select

from monitor.access.holds import Reservation
from monitor.access.spending import BudgetLedger
from monitor.store import tables
from monitor.store.database import migrate, writing_engine
from monitor.store.database_files import FileLock, as_store_errors, make_file
from monitor.store.inbox import read_reply
from monitor.store.record_forms import value_of
from monitor.store.transaction import Memo, Transaction

_its = tables.inbox.c
_holds, _spend = tables.holds.c, tables.spend.c


def withdraw(books: Transaction, item: int) -> dict[str, Any] | None:
    """Withdraw a request from the inbox. Returns the reply if a daemon gave one meanwhile, else None."""
    query = select(_its.reply).where(_its.id == item, _its.taken_at.is_not(None))
    row = books.flush().execute(query).one_or_none()
    if row is not None:
        return read_reply(row.reply)
    books.settle_inbox([item])
    return None


@contextmanager
def open_books(path: Path, ledger: BudgetLedger, now: datetime) -> Iterator[Transaction]:
    """Load the month's spending into an empty ledger, and hold the lock against other writers meanwhile.

    What is posted is written at the end. Makes the database if there is none. Raises StoreError:
    `LockedError` when a daemon or, for a moment, another command has it.
    """
    make_file(path)
    lock = FileLock(path)
    try:
        migrate(path)
        with as_store_errors(path), writing_engine(path).begin() as connection:
            first = now.date().replace(day=1)
            spent = connection.execute(select(tables.spend).where(_spend.day >= first))
            held = connection.execute(select(tables.holds).order_by(_holds.id))
            ledger.load(
                {(row.key, row.day): row.settled_usd for row in spent},
                [value_of(Reservation, row) for row in held.mappings()],
            )
            books = Transaction(connection, Memo(), now)
            yield books
            books.flush()
    finally:
        lock.release()
