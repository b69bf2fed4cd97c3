"""The inbox: requests of other processes to the daemon, which writes all other tables."""

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, insert, select, update

from monitor.access.words import DeclarationKind
from monitor.store import tables
from monitor.store.connections import as_store_errors, require, require_head, writing_engine
from monitor.store.records import InboxItem

_its = tables.inbox.c


def submit(path: Path, kind: str, payload: Mapping[str, Any], now: datetime) -> int:
    """Insert a request to the daemon, from any process. Returns its id. The daemon reads it within 2 s.

    Raises StoreError when there is no database yet, it has another revision, or it stays locked.
    """
    require(path)
    with as_store_errors(path), writing_engine(path).begin() as connection:
        require_head(path, connection)
        row = {"kind": kind, "payload": json.dumps(dict(payload)), "created_at": now}
        id_: int = connection.execute(insert(tables.inbox).returning(_its.id), row).scalar_one()
        return id_


def submit_declaration(
    path: Path, kind: DeclarationKind, subject: str, at: datetime, now: datetime
) -> int:
    """Insert a declaration, as `submit` does."""
    return submit(
        path, "declare", {"kind": str(kind), "subject": subject, "at": at.isoformat()}, now
    )


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
    return [InboxItem(row.id, row.kind, json.loads(row.payload), row.created_at) for row in rows]


def settle(
    connection: Connection, ids: Sequence[int], now: datetime, reply: str | None = None
) -> None:
    """Mark requests as taken, after they are carried out."""
    values = {"taken_at": now, "reply": reply}
    connection.execute(update(tables.inbox).where(_its.id.in_(ids)).values(values))
