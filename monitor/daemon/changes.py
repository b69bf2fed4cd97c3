"""Changes of targets: their events, completed, and how every change is written and told."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any
from urllib.parse import urlencode

import structlog

from monitor.access.cadence import full_interval
from monitor.access.events import Event, Input, Recorded
from monitor.access.holds import NOTHING, Posting
from monitor.access.limits import Rules
from monitor.access.observation import Diagnosis
from monitor.access.states import advance
from monitor.access.target import pool_scope
from monitor.access.wait_times import Opening, Samples, typical_wait, waiting_of
from monitor.access.words import Code, Contract, EventKind, Reason
from monitor.alerts.dispatcher import channels_for
from monitor.config import Settings
from monitor.daemon.channels import subscriptions_of
from monitor.daemon.clock import Clock
from monitor.daemon.deliveries import Deliveries
from monitor.daemon.watches import Watch, Watches
from monitor.store.records import Change
from monitor.store.write_queue import WriteQueue

log = structlog.get_logger()

#: Events whose messages compare the wait with earlier waits.
_COMPARED = frozenset({EventKind.PROPAGATING, EventKind.FIRST_LIGHT, EventKind.OVERDUE})

#: Events that say that a gate is shut.
_SHUT = frozenset(
    (
        EventKind.UNVERIFIED,
        EventKind.PROPAGATING,
        EventKind.OVERDUE,
        EventKind.LOCKED,
        EventKind.REVOKED,
        EventKind.SHUT_AGAIN,
    )
)

#: Events that say that a gate is open or opening.
_OPEN = frozenset((EventKind.FIRST_LIGHT, EventKind.AVAILABLE, EventKind.BASELINE))


class EventBuilder:
    """Knows the subscriptions and the other targets, which a message may name."""

    def __init__(self, watches: Watches) -> None:
        self._watches = watches
        self._typical: dict[Contract, tuple[float, int]] = {}

    def use(self, settings: Settings) -> None:
        """Use the channels of these settings from now on."""
        self._subscriptions = subscriptions_of(settings)
        self._page = settings.web.url

    def compare(self, openings: Sequence[Opening], now: datetime) -> None:
        """Take the openings with which messages compare a wait, and the ongoing waits beside them."""
        waits = (waiting_of(watch.target, watch.memory, now) for watch in self._watches)
        samples = Samples([*openings, *filter(None, waits)])
        found = {contract: typical_wait(contract, samples) for contract in Contract}
        self._typical = {contract: typical for contract, typical in found.items() if typical}

    def of_target(
        self,
        watch: Watch,
        event: Event,
        diagnosis: Diagnosis | None = None,
        facts: Mapping[str, Any] | None = None,
    ) -> Event:
        """A decision's event of a target, complete, with the facts of the answer that led to it, if any.

        The event's own facts outrank those, and the given `facts` both.
        """
        target = watch.target
        known: dict[str, Any] = {
            "organization": target.organization,
            "project": target.project,
            "key": target.key,
            "pool": watch.pool and watch.pool.name,
            "model": target.capability.model,
            "surface": str(target.capability.surface),
            "contract": str(target.contract),
            "probes": watch.answers,
            "request_ids": list(watch.request_ids),
            "page": self._page and f"{self._page}target?{urlencode({'name': target.name})}",
        }
        if diagnosis:
            known |= {
                "status": diagnosis.status,
                "message": diagnosis.message,
                "gate": diagnosis.gate and str(diagnosis.gate),
                "owner": str(diagnosis.owner),
            }
        if target.contract is Contract.DIRECT and event.kind in _SHUT:
            known["provider_open"] = self._watches.open_at_providers(watch)
        if target.contract is Contract.PROVIDER and event.kind in _OPEN:
            known["direct_shut"] = self._watches.shut_directly(watch)
        known |= {**event.facts, **(facts or {})}
        typical = self._typical.get(target.contract)
        if typical and event.kind in _COMPARED:
            known["typical_wait_s"], known["openings"] = typical
        return self._with_channels(
            replace(
                event,
                target=target.name,
                scope=watch.scope,
                route=target.route,
                diagnosis=diagnosis.code if diagnosis else watch.memory.last_diagnosis,
                request_id=diagnosis.request_id if diagnosis else None,
                facts={name: value for name, value in known.items() if value not in (None, [])},
            ),
            (watch,),
        )

    def of_monitor(
        self,
        kind: EventKind,
        reason: Reason,
        now: datetime,
        *,
        facts: Mapping[str, Any],
        route: str | None = None,
        diagnosis: Code | None = None,
        concerned: Collection[Watch] = (),
    ) -> Event:
        """An event of a route, of a key, of the pool among the facts, or of the whole monitor.

        With `concerned` it goes to the channels that are told of at least one of these targets, unless a
        silence is of all of them.
        """
        scope = pool_scope(facts["pool"]) if "pool" in facts else None
        event = Event(
            kind,
            reason,
            now,
            scope=scope,
            route=route,
            diagnosis=diagnosis,
            facts=facts,
            concerned=tuple(watch.target for watch in concerned),
        )
        return self._with_channels(event, concerned)

    def _with_channels(self, event: Event, concerned: Collection[Watch]) -> Event:
        if not concerned:
            return replace(event, channels=channels_for(event, self._subscriptions))
        names: dict[tuple[str, ...], list[str]] = {}
        for watch in concerned:
            names.setdefault(watch.pool.channels if watch.pool else (), []).append(watch.name)
        told = {
            channel
            for only, its in names.items()
            for channel in channels_for(event, self._subscriptions, only, its)
        }
        channels = (one.name for one in self._subscriptions if one.name in told)
        return replace(event, channels=tuple(channels))


@dataclass(eq=False)
class Changes:
    """Applies inputs to the watches, and writes changes with all their consequences together.

    A watch's memory advances before the write, on the one loop, so that inputs of its neighbours see it;
    the write queue keeps the order.
    """

    queue: WriteQueue
    event_builder: EventBuilder
    deliveries: Deliveries
    clock: Clock

    def use(self, settings: Settings) -> None:
        """Use the figures of these settings from now on."""
        self.rules = Rules(settings.confirmation, settings.deadlines)

    @property
    def calm(self) -> bool:
        """Whether an unchanged answer would be written soon."""
        return self.queue.calm

    def apply(
        self,
        watch: Watch,
        given: Input,
        *,
        without: EventKind | None = None,
        facts: Mapping[str, Any] | None = None,
    ) -> Change:
        """Advance the watch's memory by an input. The change has the events but those of `without`."""
        now = self.clock.now()
        before = watch.memory.state
        decision = advance(watch.memory, given, now, self.rules)
        watch.memory = decision.memory
        more = dict(facts or {})
        if any(event.reason is Reason.GAVE_UP for event in decision.events):
            # the monitor gives up waiting but keeps probing: tell how often
            every = full_interval(watch.memory, now, watch.cadence, watch.shutdown)
            more["every_s"] = every.total_seconds()
        events = tuple(
            self.event_builder.of_target(watch, event, facts=more)
            for event in decision.events
            if event.kind is not without
        )
        if watch.memory.state is not before:
            watch.answers = 0
        return Change(target=watch.name, memory=watch.memory, events=events)

    async def tell(
        self,
        kind: EventKind,
        reason: Reason,
        facts: dict[str, Any],
        concerned: Collection[Watch] = (),
        posting: Posting = NOTHING,
    ) -> None:
        """Record and tell an event of the whole monitor, or of what these targets have in common.

        The posting is written with it.
        """
        event = self.event_builder.of_monitor(
            kind, reason, self.clock.now(), facts=facts, concerned=concerned
        )
        await self.write([Change(events=(event,), posting=posting)])

    async def write(self, changes: Sequence[Change], *, patient: bool = False) -> None:
        """Write changes in their turn. They are kept if the database refuses them now.

        `patient` is for unchanged answers, which nobody waits for.
        """
        await self.queue.keep(changes, self.written, patient=patient)

    def written(self, recorded: Sequence[Recorded]) -> None:
        """Deliver what was recorded just now, and log it."""
        if recorded:
            self.deliveries.offer(recorded)
        for one in recorded:
            _log(one.event, one.silenced)


def _log(event: Event, silenced: Mapping[str, int]) -> None:
    fields: dict[str, Any] = {
        "id": event.id,
        "event_kind": str(event.kind),
        "target": event.target,
        "route": event.route,
        "reason": str(event.reason),
        "channels": [channel for channel in event.channels if channel not in silenced],
        "silenced": dict(silenced),
    }
    if event.before and event.after:
        fields |= {"before": str(event.before), "after": str(event.after)}
    log.info(event.entry, **{name: value for name, value in fields.items() if value})
