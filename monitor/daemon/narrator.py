"""Turns decisions into happenings with the facts their messages need, and finds who is told."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from monitor.access.events import Telling
from monitor.access.happening import Happening
from monitor.access.observation import Diagnosis
from monitor.access.words import EventKind, Reason
from monitor.alerts.subscriptions import Subscription, channels_for
from monitor.daemon.watches import Watch
from monitor.store.records import Told


class Narrator:
    """Knows the subscriptions."""

    def __init__(self, subscriptions: Sequence[Subscription]) -> None:
        self._subscriptions = tuple(subscriptions)

    def of_target(
        self, watch: Watch, telling: Telling, now: datetime, diagnosis: Diagnosis | None = None
    ) -> Told:
        """What a decision about a target tells, with the answer that led to it, if one did."""
        target = watch.target
        facts: dict[str, Any] = {
            "organization": target.organization,
            "project": target.project,
            "key": target.key,
            "model": target.capability.model,
            "surface": str(target.capability.surface),
            "contract": str(target.contract),
            "probes": watch.answers,
            "request_ids": list(watch.request_ids),
        }
        if diagnosis:
            facts |= {
                "status": diagnosis.status,
                "message": diagnosis.message,
                "gate": diagnosis.gate and str(diagnosis.gate),
                "owner": str(diagnosis.owner),
            }
        facts |= telling.facts
        return self._told(
            Happening(
                event=telling.event,
                reason=telling.reason,
                at=now,
                target=target.name,
                scope=target.scope,
                route=target.route,
                before=telling.before,
                after=telling.after,
                diagnosis=diagnosis.code if diagnosis else watch.memory.last_diagnosis,
                request_id=diagnosis.request_id if diagnosis else None,
                facts={name: value for name, value in facts.items() if value not in (None, [])},
            )
        )

    def of_monitor(
        self,
        event: EventKind,
        reason: Reason,
        now: datetime,
        *,
        route: str | None = None,
        facts: Mapping[str, Any] | None = None,
    ) -> Told:
        """What concerns a route or the whole monitor."""
        return self._told(
            Happening(event=event, reason=reason, at=now, route=route, facts=dict(facts or {}))
        )

    def _told(self, happening: Happening) -> Told:
        return Told(happening, channels_for(happening, self._subscriptions))
