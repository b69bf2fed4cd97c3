"""The slots of requests: each route's pace, breaker and limit, and the gaps of image probes."""

import asyncio
from collections import defaultdict
from dataclasses import dataclass, field
from operator import attrgetter

from monitor.access.cadence import settles
from monitor.access.pacing import Breaker, ImageGap, TokenBucket
from monitor.access.words import Hold, ProbeKind
from monitor.config import Settings
from monitor.config.settings import Route
from monitor.daemon.clock import Clock
from monitor.daemon.probe import Probe
from monitor.daemon.watches import Watch, Watches

#: Most probes under way over one route: a hanging route must not use up the slots of the others.
IN_FLIGHT_PER_ROUTE = 256


@dataclass(slots=True)
class RouteSlots:
    """What holds the requests of one route back."""

    route: Route
    bucket: TokenBucket
    breaker: Breaker
    in_flight: asyncio.Semaphore
    #: the watches that the breaker holds, by name
    held: dict[str, Watch] = field(default_factory=dict)


class RequestSlots:
    """Knows when a request may be sent. Waits and refusals stay during a reload."""

    def __init__(self, watches: Watches, clock: Clock) -> None:
        self._watches = watches
        self._clock = clock
        self._routes: dict[str, RouteSlots] = {}
        #: so many workers share the routes
        self._share = 1
        self._gaps: dict[tuple[str, str], ImageGap] = {}

    def use(self, settings: Settings) -> None:
        """Use the routes of these settings from now on."""
        keys: dict[str, set[str]] = defaultdict(set)
        for watch in self._watches:
            keys[watch.target.route].add(watch.target.key)
        trial, now = settings.cadence.trial.total_seconds(), self._clock.even()
        before, self._routes = self._routes, {}
        for name, route in settings.routes.items():
            share = settings.workers
            bucket, breaker = TokenBucket(route.rate / share), Breaker(len(keys[name]), trial)
            in_flight = asyncio.Semaphore(max(IN_FLIGHT_PER_ROUTE // share, 1))
            slots = RouteSlots(route, bucket, breaker, in_flight)
            if old := before.get(name):
                slots.breaker, slots.held = old.breaker, old.held
                slots.breaker.use(len(keys[name]), trial, now)
                if share == self._share:
                    slots.in_flight = old.in_flight
            self._routes[name] = slots
        self._share = settings.workers
        # of several cadences in one organization, that of its first target
        self._cadences = {_place(watch): watch.cadence for watch in reversed(list(self._watches))}
        for place, gap in self._gaps.items():
            if cadence := self._cadences.get(place):
                gap.use(cadence, now)

    def of(self, watch: Watch) -> RouteSlots:
        """The slots of the watch's route. A probe keeps them: its route may leave the settings."""
        return self._routes[watch.target.route]

    def wait(self, watch: Watch) -> tuple[float, Hold]:
        """Seconds until the probe may be sent, and what it waits for. At 0 its slots are taken."""
        now = self._clock.even()
        route = self.of(watch)
        key = watch.target.key
        at = route.breaker.ready_at(now, key, watch.sent_at)
        if at > now:
            route.held[watch.name] = watch
            return at - now, Hold.BREAKER
        gap = None
        if watch.wants_full and watch.target.capability.surface.makes_images:
            gap = self._gap(watch)
            # one that has setbacks might go first for ever
            first = settles(watch.memory) and not watch.memory.setbacks
            if not gap.holds(watch.gap_slot):
                watch.gap_slot = gap.reserve(now, first=first)
            if watch.gap_slot and watch.gap_slot.at > now:
                return watch.gap_slot.at - now, watch.gap_slot.held_by
        if watch.bucket_slot is None:
            watch.bucket_slot = route.bucket.reserve(now)
        if watch.bucket_slot > now:
            return watch.bucket_slot - now, Hold.RATE
        watch.gap_slot = watch.bucket_slot = None
        watch.sent_at = now
        route.held.pop(watch.name, None)
        route.breaker.sent(now, key)
        if gap:
            gap.sent(now)
        return 0.0, Hold.RATE

    async def wait_for_listing(self, route: RouteSlots) -> bool:
        """Wait for the route's pace; False while the route is held back."""
        if route.breaker.open:
            return False
        now = self._clock.even()
        await asyncio.sleep(route.bucket.reserve(now) - now)
        return True

    def answered(self, route: RouteSlots, probe: Probe) -> list[Watch]:
        """Learn from a probe's answer. Returns whom the breaker frees, who waited longest first."""
        watch, code, now = probe.watch, probe.code, self._clock.even()
        closes = route.breaker.answered(watch.target.key, code, now)
        if code and _makes_image(watch, probe.kind):
            self._gap(watch).answered(code, probe.observation.headers, now)
        if not (closes and route.held):
            return []
        freed = sorted(route.held.values(), key=attrgetter("sent_at"))
        route.held.clear()
        return freed

    def _gap(self, watch: Watch) -> ImageGap:
        place = _place(watch)
        gap = self._gaps.get(place)
        if gap is None:
            cadence = self._cadences.get(place, watch.cadence)  # its route may leave the settings
            gap = self._gaps[place] = ImageGap(cadence)
        return gap


def _place(watch: Watch) -> tuple[str, str]:
    return watch.target.route, watch.target.scope


def _makes_image(watch: Watch, kind: ProbeKind) -> bool:
    return kind is ProbeKind.FULL and watch.target.capability.surface.makes_images
