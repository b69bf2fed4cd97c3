"""The channel when none is configured: messages go to the terminal."""

import sys
from typing import TextIO

from monitor.alerts.apprise_channel import DeliveryError
from monitor.alerts.interfaces import Sender
from monitor.alerts.messages import Message

NAME = "console"


class Console(Sender):
    """Prints messages to standard output."""

    name = NAME

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream or sys.stdout

    async def send(self, message: Message) -> None:
        """Print one message, its title first. Raises DeliveryError when the stream does not take it."""
        try:
            print(f"\n== {message.title}\n{message.text}\n", file=self._stream, flush=True)
        except OSError as error:
            raise DeliveryError(f"standard output: {error.strerror or 'closed'}") from None
