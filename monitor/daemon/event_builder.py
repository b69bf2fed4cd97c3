"""Completes events: the target, the facts for their messages, and the channels that get them."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from monitor.access.events import Event
from monitor.access.observation import Diagnosis
from monitor.access.target import pool_scope
from monitor.access.wait_times import Opening, typical_wait, waiting_of
from monitor.access.words import Code, Contract, EventKind, Reason
from monitor.alerts.dispatcher import channels_for
from monitor.config import Settings
from monitor.daemon.channels import subscriptions_of
from monitor.daemon.watches import Watch, Watches

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

    def __init__(self, settings: Settings, watches: Watches) -> None:
        self._watches = watches
        self._typical: dict[Contract, tuple[float, int]] = {}
        self.use(settings)

    def use(self, settings: Settings) -> None:
        """Use the channels and the pools of these settings from now on."""
        self._subscriptions = subscriptions_of(settings)
        self._pools = {watch.pool.name: watch.pool for watch in self._watches if watch.pool}

    def compare(self, openings: Sequence[Opening], now: datetime) -> None:
        """Take the openings with which messages compare a wait, and the ongoing waits beside them."""
        waits = [waiting_of(watch.target, watch.memory, now) for watch in self._watches]
        ongoing = [wait for wait in waits if wait]
        found = {contract: typical_wait(contract, openings, ongoing) for contract in Contract}
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
            )
        )

    def of_monitor(
        self,
        kind: EventKind,
        reason: Reason,
        now: datetime,
        *,
        route: str | None = None,
        facts: Mapping[str, Any] | None = None,
        diagnosis: Code | None = None,
        concerned: Sequence[str] = (),
    ) -> Event:
        """An event of a route, of the whole monitor, or of the pool among the facts.

        With `concerned` it goes to the channels subscribed to at least one of these targets.
        """
        facts = dict(facts or {})
        scope = pool_scope(facts["pool"]) if "pool" in facts else None
        event = Event(kind, reason, now, scope=scope, route=route, diagnosis=diagnosis, facts=facts)
        return self._with_channels(event, concerned)

    def _with_channels(self, event: Event, concerned: Sequence[str] = ()) -> Event:
        pool = self._pools.get(event.facts.get("pool", ""))
        only = pool.channels if pool else ()
        return replace(event, channels=channels_for(event, self._subscriptions, only, concerned))
