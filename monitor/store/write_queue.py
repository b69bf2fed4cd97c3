"""The write queue: every write goes through it, writes with a waiting caller first."""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from itertools import chain
from typing import Any, TypeVar

import structlog

from monitor.access.events import Recorded
from monitor.store.errors import GoneError, StoreError, UnavailableError
from monitor.store.records import Change
from monitor.store.transaction import Transaction
from monitor.store.writer import Entry, Outcome, Then, Work, Writer

log = structlog.get_logger()

T = TypeVar("T")

#: Most changes kept in memory while the database refuses writes, about 3 kB each. When it is full, callers
#: wait, and their targets are not probed meanwhile.
MOST = 10_000

#: Seconds between two attempts while the database refuses.
_AGAIN = 1.0
#: Most entries in one transaction.
_TOGETHER = 256
#: When this many unchanged answers wait, the caller of a further one waits until it is written.
_CROWD = 2 * _TOGETHER
#: Most unchanged answers that share a transaction with entries of the first lane.
_SHARE = 32
#: Seconds between the starts of two transactions; entries that come meanwhile share the next one. Urgent
#: entries do not wait.
_GATHER = 0.03
#: Most seconds that an unchanged answer waits to share a transaction: alone it takes 0.3 ms of processor,
#: among a hundred 0.06.
_PATIENCE = 5.0


class WriteQueue:
    """Owns the writer's thread, and decides which entries share a transaction and in which order.

    There are two lanes. The first holds entries with a waiting caller: changes that people are told of,
    reservations, claims and marks of delivery. They are written in the order of their arrival, one group at
    a time. The second holds unchanged answers. They are written alone, or a few together with entries of the
    first lane if none of these is urgent or the answers have waited too long. The changes of one target stay
    in order: an entry of the first lane moves the target's answers from the second lane in front of itself.

    While the database refuses, results are kept in memory in order, at most `most` of them. The first
    refusal is logged, and the end of the refusals. `refusing` is the database's last error, or None.
    """

    def __init__(self, writer: Writer, *, most: int = MOST) -> None:
        self.refusing: str | None = None
        #: changes not written yet, and those that were lost when the queue ended
        self.kept = self.lost = 0
        self._writer = writer
        self._most = most
        self._loop = asyncio.get_running_loop()
        self._first: deque[Entry] = deque()
        #: unchanged answers by target, and their number
        self._second: dict[str, list[Entry]] = {}
        self._unchanged = 0
        #: number of entries in the first lane that are not kept when the database refuses
        self._direct = 0
        self._busy = self._closing = self._was_full = False
        #: an entry of the first lane is urgent; number of callers that wait until everything is written
        self._urgent, self._hurry = False, 0
        self._since = self._began = self._again_at = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._moved = asyncio.Event()
        writer.start(self._settle)

    @property
    def full(self) -> bool:
        """Whether callers have to wait."""
        return self.kept >= self._most

    @property
    def calm(self) -> bool:
        """Whether a further unchanged answer would return at once and be written soon."""
        return self.refusing is None and self._unchanged < _CROWD

    def words(self) -> tuple[str, ...]:
        """The error for a status line; empty while the database accepts writes."""
        return () if self.refusing is None else (f"{self.refusing}, {self.kept} results are kept",)

    # --- entries ---

    async def keep(
        self, changes: Sequence[Change], then: Then | None = None, *, patient: bool = False
    ) -> None:
        """Write results. Returns when they are written, or kept because the database refuses.

        `patient` is for one unchanged answer of a target: it returns at once unless too many wait already.
        Raises the error if the changes themselves are at fault.
        """
        told = any(change.events for change in changes)
        entry = Entry(
            _put(changes), changes, then, ordered=True, kept=True, proves=True, urgent=told
        )
        if self.refusing is None and not (patient and self._unchanged < _CROWD):
            entry.future = self._loop.create_future()
        self._add(entry, patient=patient)
        if entry.future:
            await entry.future
        if self.full:
            if self.refusing is not None and not self._was_full:
                self._was_full = True
                log.error(
                    "write_queue_full", kept=self.kept, why="no more probes until it is written"
                )
            await self._until(lambda: not self.full)

    async def keep_work(self, work: Work) -> None:
        """Run work once, in order with the results and however long the database refuses it.

        Returns when it is done, or kept because the database refuses. Raises the error if it is at fault.
        """
        entry = Entry(work, ordered=True, kept=True, proves=True, urgent=True)
        if self.refusing is None:
            entry.future = self._loop.create_future()
        self._add(entry)
        if entry.future:
            await entry.future

    async def write(self, changes: Sequence[Change], *, urgent: bool = True) -> list[int]:
        """Write changes after all earlier ones. Returns the ids of their events, in order.

        A write that is not `urgent` waits up to 30 ms to share a transaction. Raises StoreError when the
        changes are at fault or the database refuses them; they are not kept then.
        """
        if self.refusing is not None and (self.kept or self._loop.time() < self._again_at):
            raise UnavailableError(self.refusing)
        entry = Entry(_put(changes), changes, ordered=True, proves=True, urgent=urgent)
        recorded: list[Recorded] = await self._done(entry)
        return [one.event.id for one in recorded]

    async def do(
        self,
        work: Callable[[Transaction], T],
        *,
        proves: bool = False,
        after_all: bool = False,
        urgent: bool = True,
    ) -> T:
        """Run `work` in the writer's thread and return its result after the commit.

        It runs even if the caller is cancelled, and perhaps twice: again after a rollback. `proves`: it
        writes, so its success shows that the database accepts writes again. `after_all`: it runs after every
        result, and not at all while the database refuses some. Work that is not `urgent` waits a moment to
        share a transaction. Raises StoreError.
        """
        if after_all and self.refusing is not None:
            raise UnavailableError(self.refusing)
        entry = Entry(work, proves=proves, urgent=urgent, ordered=after_all)
        return await self._done(entry, after_all=after_all)  # type: ignore[no-any-return]

    async def written(self) -> None:
        """Write everything that is kept now, and wait until it is written."""
        self._hurry += 1
        try:
            self._plan()
            await self._until(lambda: not self.kept)
        finally:
            self._hurry -= 1

    def refused(self, error: StoreError) -> None:
        """The database refused a write. Logged once, until it accepts writes again."""
        if self.refusing is None:
            self._since = self._loop.time()
            self._again_at = self._since + _AGAIN
            log.error("database_refuses", error=str(error), why="results are kept, only listings")
        self.refusing = str(error)
        turned_down = [entry for entry in self._first if entry.ordered and not entry.kept]
        for entry in turned_down:
            self._first.remove(entry)
            _give(entry, error)
        self._direct -= len(turned_down)
        for entry in (*self._first, *chain.from_iterable(self._second.values())):
            if entry.kept:
                _give(entry, None)
        self._moved.set()

    async def aclose(self, last: Work) -> None:
        """Write what waits, then `last`, and end the thread. Logs each event that is lost.

        Raises StoreError when `last` cannot be written.
        """
        if self._closing:
            await self._writer.aclose()
            return
        self._closing = True
        try:
            self._plan()
            await self._until(self._at_rest)
            self._lose()
            future = self._loop.create_future()
            self._writer.put([Entry(last, future=future)])
            await future
        finally:
            await self._writer.aclose()

    # --- lanes ---

    async def _done(self, entry: Entry, *, after_all: bool = False) -> Any:
        entry.future = self._loop.create_future()
        self._add(entry, after_all=after_all)
        return await entry.future

    def _add(self, entry: Entry, *, patient: bool = False, after_all: bool = False) -> None:
        if self._closing:
            raise StoreError("the database is closed")
        entry.since = self._loop.time()
        if patient:
            self._second.setdefault(str(entry.changes[0].target), []).append(entry)
            self._unchanged += 1
        else:
            touched = list(self._second) if after_all else [c.target for c in entry.changes]
            for name in touched:
                before = self._second.pop(name, ()) if name else ()
                self._unchanged -= len(before)
                self._first.extend(before)
            self._first.append(entry)
            self._urgent |= entry.urgent
        if entry.kept:
            self.kept += len(entry.changes)
        else:
            self._direct += 1
        self._plan()

    def _take(self) -> list[Entry]:
        """Take the next group out of the lanes."""
        if self.refusing is not None and self._direct:
            group = [entry for entry in self._first if not entry.kept]
            self._first = deque(entry for entry in self._first if entry.kept)
            self._direct = 0
            return group
        group = [self._first.popleft() for _ in range(min(len(self._first), _TOGETHER))]
        self._direct -= sum(not entry.kept for entry in group)
        room = min(_TOGETHER - len(group), _SHARE) if group else _TOGETHER
        if any(entry.urgent for entry in group) and self._oldest() + _PATIENCE > self._began:
            room = 0
        while room > 0 and self._second:
            entries = self._second.pop(next(iter(self._second)))
            self._unchanged -= len(entries)
            room -= len(entries)
            group += entries
        self._urgent = any(entry.urgent for entry in self._first)
        return group

    def _oldest(self) -> float:
        return next(iter(self._second.values()))[0].since if self._second else float("inf")

    # --- timing ---

    def _due_at(self) -> float:
        """Loop time at which the next group is due; infinity if none is."""
        if not self._first and not self._second:
            return float("inf")
        if self.refusing is not None:
            return 0.0 if self._direct else self._again_at
        waiting = len(self._first) + self._unchanged
        if self._urgent or self._hurry or self._closing or waiting >= _TOGETHER:
            return 0.0
        return self._began + _GATHER if self._first else self._oldest() + _PATIENCE

    def _plan(self) -> None:
        """Schedule the next group for when it is due."""
        if self._busy:
            return
        at = self._due_at()
        if self._timer:
            if self._timer.when() <= at:
                return
            self._timer.cancel()
        # by a timer even if due now: entries of the same turn of the loop share the transaction
        self._timer = None if at == float("inf") else self._loop.call_at(at, self._begin)

    def _begin(self) -> None:
        self._timer = None
        now = self._loop.time()
        if self._busy or self._due_at() > now:
            self._plan()
            return
        self._busy, self._began = True, now
        self._writer.put(self._take())

    def _settle(self, group: Sequence[Entry], outcomes: Sequence[Outcome]) -> None:
        """The writer has finished a group: hand out its outcomes and plan the next one."""
        self._busy = False
        refusal: UnavailableError | None = None
        proved, back = False, []
        for entry, outcome in zip(group, outcomes, strict=True):
            error = outcome.error
            if entry.ordered and isinstance(error, UnavailableError):
                refusal = error
                if entry.kept:
                    _give(entry, None)
                    back.append(entry)
                    continue
            if entry.kept:
                self.kept -= len(entry.changes)
            proved |= error is None and entry.proves
            _finish(entry, outcome)
        self._first.extendleft(reversed(back))
        if refusal:
            self.refused(refusal)
            self._again_at = self._loop.time() + _AGAIN
        elif proved:
            self._accepted()
        self._moved.set()
        self._plan()

    def _accepted(self) -> None:
        """The database accepted a write: the refusals are over unless something is still kept."""
        self._again_at = 0.0
        if self.refusing is not None and not self.kept:
            seconds = round(self._loop.time() - self._since, 1)
            log.info("database_accepts_again", after_s=seconds)
            self.refusing, self._was_full = None, False

    # --- closing ---

    def _at_rest(self) -> bool:
        if self._busy or self._direct:
            return False
        return self.refusing is not None or not (self._first or self._second)

    def _lose(self) -> None:
        self.lost = self.kept
        if not self.lost:
            return
        entries = [*self._first, *chain.from_iterable(self._second.values())]
        self._first.clear()
        self._second.clear()
        for entry in entries:
            for change in entry.changes:
                for event in change.events:
                    log.error("not_recorded", target=change.target, event_kind=str(event.kind))
        log.error("results_lost", changes=self.lost, error=self.refusing)

    async def _until(self, holds: Callable[[], bool]) -> None:
        while not holds():
            self._moved.clear()
            await self._moved.wait()


def _put(changes: Sequence[Change]) -> Work:
    return lambda transaction: [one for change in changes for one in transaction.put(change)]


def _give(entry: Entry, result: Any) -> None:
    """Give the caller its result, unless it was cancelled or has one already."""
    future = entry.future
    if future is None or future.done():
        return
    if isinstance(result, Exception):
        future.set_exception(result)
    else:
        future.set_result(result)


def _finish(entry: Entry, outcome: Outcome) -> None:
    if outcome.error is None:
        if entry.then:
            entry.then(outcome.value)
        _give(entry, outcome.value)
    elif entry.kept and (entry.future is None or entry.future.done()):
        # no caller waits: log the error
        targets = [change.target for change in entry.changes if change.target]
        # who lost the database says so once more at its end; that it did is no fault of the changes
        why = None if isinstance(outcome.error, GoneError) else outcome.error
        log.error("not_recorded", targets=targets, error=str(outcome.error), exc_info=why)
    else:
        _give(entry, outcome.error)
