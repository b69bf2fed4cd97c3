"""An event: what is recorded, shown in the history, and told to people; and what `advance` decides."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from monitor.access.memory import TargetState
from monitor.access.words import Code, EventKind, Reason, State


@dataclass(frozen=True, slots=True)
class Event:
    """One thing worth recording, at the time `at` (UTC); the one form of it from decision to message.

    `advance` gives it its kind, reason, states and facts; the event builder adds the target and the
    channels, and the writer the `id` that people see. With both `before` and `after` it is a transition.
    `target` is None for what concerns a route (`stale`) or the whole monitor (`budget`, `offline`,
    `started` …). `scope` is the organization it belongs to (`Target.scope`): changes of one scope may share
    a message. `facts` holds what the message needs besides, as JSON values; which keys: see
    `alerts/messages`. Without channels it is only recorded.
    """

    kind: EventKind
    reason: Reason
    at: datetime
    target: str | None = None
    scope: str | None = None
    route: str | None = None
    before: State | None = None
    after: State | None = None
    diagnosis: Code | None = None
    request_id: str | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)
    #: to whom it goes and under which number, which is not part of what happened; 0 before it is recorded
    channels: tuple[str, ...] = field(default=(), compare=False)
    id: int = field(default=0, compare=False)

    @property
    def entry(self) -> str:
        """The word of the history: `transition` when the state changed, else `event`."""
        return "transition" if self.after is not None else "event"


@dataclass(frozen=True, slots=True)
class Decision:
    """What follows from an input: the memory to keep, and the events, in order."""

    memory: TargetState
    events: tuple[Event, ...] = ()

    @property
    def reasons(self) -> tuple[Reason, ...]:
        """Why, one for each event."""
        return tuple(event.reason for event in self.events)

    @property
    def opens_siblings(self) -> bool:
        """True when this is the first light of a target that was seen gated (row 10)."""
        return self.memory.gated_seen and any(
            event.kind is EventKind.FIRST_LIGHT for event in self.events
        )
