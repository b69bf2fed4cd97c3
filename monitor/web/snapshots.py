"""What the page reads: queries in threads of their own, and the targets as of a moment ago."""

import asyncio
import time
from collections import Counter, OrderedDict
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from typing import Any, Concatenate, ParamSpec, TypeVar

from monitor.access.databases import Database
from monitor.access.target import pool_name_of
from monitor.access.words import State
from monitor.store import status_queries, target_queries
from monitor.store.records import Status, TargetStatus

#: Queries at a time; others wait for their turn.
_THREADS = 2
#: What was read counts as new for so many seconds, or for so many times as long as reading it took, whichever
#: is longer: the reading of thousands of targets must not take the time of the pages.
_FRESH, _COST = 1.0, 10.0
#: From this share of that time on it is read anew while who asks still gets the present one: on one core a
#: page that had to wait for thousands of targets would take three times as long.
_AHEAD = 2 / 3
#: The same when something was recorded meanwhile: who is told of it asks at once, and must not see the old.
_COST_OF_NEWS = 4.0
#: Targets that propagate of which the first light is looked for.
_LIGHTS_MOST = 500
#: Results of different queries that are kept; the one that was not asked for longest gives way.
_KEPT_MOST = 32

P = ParamSpec("P")
T = TypeVar("T")


@dataclass(frozen=True, slots=True, eq=False)
class TargetGroup:
    """The targets of an organization or of a pool; the two may have the same name."""

    name: str
    targets: Sequence[TargetStatus]
    #: how many are in which state
    counts: Mapping[State, int]


@dataclass(frozen=True, slots=True)
class Snapshot:
    """All active targets as of one moment (UTC): those of pools by pool, the others by organization."""

    at: datetime
    status: Status
    by_name: Mapping[str, TargetStatus] = field(repr=False)
    organizations: Mapping[str, TargetGroup] = field(repr=False)
    pools: Mapping[str, TargetGroup] = field(repr=False)
    #: when those that propagate and are opening saw their first light
    lights: Mapping[str, datetime] = field(repr=False)
    #: the pages that were made of it, by address and visitor: they end with it
    pages: dict[Any, Any] = field(default_factory=dict, repr=False, compare=False)
    #: held while a page is made: who asks for it meanwhile gets the same one
    making: dict[Any, asyncio.Lock] = field(default_factory=dict, repr=False, compare=False)
    #: held while any page is made: all at once would all be late, and each of them needs a thread
    turns: asyncio.Semaphore = field(
        default_factory=partial(asyncio.Semaphore, _THREADS), repr=False, compare=False
    )

    @staticmethod
    def of(
        status: Status, pools: Sequence[str], lights: Mapping[str, datetime], at: datetime
    ) -> "Snapshot":
        """Sort and count the targets of a status. A key without an organization is one of its own."""
        organizations: dict[str, list[TargetStatus]] = {}
        by_pool: dict[str, list[TargetStatus]] = {name: [] for name in pools}
        for target in status.targets:
            pool = pool_name_of(target.key, pools)
            if pool:
                by_pool[pool].append(target)
            else:
                organizations.setdefault(target.organization or target.key, []).append(target)
        by_name = {one.target: one for one in status.targets}
        ordered, pooled = _groups(sorted(organizations.items())), _groups(by_pool.items())
        return Snapshot(at, status, by_name, ordered, pooled, lights)


def _groups(found: Iterable[tuple[str, Sequence[TargetStatus]]]) -> dict[str, TargetGroup]:
    return {
        name: TargetGroup(name, targets, Counter(one.state for one in targets))
        for name, targets in found
    }


class Reader:
    """Reads the database for the pages. Raises StoreError as the queries do."""

    def __init__(self, database: Database, pools: Sequence[str]) -> None:
        self.database = database
        self._pools = pools
        self._threads = ThreadPoolExecutor(_THREADS, "query")
        self._kept: OrderedDict[Any, _Kept] = OrderedDict()
        self._heard_at = 0.0
        #: the targets that were read last: those that did not change are not kept twice
        self._known: Mapping[str, TargetStatus] = {}

    def close(self) -> None:
        """End the threads; queries under way are not waited for."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def ask(
        self, query: Callable[Concatenate[Database, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """The result of a query of the store."""
        work = partial(query, self.database, *args, **kwargs)
        return await asyncio.get_running_loop().run_in_executor(self._threads, work)

    async def lately(
        self, query: Callable[Concatenate[Database, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """The same as of a moment ago: for what many pages show, takes long to read, and changes little."""
        name = (query, args, *sorted(kwargs.items()))
        kept = self._kept.setdefault(name, _Kept())
        self._kept.move_to_end(name)
        if len(self._kept) > _KEPT_MOST:
            self._kept.popitem(last=False)
        while True:
            now = time.monotonic()
            news = self._heard_at >= kept.began and now >= kept.soonest
            old = news or now >= kept.stale_at
            if kept.reading is None and (old or now >= kept.ahead_at):
                kept.reading = asyncio.create_task(
                    self._read(kept, self.ask(query, *args, **kwargs))
                )
                kept.reading.add_done_callback(_take_error)
            if not old:
                found: T = kept.value
                return found
            assert kept.reading is not None  # noqa: S101
            await asyncio.shield(kept.reading)  # one reads, the others take what it read

    async def _read(self, kept: "_Kept", asked: Awaitable[Any]) -> None:
        began = time.monotonic()
        try:
            kept.value = await asked
        except BaseException:
            kept.value, kept.stale_at = None, began  # an error must not show the old one as new
            raise
        finally:
            kept.reading = None
        ended = time.monotonic()
        lasts = max(_FRESH, _COST * (ended - began))
        kept.began = began
        kept.ahead_at, kept.stale_at = ended + _AHEAD * lasts, ended + lasts
        # what came during the reading may be missing from it, and who was told of it has asked already
        rest = 0.0 if self._heard_at >= began else _COST_OF_NEWS * (ended - began)
        kept.soonest = ended + rest

    def heard(self) -> None:
        """Something was recorded: what was read before is not true any more."""
        self._heard_at = time.monotonic()

    async def snapshot(self) -> Snapshot:
        """The targets as of a second ago at most; with thousands of them a little longer."""
        return await self.lately(self._targets)

    def _targets(self, database: Database) -> Snapshot:
        now = datetime.now(UTC)
        status = status_queries.status(database, now=now, known=self._known)
        snapshot = Snapshot.of(status, self._pools, _lights(database, status), now)
        self._known = snapshot.by_name
        return snapshot


def _lights(database: Database, status: Status) -> Mapping[str, datetime]:
    opening = [one for one in status.targets if one.state is State.PROPAGATING][:_LIGHTS_MOST]
    return target_queries.first_lights(database, [one.target for one in opening]) if opening else {}


def _take_error(reading: asyncio.Task[None]) -> None:
    """Who asked has the error already; when nobody waits, who asks next reads again."""
    if not reading.cancelled():
        reading.exception()


@dataclass(slots=True)
class _Kept:
    """What was read and when (monotonic), and until when it is not read again, even if there is news."""

    value: Any = None
    began: float = 0.0
    ahead_at: float = 0.0
    stale_at: float = 0.0
    soonest: float = 0.0
    reading: asyncio.Task[None] | None = None
