"""The dispatcher: empties the outbox, one task for each channel, so that none delays another."""

import asyncio
import random
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import datetime

from monitor.access.limits import Delivery
from monitor.alerts.interfaces import Committed, Outbox, Sender
from monitor.alerts.worker import ChannelWorker


class Dispatcher:
    """Delivers what the outbox holds.

    A notification is claimed with a lease, sent, and marked: a crash in between sends it again once
    the lease is over, and nothing is lost. `now` gives UTC for what is stored; waiting is measured on
    the loop's clock. `spread` gives a number from 0 to 1, the jitter of retries. `summary` says, for a
    scope, what stands above its messages, if anything does.
    """

    def __init__(
        self,
        outbox: Outbox,
        channels: Sequence[Sender],
        delivery: Delivery,
        *,
        now: Callable[[], datetime],
        spread: Callable[[], float] = random.random,
        summary: Callable[[str], str | None] = lambda _: None,
    ):
        self._workers = {
            channel.name: ChannelWorker(
                outbox, channel, delivery, now=now, spread=spread, summary=summary
            )
            for channel in channels
        }

    @property
    def dead(self) -> dict[str, int]:
        """Notifications given up since the start, by channel."""
        return {name: worker.dead for name, worker in self._workers.items()}

    @property
    def progress(self) -> float | None:
        """The loop's time at which the slowest channel last finished a round or an attempt.

        None while a channel has not finished one, and without channels.
        """
        times = [worker.progress_at for worker in self._workers.values()]
        known = [at for at in times if at is not None]
        return min(known) if known and len(known) == len(times) else None

    def offer(self, committed: Sequence[Committed]) -> None:
        """This was committed to the outbox just now: it need not be read there."""
        for name, worker in self._workers.items():
            rows = [one.pending[name] for one in committed if name in one.pending]
            if rows:
                worker.offer(rows)

    def wake(self, *, anew: bool = False) -> None:
        """There may be something new in the outbox; with `anew` also among what was read before."""
        for worker in self._workers.values():
            worker.wake(anew=anew)

    async def run(self) -> None:
        """Deliver until cancelled. Call `drain` before cancelling, not after."""
        if not self._workers:
            await asyncio.get_running_loop().create_future()
        async with asyncio.TaskGroup() as group:
            for name, worker in self._workers.items():
                group.create_task(worker.run(), name=f"channel {name}")

    async def halt(self, deadline_s: float) -> None:
        """On a reload: attempts under way are waited for, within `deadline_s` seconds; none begins."""
        with suppress(TimeoutError):
            async with asyncio.timeout(deadline_s):
                await asyncio.gather(*(worker.halt() for worker in self._workers.values()))

    async def drain(self, deadline_s: float) -> None:
        """On stop: one more try of all that waits, also for its window, within `deadline_s` seconds.

        Attempts under way are waited for. What fails, is backing off or takes longer stays pending
        for the next start. Afterwards `run` sends nothing any more.
        """
        draining = [worker.drain() for worker in self._workers.values()]
        with suppress(TimeoutError):
            async with asyncio.timeout(deadline_s):
                await asyncio.gather(*draining)
