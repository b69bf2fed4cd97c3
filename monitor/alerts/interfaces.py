"""The outbox as delivery sees it: what a store must offer, and what a channel must."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Protocol

from monitor.access.happening import Happening
from monitor.alerts.fitting import MessageLimits
from monitor.alerts.messages import Message


class Pending(Protocol):
    """A notification that waits for delivery, as the store's own record type shows it.

    `id` is the notification's, `happening_id` the one people see. `attempts` are those begun so far,
    none of which succeeded. `created_at` is UTC.
    """

    @property
    def id(self) -> int: ...  # noqa: D102 - see above
    @property
    def happening_id(self) -> int: ...  # noqa: D102
    @property
    def happening(self) -> Happening: ...  # noqa: D102
    @property
    def attempts(self) -> int: ...  # noqa: D102
    @property
    def created_at(self) -> datetime: ...  # noqa: D102


class Committed(Protocol):
    """A happening that was committed just now, and the notifications of it by channel."""

    @property
    def pending(self) -> Mapping[str, Pending]: ...  # noqa: D102


class Outbox(Protocol):
    """One row for each notification: pending until delivered or dead. Times are UTC."""

    async def pending(self, channel: str, limit: int, after: int) -> Sequence[Pending]:
        """The oldest pending rows of a channel in the happenings' order; leased ones may be among them.

        Only those of happenings whose id is above `after`.

        `next_attempt_at` must not hide a row: when to try again is the dispatcher's decision, made on
        the monotonic clock; the stored time is for people to read.
        """
        ...

    async def claim(
        self, ids: Sequence[int], until: datetime
    ) -> tuple[Sequence[int], Sequence[int]]:
        """Lease pending rows until a time: those it got, and those that somebody else has leased.

        What is in neither is no longer pending. The attempt is counted here: one that kills the process
        counts, too.
        """
        ...

    async def release(self, ids: Sequence[int]) -> None:
        """End the leases of rows that were claimed and not tried."""
        ...

    async def delivered(self, ids: Sequence[int], at: datetime) -> None:
        """Mark rows delivered."""
        ...

    async def failed(self, ids: Sequence[int], error: str, next_attempt_at: datetime) -> None:
        """Keep why an attempt failed and when the next is due, and release the lease."""
        ...

    async def dead(self, ids: Sequence[int], error: str, at: datetime) -> None:
        """Give rows up: they are listed as undeliverable, and `error` says why."""
        ...


class Sender(Protocol):
    """A channel: `Channel`, or anything that sends and raises DeliveryError like it.

    Who inherits from this takes messages of any length, one at a time.
    """

    @property
    def name(self) -> str:
        """The name that settings and outbox know it by."""
        ...

    @property
    def parallel(self) -> int:
        """How many messages it takes at once."""
        return 1

    @property
    def pace(self) -> float:
        """Seconds that it wants between two messages."""
        return 0.0

    async def message_limits(self) -> MessageLimits:
        """What one message may hold."""
        return MessageLimits()

    async def send(self, message: Message) -> None:
        """Deliver one message, or raise DeliveryError."""
        ...
