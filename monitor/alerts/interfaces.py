"""The interfaces of delivery: what the outbox of a store and a channel must offer."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Protocol

from monitor.access.events import Event
from monitor.alerts.fitting import MessageLimits
from monitor.alerts.messages import Message


class Pending(Protocol):
    """A notification that waits for delivery; the store's own record type fits.

    `id` is the id of the notification; people see that of the event. `attempts` counts the attempts
    begun so far; none succeeded. `created_at` is UTC.
    """

    @property
    def id(self) -> int: ...  # noqa: D102 - see above
    @property
    def event(self) -> Event: ...  # noqa: D102
    @property
    def attempts(self) -> int: ...  # noqa: D102
    @property
    def created_at(self) -> datetime: ...  # noqa: D102


class Committed(Protocol):
    """A newly committed event: its notifications by channel."""

    @property
    def pending(self) -> Mapping[str, Pending]: ...  # noqa: D102


class Outbox(Protocol):
    """One row for each notification: pending until delivered or dead. Times are UTC."""

    async def pending(self, channel: str, limit: int, after: int) -> Sequence[Pending]:
        """The oldest pending rows of a channel, in the order of the events. May include leased rows.

        Only rows of events with an id above `after`.

        `next_attempt_at` must not hide a row: the dispatcher decides on the monotonic clock when to retry;
        the stored time is for people to read.
        """
        ...

    async def claim(
        self, ids: Sequence[int], until: datetime
    ) -> tuple[Sequence[int], Sequence[int]]:
        """Lease pending rows until a time. Returns the rows claimed, and the rows leased by another process.

        Rows in neither are no longer pending. The attempt is counted here, so that an attempt that kills
        the process counts too.
        """
        ...

    async def release(self, ids: Sequence[int]) -> None:
        """Release the leases of rows that were claimed but not tried."""
        ...

    async def delivered(self, ids: Sequence[int], at: datetime) -> None:
        """Mark rows delivered."""
        ...

    async def failed(self, ids: Sequence[int], error: str, next_attempt_at: datetime) -> None:
        """Record why an attempt failed and when the next one is due, and release the lease."""
        ...

    async def dead(self, ids: Sequence[int], error: str, at: datetime) -> None:
        """Give rows up: they are listed as undeliverable, with `error` as the reason."""
        ...


class Sender(Protocol):
    """A channel: `AppriseChannel`, or any class that sends and raises DeliveryError as it does.

    A subclass that overrides only `name` and `send` takes messages of any length, one at a time.
    """

    @property
    def name(self) -> str:
        """The name of the channel in the settings and in the outbox."""
        ...

    @property
    def parallel(self) -> int:
        """How many messages it takes at once."""
        return 1

    @property
    def pace(self) -> float:
        """Seconds to keep between two messages."""
        return 0.0

    async def message_limits(self) -> MessageLimits:
        """What one message may hold."""
        return MessageLimits()

    async def send(self, message: Message) -> None:
        """Deliver one message, or raise DeliveryError."""
        ...
