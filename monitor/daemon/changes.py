"""Changes of targets: what an input that is no answer changes, and how every change is written and told."""

from collections.abc import Mapping, Sequence
from dataclasses import InitVar, dataclass
from typing import Any

import structlog

from monitor.access.cadence import full_interval
from monitor.access.events import Event, Input, Recorded
from monitor.access.limits import Rules
from monitor.access.states import advance
from monitor.access.words import EventKind, Reason
from monitor.config import Settings
from monitor.daemon.clock import Clock
from monitor.daemon.deliveries import Deliveries
from monitor.daemon.event_builder import EventBuilder
from monitor.daemon.watches import Watch
from monitor.store.records import Change
from monitor.store.write_queue import WriteQueue

log = structlog.get_logger()


@dataclass(eq=False)
class Changes:
    """Applies inputs to the watches, and writes changes with all their consequences together.

    A watch's memory advances before the write, on the one loop, so that inputs of its neighbours see it;
    the write queue keeps the order.
    """

    settings: InitVar[Settings]
    queue: WriteQueue
    event_builder: EventBuilder
    deliveries: Deliveries
    clock: Clock

    def __post_init__(self, settings: Settings) -> None:
        self.use(settings)

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
        if Reason.GAVE_UP in decision.reasons:
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

    async def tell(self, kind: EventKind, reason: Reason, facts: dict[str, Any]) -> None:
        """Record and tell an event of the whole monitor."""
        event = self.event_builder.of_monitor(kind, reason, self.clock.now(), facts=facts)
        await self.write([Change(events=(event,))])

    async def write(self, changes: Sequence[Change], *, patient: bool = False) -> None:
        """Write changes in their turn. They are kept if the database refuses them now.

        `patient` is for unchanged answers, which nobody waits for.
        """
        await self.queue.keep(changes, self._written, patient=patient)

    def _written(self, recorded: Sequence[Recorded]) -> None:
        if recorded:
            self.deliveries.offer(recorded)
        for one in recorded:
            _log(one.event)


def _log(event: Event) -> None:
    fields: dict[str, Any] = {
        "id": event.id,
        "event_kind": str(event.kind),
        "target": event.target,
        "route": event.route,
        "reason": str(event.reason),
        "channels": list(event.channels),
    }
    if event.before and event.after:
        fields |= {"before": str(event.before), "after": str(event.after)}
    log.info(event.entry, **{name: value for name, value in fields.items() if value})
