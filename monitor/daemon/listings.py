"""The model lists: the API's own shutdown dates, which override the catalog's."""

import asyncio
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date

import structlog

from monitor.access.diagnosis import read_listing
from monitor.access.observation import Observation
from monitor.access.words import ProbeKind
from monitor.config import Settings
from monitor.daemon.changes import Changes
from monitor.daemon.clock import Clock
from monitor.daemon.probe import Probe, answer_of
from monitor.daemon.request_slots import RequestSlots
from monitor.daemon.schedule import Schedule
from monitor.daemon.watches import Watch, Watches
from monitor.probing import Prober
from monitor.probing.received import listed
from monitor.store.records import Change

log = structlog.get_logger()

#: Seconds for which a list is fresh, more with many keys, so that lists leave room for probes.
FRESH = 3600.0
_PER_KEY = 10.0
#: Seconds after the start: the first probes are more urgent than lists.
_PROBES_FIRST = 1.5
#: Seconds between two lists on a route: lists are not urgent.
_PACE = 0.5
#: Seconds between two searches for stale lists.
_SEARCH = 60.0


@dataclass(eq=False)
class Listings:
    """Asks for each key's model list at the start, and again when no listing has brought it for an hour.

    A request is free, follows its route's pace, and changes no state.
    """

    watches: Watches
    slots: RequestSlots
    prober: Prober
    changes: Changes
    schedule: Schedule
    clock: Clock

    def use(self, settings: Settings) -> None:
        """Use these settings from now on: every list is asked for again, for its targets may be new."""
        self._rules = settings.rules
        self._routes: dict[str, dict[str, list[Watch]]] = {}
        for watch in self.watches:
            keys = self._routes.setdefault(watch.target.route, {})
            keys.setdefault(_asker(watch), []).append(watch)
        #: when each list was last read (even seconds), by route and key
        self._read_at: dict[tuple[str, str], float] = {}

    async def run(self) -> None:
        """Keep the lists fresh until cancelled."""
        await asyncio.sleep(_PROBES_FIRST)
        while True:
            try:
                await self.refresh()
            except Exception:
                # Shutdown dates are days away: the next search retries, and probes continue meanwhile.
                log.exception("lists_failed")
            await asyncio.sleep(_SEARCH)

    async def refresh(self) -> None:
        """Ask for every list that is not fresh, one by one on each route."""
        await asyncio.gather(*(self._refresh(keys.values()) for keys in self._routes.values()))

    def seen(self, watch: Watch, observation: Observation) -> None:
        """Use the list of a listing's answer for its key, unless the key's list is fresh."""
        if observation.status != 200 or not self._due(watch, 1):
            return
        models = listed(observation.body)
        if models:
            # none if the key left the settings during the request
            watches = self._routes.get(watch.target.route, {}).get(_asker(watch))
            if watches:
                self._took(watches, models)

    async def _refresh(self, keys: Collection[list[Watch]]) -> None:
        for watches in keys:
            first = watches[0]
            if not self._due(first, len(keys)):
                continue
            asked_with = first.credentials
            observation = await self._ask(first)
            if observation is None:  # the route is held back; the next search retries
                for watch in watches:
                    watch.dated = True
                continue
            models = listed(observation.body) if observation.status == 200 else {}
            self._took(watches, models)
            diagnosis = read_listing(observation, self._rules)
            log.info(
                "model_list",
                key=first.target.key,
                route=first.target.route,
                status=observation.status,
                models=len(models),
                diagnosis=str(diagnosis.code) if diagnosis else None,
            )
            # evidence for the targets of its key, not for others of a pool; it changes no state
            now = self.clock.now()
            probes = [
                Probe(watch, ProbeKind.LISTING, observation=observation, diagnosis=diagnosis)
                for watch in watches
                if watch.credentials == asked_with
            ]
            await self.changes.write(
                [Change(probe.watch.name, answer=answer_of(probe, now)) for probe in probes]
            )
            await asyncio.sleep(_PACE)

    async def _ask(self, watch: Watch) -> Observation | None:
        """The model list of the watch's key; None while its route is held back."""
        slots = self.slots.of(watch)
        if not await self.slots.wait_for_listing(slots):
            return None
        async with slots.in_flight:
            return await self.prober.probe(
                watch.credentials, watch.target.capability, ProbeKind.LISTING
            )

    def _due(self, watch: Watch, keys: int) -> bool:
        read_at = self._read_at.get(_place(watch))
        return read_at is None or self.clock.even() - read_at >= max(FRESH, keys * _PER_KEY)

    def _took(self, watches: Sequence[Watch], models: Mapping[str, date | None]) -> None:
        self._read_at[_place(watches[0])] = self.clock.even()
        now = self.clock.now()
        for watch in watches:
            watch.dated = True
            day = models.get(watch.target.capability.model)
            if day is None:
                continue
            watch.listed = day
            if day == watch.shutdown:
                continue
            log.info("shutdown_date", target=watch.name, listed=f"{day}", known=f"{watch.shutdown}")
            was_over = watch.shutdown is not None and watch.shutdown <= now.date()
            watch.shutdown = day
            if was_over and day > now.date() and not watch.busy:
                self.schedule.at(watch, now)  # so far it was probed weekly, as shut down


def _asker(watch: Watch) -> str:
    """The owner of the list: the key, or the whole pool, whose thousands of keys see the same models."""
    return watch.pool.name if watch.pool else watch.target.key


def _place(watch: Watch) -> tuple[str, str]:
    return watch.target.route, _asker(watch)
