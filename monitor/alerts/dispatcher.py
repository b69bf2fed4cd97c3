"""Which events go to which channels, and the dispatcher, which delivers them.

It has one task for each channel, so that none delays another.
"""

import asyncio
import random
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime

from monitor.access.events import Event, Recorded
from monitor.access.limits import Delivery
from monitor.access.silences import matches
from monitor.access.words import EventKind, State
from monitor.alerts.interfaces import Count, Outbox, Sender
from monitor.alerts.messages import Draft
from monitor.alerts.worker import ChannelWorker

#: A channel that gets `first_light` gets these too: they tell what became of it, or that it is not provable.
_AS_FIRST_LIGHT = frozenset({EventKind.SHUT_AGAIN, EventKind.UNPROVEN})


@dataclass(frozen=True, slots=True)
class Subscription:
    """The events that one channel gets, and patterns of target names (none means all)."""

    name: str
    events: frozenset[EventKind]
    targets: tuple[str, ...] = ()


def channels_for(
    event: Event,
    channels: Sequence[Subscription],
    only: Collection[str] = (),
    concerned: Collection[str] = (),
) -> tuple[str, ...]:
    """The names of the channels that get an event, in the order given.

    `only` limits the choice to these channels and ignores their patterns.

    With `concerned` an event concerns these targets. Else one without a target concerns every target, so
    only the event decides.
    """
    kinds = {event.kind, EventKind.FIRST_LIGHT} if event.kind in _AS_FIRST_LIGHT else {event.kind}
    targets = concerned or (event.target,)

    def wanted(patterns: Sequence[str]) -> bool:
        return not patterns or any(
            target is None or matches(target, pattern) for target in targets for pattern in patterns
        )

    return tuple(
        channel.name
        for channel in channels
        if kinds & channel.events and (channel.name in only if only else wanted(channel.targets))
    )


class Dispatcher:
    """Delivers the notifications of the outbox.

    A notification is claimed with a lease, sent, and marked. After a crash in between it is sent again
    when the lease ends; nothing is lost. `now` returns UTC for stored times; waits are measured on the
    loop's clock. `spread` returns a number from 0 to 1, the jitter of retries. `summary` returns the text
    above the messages of a scope, or None; `state` that of a target, by name. `count` is told what became
    of so many of a channel's notifications: delivered, failed (they are tried again), dead.
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
        state: Callable[[str], State | None] = lambda _: None,
        count: Count = lambda *_: None,
    ):
        def compose(events: Sequence[Event], channel: str) -> Draft:
            scopes = {event.scope for event in events}
            scope = scopes.pop() if len(scopes) == 1 else None
            head = summary(scope) if scope else None
            return Draft(events, now=now(), summary=head, channel=channel, state=state)

        self._workers = {
            channel.name: ChannelWorker(
                outbox, channel, delivery, now=now, spread=spread, compose=compose, count=count
            )
            for channel in channels
        }

    @property
    def progress(self) -> float | None:
        """Loop time at which the slowest channel last finished a round or an attempt.

        None until every channel has finished one, and without channels.
        """
        times = [worker.progress_at for worker in self._workers.values()]
        known = [at for at in times if at is not None]
        return min(known) if known and len(known) == len(times) else None

    def share(self, workers: int) -> None:
        """So many processes send over the channels: each keeps to its part of their pace."""
        for worker in self._workers.values():
            worker.share = workers

    def offer(self, recorded: Sequence[Recorded]) -> None:
        """Hand newly committed notifications to the workers, which need not read them from the outbox."""
        for name, worker in self._workers.items():
            rows = [one.pending[name] for one in recorded if name in one.pending]
            if rows:
                worker.offer(rows)

    def wake(self, *, from_start: bool = False) -> None:
        """Have the workers read the outbox: it may hold new rows. `from_start` reads all of it again."""
        for worker in self._workers.values():
            worker.wake(from_start=from_start)

    async def run(self) -> None:
        """Deliver until cancelled. Call `drain` before cancelling, not after."""
        async with asyncio.TaskGroup() as group:
            for name, worker in self._workers.items():
                group.create_task(worker.run(), name=f"channel {name}")

    async def halt(self, deadline_s: float) -> None:
        """For a reload: begin no attempts, and wait up to `deadline_s` seconds for those under way."""
        with suppress(TimeoutError):
            async with asyncio.timeout(deadline_s):
                await asyncio.gather(*(worker.halt() for worker in self._workers.values()))

    async def drain(self, deadline_s: float) -> None:
        """For a stop: try all waiting rows once more, without windows, within `deadline_s` seconds.

        Waits for the attempts under way. Rows that fail, are backing off or take longer stay pending
        for the next start. Afterwards `run` sends nothing.
        """
        draining = [worker.drain() for worker in self._workers.values()]
        with suppress(TimeoutError):
            async with asyncio.timeout(deadline_s):
                await asyncio.gather(*draining)
