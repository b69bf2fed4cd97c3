"""Reads and writes the spending without a daemon, under the file's lock."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, select

from monitor.access.holds import Posting, Reservation
from monitor.access.spending import BudgetLedger
from monitor.store import tables
from monitor.store.connections import FileLock, as_store_errors, make_file, reading, writing_engine
from monitor.store.inbox import settle
from monitor.store.migrate import migrate
from monitor.store.transaction import Memo, Transaction

_holds, _spend, _inbox = tables.holds.c, tables.spend.c, tables.inbox.c


@dataclass(frozen=True, slots=True)
class Books:
    """The spending and the inbox, open in one transaction."""

    _connection: Connection
    _now: datetime

    def post(self, posting: Posting) -> None:
        """Write a posting."""
        work = Transaction(self._connection, Memo(), self._now)
        work.post(posting)
        work.flush()

    def withdraw(self, item: int) -> dict[str, Any] | None:
        """Withdraw a request from the inbox. Returns the reply if a daemon gave one meanwhile, else None."""
        query = select(tables.inbox.c.reply).where(_inbox.id == item, _inbox.taken_at.is_not(None))
        row = self._connection.execute(query).one_or_none()
        if row is None:
            settle(self._connection, [item], self._now)
            return None
        return _read(row.reply)


@contextmanager
def open_books(path: Path, ledger: BudgetLedger, now: datetime) -> Iterator[Books]:
    """Load the month's spending into an empty ledger, and hold the lock against other writers meanwhile.

    Makes the database if there is none. Raises StoreError: `LockedError` when a daemon or, for a moment,
    another command has it.
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
                [Reservation(row.id, row.account, row.key, row.day, row.usd) for row in held],
            )
            yield Books(connection, now)
    finally:
        lock.release()


def reply_to(path: Path, item: int) -> dict[str, Any] | None:
    """The daemon's reply to a request in the inbox; None until the daemon takes the request."""
    query = select(tables.inbox.c.reply).where(_inbox.id == item, _inbox.taken_at.is_not(None))
    with reading(path) as connection:
        row = connection.execute(query).one_or_none()
        return None if row is None else _read(row.reply)


def _read(reply: str | None) -> dict[str, Any]:
    found = json.loads(reply or "{}")
    return found if isinstance(found, dict) else {}
