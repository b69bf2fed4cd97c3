"""A worker: a monitor of the shards that it has, while others have the rest.

It runs the settings with the keys of its shards only, as if there were no others. What they share comes
through the database: the shards, the month's budget, declarations and requests.
"""

import asyncio
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from typing import Any

import structlog

from monitor.access.cadence import not_before
from monitor.access.holds import Posting
from monitor.access.memory import TargetState
from monitor.access.words import EventKind, Reason
from monitor.alerts.interfaces import Sender
from monitor.config import Settings
from monitor.daemon.channels import redactor_of
from monitor.daemon.schedule import schedule_all
from monitor.daemon.service import Monitor
from monitor.daemon.watches import Watch
from monitor.probing import reachable
from monitor.store.errors import StoreError
from monitor.store.fleet import Fleet, Standing
from monitor.store.records import Change

log = structlog.get_logger()

#: Seconds that a hand-over waits for probes, and for sends: others wait for the shards.
_END_PROBES, _END_SENDS = 2.0, 5.0
#: Seconds without a beat after which the lease is renewed on its own, and between two checks of that.
_LATE_BEAT, _RENEW = 2.0, 1.0
#: Seconds between two checks of the routes while none is reached, and of one; the most that are checked.
_CHECK, _CHECK_MOST, _CHECKED_MOST = 5.0, 3.0, 16


class Worker(Monitor):
    """One of several monitors on one database; `name` is unique among them. Else as `Monitor`."""

    def __init__(
        self, settings: Settings, channels: Sequence[Sender], *, name: str, **rest: Any
    ) -> None:
        rest["redactor"] = rest.get("redactor") or redactor_of(settings)
        super().__init__(settings.only((), 1), channels, worker=name, **rest)
        self._whole = settings
        self._shards: frozenset[int] = frozenset()
        #: monotonic times of the last beat, and of the last check of the routes
        self._beaten_at = self._checked_at = 0.0
        self._is_reached = False
        self._renewing: asyncio.Task[None] | None = None
        #: earlier declarations are not applied to its new targets yet, and their alerts are not read
        self._has_new = False
        #: how often dead notifications were made pending again, as of the last beat
        self._retries = 0
        #: what is booked for keys that come, and the keys that leave, until the swap
        self._change_keys: tuple[Callable[[], None], set[str]] = (lambda: None, set())
        #: `offline` was told by this worker or before its start, or left to another one that had told it
        self._said_offline = False

    # --- what differs at a start, at a beat, at a reload and at a stop ---

    async def start(self) -> None:
        """Join the fleet and begin with what is free. Raises StoreError as for one monitor."""
        await super().start()
        self._renewing = asyncio.create_task(self._renew(), name="lease")

    async def stop(self) -> None:
        """Stop as one monitor does; others have the shards at once."""
        if self._renewing:
            self._renewing.cancel()
        await super().stop()

    async def _reload(self, settings: Settings, channels: Sequence[Sender]) -> None:
        before, self._whole = self._whole, settings
        try:
            await super()._reload(settings.only(self._shards, self._settings.workers), channels)
        except BaseException:
            self._whole = before
            raise
        self._fleet.limit(settings.budget.per_month)

    def _build(self, *, offline_since: datetime | None) -> None:
        super()._build(offline_since=offline_since)
        self._said_offline = offline_since is not None
        self._fleet.limit(self._whole.budget.per_month)
        self._pipeline.network_news = []

    # --- the shards ---

    @property
    def _fleet(self) -> Fleet:
        assert self._recorder.fleet is not None  # noqa: S101  it was opened for a worker
        return self._recorder.fleet

    def _is_own(self, keys: Collection[str]) -> bool:
        """Whether it is this worker's; what concerns no key is that of shard 0."""
        shards = {self._whole.shard_of_key(key) for key in keys} - {None} or {0}
        return shards <= self._shards

    async def _stand(self) -> None:
        """Take part in the fleet: once at each beat. Raises StoreError, and is then done at the next one."""
        offline = await self._is_offline()
        today = self._clock.now().date()
        standing = await self._fleet.beat(today.replace(day=1), offline=offline)
        self._beaten_at = time.monotonic()
        for name in standing.ended:
            log.warning(
                "worker_gone", worker=name, why="its lease was over, or its process is dead"
            )
        self._payments.know_month(today, standing.committed_usd)
        await self._tell_network(standing, offline=offline)
        shards = frozenset(standing.shards)
        if shards != self._shards or standing.workers != self._settings.workers:
            await self._watch(shards, standing.workers)
            self._payments.know_month(today, standing.committed_usd)
        if self._has_new or standing.retries != self._retries:
            await self._deliveries.revived()
            self._retries = standing.retries
        if self._has_new:
            await self._inbox_reader.apply_earlier_declarations()
            await self._inbox_reader.declare_from(self._settings)
            self._has_new = False
        await self._take_declarations(standing)
        if not standing.hand_over:
            self._keep([watch for watch in self.watches if watch.handed_over])
        else:
            await self._hand_over(frozenset(standing.hand_over), standing.workers)

    async def _watch(self, shards: frozenset[int], workers: int) -> None:
        """Watch the targets of these shards from now on. Raises StoreError, with nothing changed."""
        settings = self._whole.only(shards, workers)
        known = {watch.name for watch in self.watches}
        held = [watch for watch in self.watches if watch.handed_over]
        taken, left = shards - self._shards, self._shards - shards
        await self._stop_helpers()
        try:
            if 0 in taken:
                await self._recorder.silences.read()
            leaving, memories = await self._register(settings)
            _, freed = self._swap(settings, leaving, memories)
            self._shards = shards
        finally:
            self._start_helpers()
        new = [watch for watch in self.watches if watch.name not in known]
        self._keep([watch for watch in held if watch in self.watches])
        schedule_all(new, settings, self._clock, self._schedule)
        self._deliveries.share(workers)
        log.info(
            "shards",
            taken=sorted(taken),
            left=sorted(left),
            workers=workers,
            targets=len(self.watches),
        )
        if freed:
            await self._changes.write([Change(posting=freed)])
        self._has_new = True

    async def _register(self, settings: Settings) -> tuple[list[Watch], dict[str, TargetState]]:
        before = {key.name for key in self._settings.keys}
        after = {key.name for key in settings.keys}
        leaving, memories = await super()._register(settings)
        try:
            load = await self._payments.take_over(after - before, self._clock.now().date())
        except StoreError:
            for watch in leaving:
                watch.leaving = False
            raise
        self._change_keys = load, before - after
        return leaving, memories

    def _swap(
        self, settings: Settings, leaving: Sequence[Watch], memories: Mapping[str, TargetState]
    ) -> tuple[list[Watch], Posting]:
        found = super()._swap(settings, leaving, memories)
        load, left = self._change_keys
        load()
        self._payments.leave(left)
        return found

    def _keep(self, watches: Sequence[Watch]) -> None:
        """These were to be handed over, and stay."""
        for watch in watches:
            watch.handed_over = False
            if not watch.busy:
                self._schedule.at(watch, not_before(watch.memory, self._clock.now()))

    async def _hand_over(self, shards: frozenset[int], workers: int) -> None:
        """Let others have these shards: end what is under way, write it, then give them away."""
        leaving, paused = self._of_shards(shards), False
        try:
            await self._pipeline.hand_over(leaving, _END_PROBES)
            paused = True
            await self._deliveries.pause(min(_END_SENDS, self._deliveries.longest_s + 1.0))
            await self._recorder.outbox.release_own()
            if freed := self._payments.forget(leaving):
                await self._changes.write([Change(posting=freed)])
            await self._fleet.hand_over(shards)
        finally:  # after a StoreError the next beat knows whose they are
            if paused:
                self._deliveries.begin()
        await self._watch(self._shards - shards, workers)

    def _of_shards(self, shards: Collection[int]) -> list[Watch]:
        return [
            watch
            for watch in self.watches
            if self._settings.shard_of_key(watch.target.key) in shards
        ]

    async def _take_declarations(self, standing: Standing) -> None:
        """Apply the declarations that own shards have not taken yet, each once in each shard."""
        behind = {
            shard: last
            for shard, last in standing.shards.items()
            if last < standing.declared and shard in self._shards
        }
        if not behind:
            return
        for one in await self._recorder.declarations_after(min(behind.values())):
            untold = {shard for shard, last in behind.items() if last < one.id}
            among = {watch.name for watch in self._of_shards(untold)}
            if one.id <= standing.declared:
                await self._inbox_reader.declared(one, among, tuple(untold))

    async def _renew(self) -> None:
        """Renew the lease while a beat takes long: any transaction does."""
        while True:
            await asyncio.sleep(_RENEW)
            if time.monotonic() - self._beaten_at > _LATE_BEAT:
                with suppress(StoreError):  # the beat says so
                    await self._recorder.queue.do(lambda _: None)

    # --- the network ---

    async def _is_offline(self) -> bool:
        """Whether no route at all is reached: the probes tell of those of the own targets only."""
        if not self._network.offline:
            return False
        if time.monotonic() - self._checked_at >= _CHECK:
            self._checked_at = time.monotonic()
            routes = sorted({self._whole.routes[key.route].base_url for key in self._whole.keys})
            asked = (reachable(url, seconds=_CHECK_MOST) for url in routes[:_CHECKED_MOST])
            self._is_reached = any(await asyncio.gather(*asked))
        if self._is_reached:
            self._network.recovered()
        return self._network.offline

    async def _tell_network(self, standing: Standing, *, offline: bool) -> None:
        """Tell `offline` if no other worker is offline already, and `online` if none is any more.

        Those that were may be gone: then one that stays tells it.
        """
        news, self._pipeline.network_news = self._pipeline.network_news or [], []
        changed, self._said_offline = offline != self._said_offline, offline
        if not changed and not standing.left_offline:
            return
        if standing.others_offline:
            log.info("network", offline=offline, why="another worker is offline, too: it was told")
            return
        facts = next((facts for kind, facts in news if (kind is EventKind.OFFLINE) is offline), {})
        if not offline:
            since = await self._recorder.offline_since()
            if since is None:
                return  # another worker has told it
            lasted = (self._clock.now() - since).total_seconds()
            facts = facts | {"lasted_s": max(lasted, 0.0)}
        kind = EventKind.OFFLINE if offline else EventKind.ONLINE
        reason = Reason.ALL_ROUTES_FAIL if offline else Reason.A_ROUTE_ANSWERS
        facts = facts | self._own_facts | {"others_online": standing.others_online}
        await self._changes.tell(kind, reason, facts)
