"""The spending where no daemon lives: read and written by a command, while no daemon has the database."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any

from sqlalchemy import select

from monitor.access.databases import Database
from monitor.access.holds import Reservation
from monitor.access.spending import BudgetLedger
from monitor.store import tables
from monitor.store.inbox import read_reply
from monitor.store.ownership import writing_alone
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
def open_books(database: Database, ledger: BudgetLedger, now: datetime) -> Iterator[Transaction]:
    """Load the month's spending into an empty ledger, and keep other writers out meanwhile.

    What is posted is written at the end. Makes the database if there is none. Raises StoreError:
    `LockedError` when a daemon or, for a moment, another command has it.
    """
    with writing_alone(database) as connection:
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
