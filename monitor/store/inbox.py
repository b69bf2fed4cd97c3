"""Writes of other processes: requests to the daemon, and spending where there is no daemon.

The inbox is the only table that they write beside a daemon. Without one, the spending is read and written
under the lock of the file.
"""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, insert, select

from monitor.access.holds import Reservation
from monitor.access.spending import BudgetLedger
from monitor.access.words import DeclarationKind
from monitor.store import tables
from monitor.store.database import migrate, reading, revision, writing_engine
from monitor.store.database_files import FileLock, as_store_errors, make_file
from monitor.store.errors import require, require_head
from monitor.store.records import InboxItem, value_of
from monitor.store.transaction import Memo, Transaction

#: The kinds of requests that are not of money: see `oneshot/booking` for those.
DECLARE, RETRY, PROBE, SILENCE, END_SILENCE = "declare", "retry", "probe", "silence", "end-silence"
#: Most characters of who asked.
_ASKER_CAP = 100

_its = tables.inbox.c
_holds, _spend = tables.holds.c, tables.spend.c


def submit(path: Path, kind: str, payload: Mapping[str, Any], now: datetime) -> int:
    """Insert a request to the daemon, from any process. Returns its id. The daemon reads it within 2 s.

    Raises StoreError when there is no database yet, it has another revision, or it stays locked.
    """
    require(path)
    with as_store_errors(path), writing_engine(path).begin() as connection:
        require_head(path, revision(connection))
        row = {"kind": kind, "payload": json.dumps(dict(payload)), "created_at": now}
        id_: int = connection.execute(insert(tables.inbox).returning(_its.id), row).scalar_one()
        return id_


def submit_declaration(
    path: Path, kind: DeclarationKind, subject: str, at: datetime, now: datetime, *, by: str = ""
) -> int:
    """Insert a declaration, as `submit` does."""
    said = {"kind": str(kind), "subject": subject, "at": at.isoformat(), "by": by}
    return submit(path, DECLARE, said, now)


def asker(payload: Mapping[str, Any]) -> str:
    """Who asked, as the request says it, in printable characters."""
    by = str(payload.get("by") or "somebody")[:_ASKER_CAP]
    return "".join(char if char.isprintable() else " " for char in by)


def read_silence(payload: Mapping[str, Any]) -> tuple[tuple[str, ...], str, datetime] | None:
    """Patterns, reason and end (UTC) of a silence that is asked for; None if it is malformed."""
    patterns, reason = payload.get("patterns"), payload.get("reason")
    try:
        expires_at = datetime.fromisoformat(payload["expires_at"])
    except (KeyError, ValueError, TypeError):
        return None
    if not isinstance(patterns, list) or not all(isinstance(one, str) for one in patterns):
        return None
    if not isinstance(reason, str) or expires_at.tzinfo is None:
        return None
    return tuple(patterns), reason, expires_at.astimezone(UTC)


def read_declaration(payload: Mapping[str, Any]) -> tuple[DeclarationKind, str, datetime] | None:
    """Kind, subject and time (UTC) of a submitted declaration; None if it is malformed."""
    try:
        kind = DeclarationKind(payload["kind"])
        at = datetime.fromisoformat(payload["at"])
    except (KeyError, ValueError, TypeError):
        return None
    subject = payload.get("subject")
    if not isinstance(subject, str) or at.tzinfo is None:
        return None
    return kind, subject, at.astimezone(UTC)


def waiting(connection: Connection) -> list[InboxItem]:
    """The submitted requests that are not settled yet, in order."""
    rows = connection.execute(
        # the condition of the partial index, which has only these rows
        select(tables.inbox).where(_its.taken_at.is_(None)).order_by(_its.id).limit(1000)
    )
    return [value_of(InboxItem, row) for row in rows.mappings()]


def reply_to(path: Path, item: int) -> dict[str, Any] | None:
    """The daemon's reply to a request in the inbox; None until the daemon takes the request."""
    with reading(path) as connection:
        return _reply(connection, item)


def _reply(connection: Connection, item: int) -> dict[str, Any] | None:
    query = select(_its.reply).where(_its.id == item, _its.taken_at.is_not(None))
    row = connection.execute(query).one_or_none()
    if row is None:
        return None
    found = json.loads(row.reply or "{}")
    return found if isinstance(found, dict) else {}


def withdraw(books: Transaction, item: int) -> dict[str, Any] | None:
    """Withdraw a request from the inbox. Returns the reply if a daemon gave one meanwhile, else None."""
    reply = _reply(books.flush(), item)
    if reply is None:
        books.settle_inbox([item])
    return reply


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
