"""Silences in the database: made and ended in the writer's transactions, and what is told when one ends.

What a silence hides is decided in `transaction`, where the notifications are written.
"""

import json
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from typing import Any, TypeVar

from sqlalchemy import Connection, RowMapping, and_, bindparam, insert, or_, select, update

from monitor.access.events import Event, Recorded
from monitor.access.silences import IN_FORCE_MOST, Silence, silenced_by
from monitor.access.words import Code, EventKind, Reason
from monitor.store import tables
from monitor.store.errors import UnansweredError
from monitor.store.record_forms import value_of
from monitor.store.records import NotificationState
from monitor.store.silence_rows import not_ended
from monitor.store.transaction import Transaction
from monitor.store.write_queue import WriteQueue

T = TypeVar("T")

#: Most targets that the message of an end names, the first by name.
_NAMED_MOST = 20

#: Most events of a target that a clock step may have put out of order.
_STEPPED_MOST = 20

_silences = tables.silences.c
_notifications = tables.notifications.c
_events = tables.events.c
_targets = tables.targets.c

_HIDDEN = (
    select(tables.events, _notifications.id.label("notification_id"), _notifications.channel)
    .join_from(tables.notifications, tables.events)
    .where(_notifications.silence_id == bindparam("silence"))
    .order_by(_notifications.event_id, _notifications.id)
)
_MOVE = (
    update(tables.notifications)
    .where(_notifications.id == bindparam("row"))
    .values(silence_id=bindparam("to"))
)


def _told(of: Any, *, only: Any) -> Any:
    """The newest of this that a channel was told of a target: sent to it, or hidden by a silence whose end it
    was told. A query within that of the targets, as one of its own for each takes 20 times as long.

    After a clock step the times are not in the order of the events. The ids are, but no index has them by
    target: the newest few by time are put in the order of their ids.
    """
    newest = (
        select(_events.id, of.label("told"))
        .join_from(tables.events, tables.notifications)
        .outerjoin(tables.silences, _silences.id == _notifications.silence_id)
        .where(
            _events.target == _targets.name,
            _notifications.channel == bindparam("to"),
            or_(
                _notifications.state.in_([NotificationState.PENDING, NotificationState.DELIVERED]),
                and_(_silences.ended_at.is_not(None), _silences.id != bindparam("silence")),
            ),
            only,
        )
        .order_by(_events.at.desc(), _events.id.desc())
        .limit(_STEPPED_MOST)
        .correlate(tables.targets)
        .subquery()
    )
    return select(newest.c.told).order_by(newest.c.id.desc()).limit(1).scalar_subquery()


_BLOCKERS = _events.kind.in_([EventKind.BLOCKED, EventKind.UNBLOCKED])
_told_event = tables.events.alias("told_event")
#: The targets of which something was hidden from a channel: what it was told last, and what is true now.
_COMPARED = (
    select(
        _targets.name, _targets.state, _targets.blocker,
        _told(_events.after, only=_events.after.is_not(None)).label("told"),
        _told_event.c.kind, _told_event.c.diagnosis, _told_event.c.facts,
    )
    .outerjoin_from(tables.targets, _told_event, _told_event.c.id == _told(_events.id, only=_BLOCKERS))
    .where(
        _targets.name.in_(
            select(_events.target)
            .join_from(tables.notifications, tables.events)
            .where(
                _notifications.silence_id == bindparam("silence"),
                _notifications.channel == bindparam("to"),
            )
        )
    )
    .order_by(_targets.name)
)  # fmt: skip


class Silences:
    """The silences whose end was not told yet. Each method is one unit of work, and raises StoreError."""

    def __init__(self, queue: WriteQueue, known: Iterable[Silence]) -> None:
        self._queue = queue
        self._known = {one.id: one for one in known}
        #: a commit ended without an answer: what is known may be wrong
        self._unsure = False

    async def refresh(self) -> None:
        """Learn what became of a commit that ended without an answer, if there was one."""
        if self._unsure:
            await self.read()

    async def read(self) -> None:
        """Read them again: others may have made or ended some."""
        now = await self._queue.do(lambda work: not_ended(work.flush()))
        self._known, self._unsure = {one.id: one for one in now}, False

    async def _do(self, work: Callable[[Transaction], T]) -> T:
        try:
            return await self._queue.do(work)
        except UnansweredError:
            self._unsure = True
            raise

    def expired(self, now: datetime) -> list[Silence]:
        """Those that are over and wait for their end to be told. From memory: it may be asked each second."""
        return [one for one in self._known.values() if not one.in_force(now)]

    def get(self, id_: int) -> Silence | None:
        """The silence with this id, unless it has ended."""
        return self._known.get(id_)

    async def make(
        self, patterns: Sequence[str], reason: str, by: str, expires_at: datetime, *, item: int
    ) -> Silence | None:
        """Begin a silence, and settle the request in the inbox that asks for it.

        Returns None, with nothing settled, when too many are in force.
        """

        def make(work: Transaction) -> Silence | None:
            work.in_turn()
            if len(work.silences) >= IN_FORCE_MOST:
                return None
            said = work.hide(reason), work.hide(by)
            new = Silence(0, tuple(patterns), *said, work.now, expires_at)
            row = asdict(new) | {"patterns": json.dumps(new.patterns)}
            del row["id"]
            key = work.flush().execute(insert(tables.silences), row).inserted_primary_key
            assert key is not None  # noqa: S101  it is None only for several rows at once
            new = replace(new, id=int(key[0]))
            work.silences = (*work.silences, new)
            work.settle_inbox([item], json.dumps({"silence": new.id}))
            return new

        made = await self._do(make)
        if made:
            self._known[made.id] = made
        return made

    async def end(
        self, silence: Silence, reason: Reason, by: str | None = None, *, item: int | None = None
    ) -> list[Recorded]:
        """End a silence, record what is told of that, and settle the request that asks for it, if any.

        Each channel from which it hid something is told of it once. What another silence covers as well
        waits for the end of that one.
        """

        def end(work: Transaction) -> list[Recorded]:
            recorded = _end(work, silence, reason, by)
            if item is not None:
                work.settle_inbox([item], json.dumps({"silence": silence.id}))
            return recorded

        recorded = await self._do(end)
        self._known.pop(silence.id, None)
        return recorded


def _end(work: Transaction, silence: Silence, reason: Reason, by: str | None) -> list[Recorded]:
    connection = work.in_turn()
    unended = _silences.id == silence.id, _silences.ended_at.is_(None)
    ended = update(tables.silences).where(*unended).values(ended_at=work.now)
    if not connection.execute(ended).rowcount:
        return []
    work.silences = tuple(one for one in work.silences if one.id != silence.id)
    of_channels: dict[str, _Hidden] = {}
    moves: list[dict[str, int]] = []
    # read one by one: a long silence of everything hides hundreds of thousands
    for row in connection.execute(_HIDDEN, {"silence": silence.id}).mappings():
        if other := _other(work, row):
            moves.append({"row": row["notification_id"], "to": other.id})
        else:
            of_channels.setdefault(row["channel"], _Hidden()).add(row)
    if moves:
        connection.execute(_MOVE, moves)
    begun = {
        "silence": silence.id,
        "why": silence.reason,
        "by": silence.by,
        "since": silence.created_at.isoformat(),
        **({"ended_by": by} if by else {}),
    }
    return [
        work.record(
            Event(
                EventKind.SILENCE_ENDED,
                reason,
                work.now,
                facts=begun | hidden.facts(connection, silence, channel),
                channels=(channel,),
            )
        )
        for channel, hidden in of_channels.items()
    ]


def _other(work: Transaction, row: RowMapping) -> Silence | None:
    """Another silence that covers what this one hid."""
    if not work.silences:
        return None
    return silenced_by(value_of(Event, row), row["channel"], work.silences, work.now)


@dataclass(slots=True)
class _Hidden:
    """What was hidden from a channel."""

    kinds: Counter[str] = field(default_factory=Counter)
    #: the first state before it of each target, where one is known
    before: dict[str, str | None] = field(default_factory=dict)

    def add(self, row: RowMapping) -> None:
        """Count an event, in the order in which they happened."""
        self.kinds[row["kind"]] += 1
        target = row["target"]
        if target is not None and self.before.get(target) is None:
            self.before[target] = row["before"]

    def facts(self, connection: Connection, silence: Silence, channel: str) -> dict[str, Any]:
        """What is told of it: how much it was, and what is true now of what was told last."""
        changed = []
        for row in connection.execute(_COMPARED, {"silence": silence.id, "to": channel}).mappings():
            target, blocker = row["name"], _blocker(row)
            # who was told nothing knows of no change from what was before
            told = row["told"] or self.before[target] or row["state"]
            if (told, blocker) != (row["state"], row["blocker"]):
                changed.append(
                    {
                        "target": target,
                        "told": row["told"],
                        "now": row["state"],
                        "told_blocker": blocker,
                        "blocker": row["blocker"],
                    }
                )
        return {
            "hidden": self.kinds.total(),
            "hidden_kinds": dict(self.kinds.most_common()),
            "changed": changed[:_NAMED_MOST],
            "changed_targets": len(changed),
            "unchanged_targets": len(self.before) - len(changed),
        }


def _blocker(told: RowMapping) -> str | None:
    """The blocker that a channel was last told of, unless it was told of none, or that it is gone."""
    if told["kind"] is None or told["kind"] == EventKind.UNBLOCKED:
        return None
    named = json.loads(told["facts"]).get("blocker")
    return str(named) if named in set(Code) else told["diagnosis"]
