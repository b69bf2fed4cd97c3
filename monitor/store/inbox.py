"""Requests of other processes to the daemon: the inbox is the only table that they write beside it."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from monitor.access.databases import Database
from monitor.access.words import DeclarationKind
from monitor.store.connections import reading, stored, writing

#: The kinds of requests that are not of money: see `oneshot/booking` for those.
DECLARE, RETRY, PROBE, SILENCE, END_SILENCE = "declare", "retry", "probe", "silence", "end-silence"
#: Most requests that are taken at once.
WAITING_MOST = 1000
#: Most characters of who asked.
_ASKER_CAP = 100


def submit(database: Database, kind: str, payload: Mapping[str, Any], now: datetime) -> int:
    """Insert a request to the daemon, from any process. Returns its id. The daemon reads it within 2 s.

    Raises StoreError when there is no database yet, it has another revision, or it stays locked.
    """
    row = kind, json.dumps(dict(payload)), stored(now)
    with writing(database) as connection:
        (id_,) = connection.execute(
            "INSERT INTO inbox (kind, payload, created_at) VALUES (?, ?, ?) RETURNING id", row
        ).fetchone()
    return int(id_)


def epoch_and_requests(database: Database, fence: int) -> tuple[int, bool]:
    """The epoch of a fence, and whether a request was not taken yet. Raises StoreError as `submit` does."""
    with reading(database) as connection:
        query = "SELECT epoch, EXISTS (SELECT 1 FROM inbox WHERE taken_at IS NULL) FROM fences WHERE id = ?"
        epoch, waiting = connection.execute(query, (fence,)).fetchone()
        return epoch, bool(waiting)


def submit_declaration(
    database: Database,
    kind: DeclarationKind,
    subject: str,
    at: datetime,
    now: datetime,
    *,
    by: str = "",
) -> int:
    """Insert a declaration, as `submit` does."""
    said = {"kind": str(kind), "subject": subject, "at": at.isoformat(), "by": by}
    return submit(database, DECLARE, said, now)


def asker(payload: Mapping[str, Any]) -> str:
    """Who asked, as the request says it, in printable characters."""
    by = str(payload.get("by") or "somebody")[:_ASKER_CAP]
    return "".join(char if char.isprintable() else " " for char in by)


def read_silence(payload: Mapping[str, Any]) -> tuple[tuple[str, ...], str, datetime] | None:
    """Patterns, reason and end (UTC) of a silence that is asked for; None if it is malformed."""
    patterns, reason = payload.get("patterns"), payload.get("reason")
    expires_at = _time(payload, "expires_at")
    if not isinstance(patterns, list) or not all(isinstance(one, str) for one in patterns):
        return None
    if not isinstance(reason, str) or expires_at is None:
        return None
    return tuple(patterns), reason, expires_at


def read_declaration(payload: Mapping[str, Any]) -> tuple[DeclarationKind, str, datetime] | None:
    """Kind, subject and time (UTC) of a submitted declaration; None if it is malformed."""
    kind, subject, at = payload.get("kind"), payload.get("subject"), _time(payload, "at")
    if kind not in list(DeclarationKind) or not isinstance(subject, str) or at is None:
        return None
    return DeclarationKind(kind), subject, at


def _time(payload: Mapping[str, Any], name: str) -> datetime | None:
    """A time with a zone, in UTC; None if it is none."""
    try:
        at = datetime.fromisoformat(payload[name])
        return at.astimezone(UTC) if at.tzinfo else None
    except (KeyError, ValueError, TypeError, OverflowError):
        return None


def reply_to(database: Database, item: int) -> dict[str, Any] | None:
    """The daemon's reply to a request in the inbox; None until the daemon takes the request."""
    with reading(database) as connection:
        row = connection.execute(
            "SELECT reply FROM inbox WHERE id = ? AND taken_at IS NOT NULL", (item,)
        ).fetchone()
        return read_reply(row[0]) if row else None


def read_reply(text: str | None) -> dict[str, Any]:
    """The reply of a request that was taken."""
    found = json.loads(text or "{}")
    return found if isinstance(found, dict) else {}
