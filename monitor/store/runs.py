"""Runs of equal answers: how an answer continues one, and when it is deleted.

The file grows with what changes and not with time: equal answers in a row share one row, and closed runs
are deleted some day, with the settled requests and old holds. Of old spending the total of each key is
kept. Transitions, events, notifications, openings and declarations are kept for ever.
"""

import json
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, bindparam, case, delete, exists, func, insert, select, update

from monitor.access.words import Code, Gate, ProbeKind
from monitor.store import postings, tables
from monitor.store.record_forms import Counts, latencies_of
from monitor.store.records import AnswerRecord

#: Request ids kept per run: enough for a support ticket.
REQUEST_IDS = 5

#: How long closed runs of equal answers and settled requests are kept.
KEPT = timedelta(days=90)
#: How long the daily spending of keys is kept: more than a year, so that years can be compared.
SPENDING_KEPT = timedelta(days=400)

#: Runs checked in one step, so that the writer is delayed by milliseconds only.
_STEP = 500

_runs = tables.runs.c
_newer = tables.runs.alias("newer").c
_inbox = tables.inbox.c

_ms = bindparam("ms", type_=_runs.latency_sum_ms.type)
INSERT_RUN = insert(tables.runs)
UPDATE_RUN = (
    update(tables.runs)
    .where(_runs.id == bindparam("row"))
    .values(
        answers=_runs.answers + 1,
        latency_sum_ms=_runs.latency_sum_ms + _ms,
        latency_min_ms=case((_ms < _runs.latency_min_ms, _ms), else_=_runs.latency_min_ms),
        latency_max_ms=case((_ms > _runs.latency_max_ms, _ms), else_=_runs.latency_max_ms),
        connect_ms=func.coalesce(bindparam("connect"), _runs.connect_ms),
        tls_ms=func.coalesce(bindparam("tls"), _runs.tls_ms),
        first_byte_ms=func.coalesce(bindparam("first_byte"), _runs.first_byte_ms),
        cost_usd=_runs.cost_usd + bindparam("cost"),
        reused=_runs.reused + bindparam("over_old"),
        fresh=_runs.fresh + bindparam("over_new"),
    )
)
_LAST_RUN = (
    select(tables.runs)
    .where(_runs.target_id == bindparam("target"), _runs.kind == bindparam("kind"))
    .order_by(_runs.id.desc())
    .limit(1)
)

#: A target's id and the kind of probe: each has one open run.
RunKey = tuple[int, ProbeKind]
#: What equal answers have in common: route, diagnosis, status, gate, message. The route is part of it: a
#: provider's answer never continues a run of OpenAI's.
RunContents = tuple[str, Code | None, int | None, Gate | None, str]


@dataclass(frozen=True, slots=True)
class OpenRun:
    """The run that an equal answer continues."""

    id: int
    key: RunContents
    last_at: datetime
    #: the last request ids, each with its time as text
    request_ids: tuple[tuple[str, str], ...]
    latencies: Counts


def last_run(connection: Connection, run_key: RunKey) -> OpenRun | None:
    """The newest run of a target and kind of probe, as stored."""
    row = connection.execute(_LAST_RUN, {"target": run_key[0], "kind": run_key[1]}).one_or_none()
    if row is None:
        return None
    key = (row.route, row.diagnosis, row.status, row.gate, row.message)
    request_ids = tuple((id_, at) for id_, at in json.loads(row.request_ids))
    return OpenRun(row.id, key, row.last_at, request_ids, latencies_of(row.latencies))


def first_answer(run_key: RunKey, key: RunContents, answer: AnswerRecord) -> dict[str, Any]:
    """The columns of a new run that follow from its first answer alone."""
    route, diagnosis, status, gate, message = key
    return {
        "target_id": run_key[0],
        "route": route,
        "kind": run_key[1],
        "diagnosis": diagnosis,
        "status": status,
        "gate": gate,
        "message": message,
        "first_at": answer.at,
        "answers": 1,
        "latency_sum_ms": answer.latency_ms,
        "latency_min_ms": answer.latency_ms,
        "latency_max_ms": answer.latency_ms,
        "connect_ms": answer.connect_ms,
        "tls_ms": answer.tls_ms,
        "first_byte_ms": answer.first_byte_ms,
        "cost_usd": answer.cost_usd,
        "reused": int(answer.reused is True),
        "fresh": int(answer.reused is False),
    }


def further_answer(id_: int, answer: AnswerRecord) -> dict[str, Any]:
    """The parameters of `UPDATE_RUN` for an equal answer."""
    return {
        "row": id_,
        "ms": answer.latency_ms,
        "connect": answer.connect_ms,
        "tls": answer.tls_ms,
        "first_byte": answer.first_byte_ms,
        "cost": answer.cost_usd,
        "over_old": int(answer.reused is True),
        "over_new": int(answer.reused is False),
    }


def prune(connection: Connection, after: int, now: datetime) -> tuple[int, int]:
    """Delete the runs that are too old among the next ones with ids above `after`.

    Returns the number of runs deleted and the next value of `after`: 0, the beginning, after the last run.
    The last run of a target and kind of probe stays, however old: an equal answer continues it.
    """
    window = list(
        connection.execute(
            select(_runs.id, _runs.last_at).where(_runs.id > after).order_by(_runs.id).limit(_STEP)
        )
    )
    old = [row.id for row in window if row.last_at < now - KEPT]
    closed = exists().where(
        _newer.target_id == _runs.target_id, _newer.kind == _runs.kind, _newer.id > _runs.id
    )
    gone = connection.execute(delete(tables.runs).where(_runs.id.in_(old), closed)).rowcount
    if len(window) == _STEP:
        return gone, window[-1].id
    # keep the newest request: its id must not be used again
    newest = select(func.max(_inbox.id)).scalar_subquery()
    connection.execute(delete(tables.inbox).where(_inbox.taken_at < now - KEPT, _inbox.id < newest))
    postings.prune(connection, (now - SPENDING_KEPT).date())
    return gone, 0
