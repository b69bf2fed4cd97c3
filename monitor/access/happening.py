"""A happening: a transition or an event, as it is recorded, told and shown in the history."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from monitor.access.words import Code, EventKind, Reason, State


@dataclass(frozen=True, slots=True)
class Happening:
    """One thing worth recording, at the time `at` (UTC).

    With both `before` and `after` it is a transition, else an event. `target` is None for what
    concerns a route (`stale`) or the whole monitor (`budget`, `offline`, `started` …). `scope` is the
    organization it belongs to (`Target.scope`): changes of one scope may share a message.
    `facts` holds what the message needs besides, as JSON values; which keys: see `alerts/messages`.
    """

    event: EventKind
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

    @property
    def kind(self) -> str:
        """`transition` when the state changed, else `event`."""
        return "transition" if self.after is not None else "event"
