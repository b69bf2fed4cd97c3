"""The delivery of notifications: one dispatcher at a time, replaced when the settings change."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from itertools import chain

import structlog

from monitor.access.events import Recorded
from monitor.alerts.dispatcher import Dispatcher
from monitor.alerts.interfaces import Sender
from monitor.config import Settings
from monitor.daemon.channels import Console
from monitor.daemon.clock import Clock
from monitor.daemon.watches import Watches
from monitor.store.recorder import Recorder

log = structlog.get_logger()

#: How long a reload waits for an attempt beyond its timeout.
_MARGIN = timedelta(seconds=1)


@dataclass(eq=False)
class Deliveries:
    """Hands recorded events to the dispatcher, which sends them."""

    recorder: Recorder
    watches: Watches
    clock: Clock

    def __post_init__(self) -> None:
        self._change = asyncio.Event()
        self._tally = self.recorder.tally
        self._workers = 1

    def use(self, settings: Settings, channels: Sequence[Sender]) -> None:
        """Deliver over these channels, from the next `begin` on; without any, to the terminal."""
        self._delivery = settings.delivery
        self._channels = list(channels) or [Console()]
        self._tally.keep(settings.routes, self.names)

    @property
    def names(self) -> list[str]:
        """The names of the channels."""
        return [channel.name for channel in self._channels]

    def begin(self) -> None:
        """Deliver, what is in the outbox first."""
        self._dispatcher = Dispatcher(
            self.recorder.outbox, self._channels, self._delivery, now=self.clock.now,
            summary=self.watches.summary, state=self.watches.state, count=self._tally.notified,
        )  # fmt: skip
        self._dispatcher.share(self._workers)
        #: loop time at which this dispatcher began
        self._began = asyncio.get_running_loop().time()
        self._task = asyncio.create_task(self._dispatcher.run(), name="dispatcher")

    def offer(self, recorded: Sequence[Recorded]) -> None:
        """Deliver the notifications of events that were recorded just now."""
        self._dispatcher.offer(recorded)
        self._change.set()
        for channel in chain.from_iterable(one.silenced for one in recorded):
            self._tally.notified(channel, "silenced", 1)

    async def changed(self) -> None:
        """Wait for a recorded event, since the last call."""
        await self._change.wait()
        self._change.clear()

    def wake(self, *, from_start: bool = False) -> None:
        """Read the outbox: it may hold new rows; `from_start` also before those that were read."""
        self._dispatcher.wake(from_start=from_start)

    async def revived(self) -> None:
        """Dead notifications are pending again: read the outbox from its beginning."""
        await self.dead_letter_removed_channels()
        self._dispatcher.wake(from_start=True)

    async def dead_letter_removed_channels(self) -> None:
        """Mark what is pending for removed channels as dead: it would wait for ever, silently."""
        dead = await self.recorder.outbox.dead_letter_others(self.names, self.clock.now())
        if dead:
            log.error("undeliverable", notifications=dead.total(), why="their channel is gone")
        for channel, number in dead.items():
            self._tally.notified(channel, "dead", number)

    @property
    def moved_at(self) -> float:
        """Loop time at which the slowest channel last finished a round or an attempt, or began."""
        progress = self._dispatcher.progress
        return self._began if progress is None else progress

    @property
    def longest_s(self) -> float:
        """Seconds that one attempt may take."""
        return self._delivery.timeout.total_seconds()

    async def halt(self) -> None:
        """For a reload, until `begin`: wait for sends under way, or their messages would be sent again."""
        await self._dispatcher.halt(self.longest_s + _MARGIN.total_seconds())
        await self._end()

    async def pause(self, seconds: float) -> None:
        """Until `begin`, over the same channels: wait for sends under way, up to so many seconds."""
        try:
            await self._dispatcher.halt(seconds)
        finally:
            self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    def share(self, workers: int) -> None:
        """So many workers send over the channels: each keeps to its part of their pace."""
        self._workers = workers
        self._dispatcher.share(workers)

    async def drain(self, seconds: float) -> None:
        """For a stop: try once more what waits, within so many seconds."""
        await self._dispatcher.drain(seconds)
        await self._end()

    async def _end(self) -> None:
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        for channel in self._channels:
            await channel.aclose()
