"""Random stories of one channel: whatever refuses, fails or lags, each row is told, none waits for ever."""

import asyncio
import random
import re
from collections import Counter
from dataclasses import replace
from datetime import timedelta

import pytest
import structlog
from quick_time import in_quick_time, quick_wall

from monitor.access.events import Recorded
from monitor.access.limits import Delivery
from monitor.access.words import EventKind
from monitor.alerts.dispatcher import Dispatcher
from monitor.alerts.interfaces import DeliveryError, Sender

pytestmark = pytest.mark.anyio

MS = timedelta(milliseconds=1)
QUICK = Delivery(group_within=20 * MS, retry_first=10 * MS, retry_most=100 * MS)
ROWS = 120


class Lagging:
    """An outbox whose answers come late, and now and then not at all."""

    def __init__(self, outbox, dice) -> None:
        self._outbox, self._dice = outbox, dice

    def __getattr__(self, name):
        method = getattr(self._outbox, name)

        async def late(*arguments):
            await asyncio.sleep(self._dice.choice([0, 0, 0.001, 0.01]))
            if self._dice.random() < 0.03:
                raise OSError("the disk is full")
            done = await method(*arguments)
            await asyncio.sleep(self._dice.choice([0, 0, 0.001, 0.01]))
            return done

        return late


class Moody(Sender):
    """A service that refuses a share of the messages."""

    name, parallel = "ops", 8

    def __init__(self, dice, share) -> None:
        self._dice, self._share, self.told = dice, share, Counter()
        #: by id, the number of the message that told it
        self.message = {}

    async def send(self, message) -> None:
        await asyncio.sleep(self._dice.uniform(0, 0.02))
        if self._dice.random() < self._share:
            raise DeliveryError("not now")
        number = len(self.told)
        for id_ in dict.fromkeys(re.findall(r"\[#(\d+)\]", f"{message.title} {message.text}")):
            self.told[int(id_)] += 1
            self.message[int(id_)] = number


@in_quick_time
@pytest.mark.parametrize("seed", range(8))
async def test_every_row_is_told_once_and_in_its_targets_order(outbox, light, seed):
    dice = random.Random(seed)
    channel = Moody(dice, dice.choice([0.0, 0.2, 0.5]))
    one_scope = dice.random() < 0.5
    with structlog.testing.capture_logs():  # it complains a lot
        dispatcher = Dispatcher(
            Lagging(outbox, dice),
            [channel],
            QUICK,
            now=quick_wall(),
            spread=dice.random,
        )
        task = asyncio.create_task(dispatcher.run())
        for _ in range(ROWS):
            key = dice.randrange(30)
            kind = dice.choice([EventKind.FIRST_LIGHT, EventKind.AVAILABLE, EventKind.BLOCKED])
            scope = "org-acme" if one_scope else f"org-{key}"
            event = replace(light(), kind=kind, target=f"acme-{key}/o3:chat", scope=scope)
            row = outbox.rows[outbox.add("ops", event)]
            if dice.random() < 0.5:
                dispatcher.offer([Recorded(row.event, {"ops": row})])
            else:
                dispatcher.wake()
            await asyncio.sleep(dice.choice([0, 0, 0.001, 0.01]))
        await outbox.until(lambda: set(outbox.states()) == {"delivered"})
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    rows = {row.event.id: row for row in outbox.rows.values()}
    assert channel.told == Counter(rows.keys())
    for target in {row.event.target for row in rows.values()}:
        own = [channel.message[id_] for id_ in rows if rows[id_].event.target == target]
        assert own == sorted(own)
