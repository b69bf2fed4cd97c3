"""The interfaces of delivery: what an outbox and a channel must offer, and what channels share."""

import asyncio
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Protocol

from monitor.access.diagnosis.answer import retry_after
from monitor.access.events import Notification
from monitor.alerts.messages import MessageLimits
from monitor.alerts.render import Message

#: Characters of the reason of a failed delivery.
REASON_CAP = 300
#: Most bytes read of a service's answer. A webhook answers with a word or a sentence.
ANSWER_CAP = 256 * 1024
#: Seconds for which an idle connection is kept: services close theirs after five or more.
KEPT_S = 3.0
#: Longest wait that is granted to a service, in seconds: a wait of a day would lose messages.
WAIT_MOST = 3600.0

#: The wait as Telegram and Discord give it.
_IN_BODY = re.compile(rb'"retry_after"\s*:\s*(\d{1,9}(?:\.\d{1,9})?)')

#: Is told the channel's name, what became of notifications, and their number.
Count = Callable[[str, str, int], None]


class Outbox(Protocol):
    """One row for each notification: pending until delivered or dead. Times are UTC."""

    async def pending(self, channel: str, limit: int, after: int) -> Sequence[Notification]:
        """The oldest pending rows of a channel of events with an id above `after`, in their order.

        Includes leased rows, and those whose `next_attempt_at` is to come: that time is for people to read.
        """

    async def claim(
        self, ids: Sequence[int], until: datetime
    ) -> tuple[Sequence[int], Sequence[int]]:
        """Lease pending rows until a time. Returns the rows claimed, and the rows leased by another process.

        Rows in neither are no longer pending. The attempt is counted here, so that an attempt that kills
        the process counts too.
        """

    async def release(self, ids: Sequence[int]) -> None:
        """Release the leases of rows that were claimed but not tried."""

    async def delivered(self, ids: Sequence[int], at: datetime) -> None:
        """Mark rows delivered."""

    async def failed(self, ids: Sequence[int], error: str, next_attempt_at: datetime) -> None:
        """Record why an attempt failed and when the next one is due, and release the lease."""

    async def dead(self, ids: Sequence[int], error: str, at: datetime) -> None:
        """Give rows up: they are listed as undeliverable, with `error` as the reason."""


class DeliveryError(Exception):
    """A message was not delivered, as far as is known.

    `reason` is one redacted line. `wait` is the number of seconds that the service asks to wait before
    anything else is sent to it, infinity if it wants nothing any more. `ended` is not None when the attempt
    timed out: the service may have taken the message, sending again may show it twice, and the attempt is
    under way until `ended` is set.
    """

    def __init__(self, reason: str, *, wait: float = 0.0, ended: asyncio.Event | None = None):
        super().__init__(reason)
        self.reason = reason
        self.wait = wait
        self.ended = ended


class Sender(Protocol):
    """A channel. Without more than `name` and `send` it takes messages of any length, one at a time."""

    #: in the settings and in the outbox
    name: str
    #: messages that it takes at once
    parallel: int = 1
    #: seconds to keep between two messages
    pace: float = 0.0
    #: whether each event is a message of its own, without words, sent when its organization's earlier ones
    #: are taken
    separate: bool = False

    async def message_limits(self) -> MessageLimits:
        """What one message may hold."""
        return MessageLimits()

    async def send(self, message: Message) -> None:
        """Deliver one message, or raise DeliveryError."""

    async def aclose(self) -> None:
        """Close what is kept open between two messages. A later `send` opens it again."""
        return


def requested_wait(headers: Mapping[str, str], body: bytes = b"") -> float:
    """Seconds that an answer asks to wait, at most `WAIT_MOST`; 0 if it asks for none."""
    said = retry_after(headers, ())
    if said is None and (found := _IN_BODY.search(body)):
        said = float(found[1])
    return min(said or 0.0, WAIT_MOST)
