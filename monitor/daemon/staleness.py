"""What is told when nothing conclusive comes: from every route, from one route, or from targets alone."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from monitor.access.cadence import full_interval
from monitor.access.diagnosis.advice import failure_of
from monitor.access.events import Decision, Event, TimePassed
from monitor.access.memory import ClockStep
from monitor.access.observation import Diagnosis, Failure
from monitor.access.states import advance
from monitor.access.words import Code, EventKind, Reason, Staleness
from monitor.daemon.changes import Changes, EventBuilder
from monitor.daemon.watches import Watch, Watches
from monitor.store.records import Change

#: Most stale targets that a message names.
_NAMED_MOST = 10
#: A route that was not asked for so long is asked when all others fail.
_UNHEARD = timedelta(minutes=10)


class NetworkState:
    """Tells `offline` once when every route fails to be reached, and `online` at the first answer.

    `sizes` says how many targets each route has: one with many must fail several times in a row,
    so that two unlucky connections are no outage. An only route that takes a request and does not answer in
    time is slow: `stale` tells of that. `since` is when `offline` was told, if that was told last
    before this start.
    """

    def __init__(self, sizes: Mapping[str, int], *, since: datetime | None = None) -> None:
        self._failures: dict[str, int] = {}
        #: when `offline` was told; None while a route answers
        self.since = since
        self._lasted = 0.0
        #: when each route was last asked
        self.asked: dict[str, datetime] = {}
        #: by route, why the last failure was one: a diagnosis' rule, and its words
        self.causes: dict[str, tuple[str, str]] = {}
        self.use(sizes)

    def use(self, sizes: Mapping[str, int]) -> None:
        """Judge these routes from now on; the failures of those that remain still count."""
        self._sizes = {route: size for route, size in sizes.items() if size}
        self._needed = {route: max(2, min(5, size)) for route, size in self._sizes.items()}
        self._failures = {route: self._failures.get(route, 0) for route in self._needed}

    @property
    def offline(self) -> bool:
        """True from `offline` to `online`."""
        return self.since is not None

    def answered(self, route: str, diagnosis: Diagnosis | None, now: datetime) -> EventKind | None:
        """Learn from a probe's result; return the event it makes, if any."""
        self.asked[route] = now
        if diagnosis is not None and diagnosis.code is Code.NETWORK_ERROR:
            if len(self._needed) == 1 and failure_of(diagnosis.rule) is Failure.TIMEOUT:
                return None  # it took the request: without another route that fails it is slow
            self.causes[route] = diagnosis.rule, diagnosis.message
            self._failures[route] = self._failures.get(route, 0) + 1
            down = all(self._failures[r] >= needed for r, needed in self._needed.items())
            if down and not self.offline:
                self.since = now
                return EventKind.OFFLINE
            return None
        self._failures[route] = 0
        if self.since:
            self._lasted = max((now - self.since).total_seconds(), 0.0)
            self.since = None
            return EventKind.ONLINE
        return None

    def to_ask(self, now: datetime) -> list[str]:
        """The routes to ask now: all others fail, and nobody asked these for long.

        A dead key is probed once a day: without this its route would keep `offline` from being told.
        """
        well = [route for route, needed in self._needed.items() if self._failures[route] < needed]
        if any(now - self.asked.setdefault(route, now) < _UNHEARD for route in well):
            return []
        self.asked.update(dict.fromkeys(well, now))
        return well

    def recovered(self) -> None:
        """Begin anew: a route is reached, as something else than a probe has shown."""
        self._failures = dict.fromkeys(self._needed, 0)
        self.since = None

    def facts(self) -> dict[str, Any]:
        """The facts of the event that `answered` returned."""
        routes = sorted(self._needed)
        facts: dict[str, Any] = {"routes": routes, "targets": sum(self._sizes.values())}
        if self.offline:
            causes = [self.causes.get(name, ("", "")) for name in routes]
            facts["message"] = "; ".join(dict.fromkeys(words for _, words in causes if words))
            facts["rules"] = list(dict.fromkeys(rule for rule, _ in causes if rule))
        else:
            facts["lasted_s"] = self._lasted
        return facts


@dataclass(eq=False)
class StaleRoutes:
    """Knows when each route last answered conclusively, and which routes were told as stale."""

    watches: Watches
    event_builder: EventBuilder
    changes: Changes
    network: NetworkState
    #: start of the present time of probing without a suspend, or an outage that was told
    watching_since: datetime

    def __post_init__(self) -> None:
        self._answered: dict[str, datetime] = {}
        #: routes told as stale, and since when such a route answers again
        self._told: set[str] = set()
        self._again: dict[str, datetime] = {}
        self.adopt(self.watching_since)

    def adopt(self, now: datetime) -> None:
        """Learn from the memories of new watches, which are watched from now on."""
        new = [watch for watch in self.watches if watch.watched_since is None]
        for watch in new:
            watch.watched_since = now
            route, last = watch.target.route, watch.memory.conclusive_at
            if last:
                self._answered[route] = max(last, self._answered.get(route, last))
        for watch in new:
            route, told = watch.target.route, watch.memory.stale_at
            # one that is blocked since remembers it long after others of the route are answered again
            if watch.memory.stale is not Staleness.ROUTE or told is None:
                continue
            if route not in self._answered or self._answered[route] < told:
                self._told.add(route)

    def probing_resumed(self, now: datetime) -> None:
        """The machine or the network was down until now: staleness counts from here."""
        self.watching_since = now

    def answered(self, route: str, now: datetime) -> None:
        """A target of the route got a conclusive answer."""
        self._answered[route] = now
        if route in self._told:
            self._told.discard(route)
            self._again[route] = now

    def shift(self, step: ClockStep) -> None:
        """The wall clock was stepped: move the times that were measured by it."""
        self.watching_since += step.by
        if self.network.since:
            self.network.since = step.moved(self.network.since)
        for times in (self._answered, self._again, self.network.asked):
            times.update({route: step.moved(at) for route, at in times.items()})

    def passed(self, watch: Watch, now: datetime) -> TimePassed:
        """The input of time passing for a target, with the facts of its route."""
        route = watch.target.route
        # while our own network is down no target counts as stale: `offline` was told
        since = now if self.network.offline else self.watching_since
        since = max(since, watch.watched_since or since)
        return TimePassed(
            full_interval(watch.memory, now, watch.cadence, watch.shutdown),
            # the catalog's date wakes nobody before the API's own list is read
            watch.shutdown if watch.dated else None,
            max(since, self._again.get(route, since)),
            self._answered.get(route),
        )

    def nearly_due(
        self, stale_now: Sequence[tuple[Watch, Event]], now: datetime
    ) -> list[tuple[Watch, TimePassed, Event]]:
        """Further stale targets at those places, so that one message tells of all of them."""
        alone = [watch for watch, one in stale_now if one.facts["staleness"] == Staleness.TARGET]
        among = {watch.name for watch in alone}
        places = {_place(watch) for watch in alone}
        found: list[tuple[Watch, TimePassed, Event]] = []
        for watch in self.watches if places else ():
            if watch.memory.failing_since and not watch.memory.stale and _place(watch) in places:
                passed = replace(self.passed(watch, now), among_others=True)
                stale = stale_of(advance(watch.memory, passed, now, self.changes.rules))
                if stale and watch.name not in among:
                    found.append((watch, passed, stale))
        return found

    def changes_of(
        self, stale_now: Sequence[tuple[Watch, Event]], now: datetime
    ) -> Iterable[Change]:
        """A change for each stale route, and one for the targets of a place that fail alone."""
        alone: dict[tuple[str, str | None], list[tuple[Watch, Event]]] = {}
        found_now = {watch.name for watch, _ in stale_now}
        for watch, event in stale_now:
            route = watch.target.route
            if event.facts["staleness"] == Staleness.TARGET:
                alone.setdefault(_place(watch), []).append((watch, event))
            elif route not in self._told:
                # not all targets: open ones get one full probe a day, and blocked ones are explained
                concerned = [
                    other
                    for other in self.watches
                    if other.target.route == route
                    and other.memory.blocker is None
                    and (
                        other.memory.failing_since
                        or other.memory.stale
                        or other.name in found_now  # an overdue one's memory is advanced later
                    )
                ]
                yield self._together(concerned, event.facts["waited_s"], Staleness.ROUTE, now)
                self._told.add(route)
        for found in alone.values():
            if len(found) == 1:
                watch, event = found[0]
                event = self.event_builder.of_target(watch, event, watch.last)
                yield Change(target=watch.name, events=(event,))
                continue
            shortest = min(event.facts["waited_s"] for _, event in found)
            yield self._together([watch for watch, _ in found], shortest, Staleness.TARGET, now)

    def _together(
        self, watches: Sequence[Watch], waited_s: float, staleness: Staleness, now: datetime
    ) -> Change:
        first = watches[0]
        route = first.target.route
        on_route = [watch for watch in self.watches if watch.target.route == route]
        facts: dict[str, Any] = {
            "contract": str(first.target.contract),
            "waited_s": waited_s,
            "staleness": str(staleness),
            "targets": len(watches),
            "route_targets": len(on_route),
            "stale": [watch.name for watch in watches[:_NAMED_MOST]],
        }
        alone = staleness is Staleness.TARGET
        if alone and first.pool:
            facts["pool"] = first.pool.name
        codes: Counter[Code | None] = Counter(watch.memory.last_diagnosis for watch in watches)
        code = codes.most_common(1)[0][0]
        said = next((one.last for one in watches if one.last and one.last.code is code), None)
        if said:
            words = {"status": said.status, "message": said.message}
            facts |= {name: value for name, value in words.items() if value}
        event = self.event_builder.of_monitor(
            EventKind.STALE,
            Reason.NOTHING_CONCLUSIVE,
            now,
            route=route,
            facts=facts,
            diagnosis=code,
            # an open target is asked once a day: its channels hear of the route, though it fails later
            concerned=watches if alone else on_route,
        )
        return Change(events=(event,))


def _place(watch: Watch) -> tuple[str, str | None]:
    """Stale targets of one place share a message: the route, or a pool on it."""
    return watch.target.route, watch.pool.name if watch.pool else None


def stale_of(decision: Decision) -> Event | None:
    """The event `stale` in a decision, or None."""
    return next((one for one in decision.events if one.kind is EventKind.STALE), None)
