"""A group of rows: what is sent, fails and is retried as one."""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field

import structlog

from monitor.access.events import Notification
from monitor.alerts.render import Message

log = structlog.get_logger()


@dataclass(slots=True, eq=False)
class Group:
    """Rows that share a message, or several where one cannot hold them.

    `failures` counts the failures of this group in a row.
    """

    rows: tuple[Notification, ...]
    failures: int = 0
    #: when it may be sent
    at: float = 0.0
    #: the scopes of its untried rows, and whether the group opened the window there
    scopes: dict[Hashable, bool] = field(default_factory=dict)
    #: while it is claimed: until when, and the message; without one, the send composes it
    claimed_until: float = 0.0
    message: Message | None = None
    #: the channel's recipients that took the message, if it has several: they are not sent it again
    taken: set[Hashable] = field(default_factory=set)

    @property
    def ids(self) -> list[int]:
        """The ids of the notifications."""
        return [row.id for row in self.rows]

    def sends(self, message: Message) -> Message:
        """The message, which passes over whoever took the group; who takes it is noted in both."""
        message.taken.update(self.taken)
        self.taken = message.taken
        return message

    def part(self, rows: Sequence[Notification]) -> "Group":
        """A group of some of the rows, as often tried and as far delivered."""
        return Group(tuple(rows), self.failures, self.at, taken=set(self.taken))

    def log(self, outcome: str, **more: object) -> None:
        """Log what became of it: `delivered`, `failed` or `dead`."""
        level = {"delivered": log.info, "failed": log.warning, "dead": log.error}[outcome]
        level(
            f"notification.{outcome}",
            ids=[row.event.id for row in self.rows],
            events=[str(row.event.kind) for row in self.rows],
            outcome=outcome,
            attempt=max(row.attempts for row in self.rows) + self.failures + 1,
            **more,
        )
