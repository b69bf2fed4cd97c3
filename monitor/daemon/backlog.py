"""What is to be recorded, in its order: written at once, or kept while the database refuses it."""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice

import structlog

from monitor.store.errors import StoreError, UnavailableError
from monitor.store.recorder import Recorder
from monitor.store.records import Change

log = structlog.get_logger()

#: Changes that are kept at most while the database refuses; then who brings more has to wait, and is
#: not looked at meanwhile. About 3 kB each.
MOST = 10_000

#: Seconds between two tries while it refuses.
_AGAIN = 1.0
#: Entries written in one transaction at most.
_TOGETHER = 256
#: Seconds between the beginnings of two transactions: what comes meanwhile shares the next one. What
#: people are told of does not wait.
_GATHER = 0.03
#: Seconds that what brings nothing new waits for company: a commit costs more than a look.
_PATIENCE = 5.0

#: Called with the ids of the happenings once the changes are committed.
Then = Callable[[list[int]], None]


@dataclass(frozen=True, slots=True, eq=False)
class _Entry:
    changes: Sequence[Change]
    then: Then | None
    #: whoever brought it goes on only if it is written, and must be told when it is not
    insists: bool
    #: nobody waits for it, and nothing is lost with it but how often an answer came
    patient: bool
    future: "asyncio.Future[None]"


class Backlog:
    """Everything that changes a memory or reserves money is written through it, first come first served.

    One write is under way at a time, so that no change overtakes another. The first refusal is logged,
    and the end of it. `refusing` says what the database said last, None while all is well.
    """

    def __init__(self, recorder: Recorder, *, most: int = MOST) -> None:
        self.refusing: str | None = None
        self._recorder = recorder
        self._most = most
        self._entries: deque[_Entry] = deque()
        self._since = 0.0
        self._was_full = False
        self._loop = asyncio.get_running_loop()
        #: changes that are kept
        self.kept = 0
        self._something = asyncio.Event()
        self._room = asyncio.Event()
        self._empty = asyncio.Event()
        self._count(0)
        self._impatient = asyncio.Event()
        self._urgent = asyncio.Event()
        self._began = 0.0
        self._task = asyncio.create_task(self._run(), name="backlog")

    @property
    def full(self) -> bool:
        """Whether whoever brings more has to wait."""
        return self.kept >= self._most

    @property
    def calm(self) -> bool:
        """Whether what nobody waits for is kept at once, and written soon."""
        return self.refusing is None and len(self._entries) < 2 * _TOGETHER

    async def write(
        self, changes: Sequence[Change], then: Then | None = None, *, patient: bool = False
    ) -> None:
        """Have changes written; returns when they are, or are kept because the database refuses.

        With `patient` it returns at once, and the changes wait a little for others, unless so many wait that
        what is urgent would wait long behind them. Without it, raises what the recorder raises when the
        changes themselves are at fault.
        """
        patient = patient and len(self._entries) < 2 * _TOGETHER
        entry = self._add(changes, then, patient=patient)
        if self.refusing is None and not patient:
            await entry.future
        if self.full:
            if self.refusing is not None and not self._was_full:
                self._was_full = True
                log.error(
                    "backlog_full", kept=self.kept, why="no more looks until it can be written"
                )
            await self._room.wait()

    async def insist(self, changes: Sequence[Change]) -> None:
        """Have changes written in their turn. Raises StoreError when the database refuses them now."""
        if self.refusing is not None:
            raise UnavailableError(self.refusing)
        await self._add(changes, None, insists=True).future

    def refused(self, error: StoreError) -> None:
        """The database refused something, here or elsewhere: said once, until it is well again."""
        if self.refusing is None:
            self._since = self._loop.time()
            log.error("database_refuses", error=str(error), why="results are kept, only free looks")
        self.refusing = str(error)
        for entry in self._entries:
            if not entry.insists and not entry.future.done():
                entry.future.set_result(None)

    def accepted(self) -> None:
        """The database took something; that ends the trouble unless something is still kept."""
        if self.refusing is not None and not self._entries:
            seconds = round(self._loop.time() - self._since, 1)
            log.info("database_accepts_again", after_s=seconds)
            self.refusing, self._was_full = None, False

    def words(self) -> tuple[str, ...]:
        """The trouble for a status line; empty while all is well."""
        return () if self.refusing is None else (f"{self.refusing}, {self.kept} results are kept",)

    async def emptied(self) -> None:
        """Wait until nothing is kept."""
        await self._empty.wait()

    async def aclose(self) -> None:
        """End; what is still kept is lost, and said, each happening by itself."""
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        if not self._entries:
            return
        for entry in self._entries:
            for change in entry.changes:
                for told in change.told:
                    log.error(
                        "not_recorded", target=change.target, event_kind=str(told.happening.event)
                    )
        log.error("results_lost", changes=self.kept, error=self.refusing)

    def _add(
        self,
        changes: Sequence[Change],
        then: Then | None,
        *,
        insists: bool = False,
        patient: bool = False,
    ) -> _Entry:
        entry = _Entry(changes, then, insists, patient, self._loop.create_future())
        if patient or self.refusing is not None:
            entry.future.set_result(None)
        self._entries.append(entry)
        self._count(len(changes))
        urgent = len(self._entries) >= _TOGETHER or any(change.told for change in changes)
        if urgent:
            self._urgent.set()
        if urgent or not patient:
            self._impatient.set()
        return entry

    async def _run(self) -> None:
        while True:
            await self._something.wait()
            await self._gather()
            if not await self._write(_TOGETHER):
                await asyncio.sleep(_AGAIN)

    async def _gather(self) -> None:
        """Let more come: if the last transaction was only just now, or nobody waits for this one."""
        if len(self._entries) < _TOGETHER and all(entry.patient for entry in self._entries):
            await _within(_PATIENCE, self._impatient)
        if not self._urgent.is_set():
            await _within(self._began + _GATHER - self._loop.time(), self._urgent)
        self._urgent.clear()
        self._impatient.clear()
        self._began = self._loop.time()

    async def _write(self, count: int) -> bool:
        """Write the first entries together; False when the database refuses."""
        entries = list(islice(self._entries, count))
        changes = [change for entry in entries for change in entry.changes]
        try:
            ids = await self._recorder.write(changes)
        except UnavailableError as error:
            self.refused(error)
            self._turn_down(error)
            return False
        except Exception as error:  # noqa: BLE001  a fault of one of them: whoever brought it gets it
            if len(entries) > 1:
                for _ in entries:
                    if not await self._write(1):
                        return False
            else:
                self._fail(entries[0], error)
            return True
        for entry in entries:
            self._take_out(entry)
        for entry in entries:
            told = sum(len(change.told) for change in entry.changes)
            if entry.then:
                entry.then(ids[:told])
            ids = ids[told:]
            if not entry.future.done():
                entry.future.set_result(None)
        self.accepted()
        return True

    def _turn_down(self, error: StoreError) -> None:
        for entry in [entry for entry in self._entries if entry.insists]:
            self._fail(entry, error)

    def _fail(self, entry: _Entry, error: Exception) -> None:
        self._take_out(entry)
        if not entry.future.done():
            entry.future.set_exception(error)
        elif not entry.insists:  # nobody waits for it any more
            targets = [change.target for change in entry.changes if change.target]
            log.error("not_recorded", targets=targets, error=str(error), exc_info=error)

    def _take_out(self, entry: _Entry) -> None:
        with suppress(ValueError):
            self._entries.remove(entry)
        self._count(-len(entry.changes))

    def _count(self, change: int) -> None:
        self.kept += change
        for event, holds in (
            (self._something, bool(self._entries)),
            (self._room, not self.full),
            (self._empty, not self._entries),
        ):
            if holds:
                event.set()
            else:
                event.clear()


async def _within(seconds: float, event: asyncio.Event) -> None:
    """Wait until the event is set, for so long at most."""
    if seconds > 0:
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await event.wait()
