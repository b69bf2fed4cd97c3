"""Rounds of a worker that have gone wrong before: spinning, one bad row, something new."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from math import inf

import pytest
import structlog

from monitor.access.events import Recorded
from monitor.access.limits import Delivery
from monitor.alerts import waiting, worker
from monitor.alerts.dispatcher import Dispatcher
from monitor.alerts.interfaces import DeliveryError, Sender
from monitor.alerts.messages import MessageLimits

pytestmark = pytest.mark.anyio

QUICK = Delivery(
    group_within=timedelta(milliseconds=20),
    retry_first=timedelta(milliseconds=20),
    retry_most=timedelta(milliseconds=80),
    give_up_after=timedelta(hours=1),
    timeout=timedelta(seconds=1),
)


class Picky(Sender):
    """Refuses every message that tells of a certain event, or all."""

    name, parallel = "ops", 1

    def __init__(self, refuses: str) -> None:
        self.refuses, self.tries, self.taken = refuses, 0, []

    async def send(self, message) -> None:
        self.tries += 1
        if self.refuses in message.text:
            raise DeliveryError("refused")
        self.taken.append(message.text)


class Counting:
    """An outbox that counts how often it is read."""

    def __init__(self, outbox) -> None:
        self._outbox, self.reads, self.was_read = outbox, 0, asyncio.Event()

    def __getattr__(self, name):
        if name == "pending":
            self.reads += 1
            self.was_read.set()
        return getattr(self._outbox, name)


async def running(outbox, channel, delivery=QUICK):
    dispatcher = Dispatcher(
        outbox, [channel], delivery, now=lambda: datetime.now(UTC), spread=lambda: 0
    )
    return dispatcher, asyncio.create_task(dispatcher.run())


async def end(task) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_one_row_that_is_always_refused_does_not_stop_its_organization(outbox, light):
    for n in range(3):
        outbox.add("ops", light(target=f"acme-{n}/gpt-image-2:images"))
    channel = Picky("[#101]")
    dispatcher, task = await running(outbox, channel)
    await outbox.until(lambda: outbox.states() == ["pending", "delivered", "delivered"])
    outbox.add("ops", light(target="acme-9/gpt-image-2:images"))
    dispatcher.wake()
    await outbox.until(lambda: outbox.states()[3] == "delivered")
    await end(task)


async def test_together_too_much_goes_one_by_one_in_order(outbox, light):
    for n in range(3):
        outbox.add("ops", light(target=f"acme-{n}/gpt-image-2:images"))
    channel = Picky("3 changes")
    channel.refuses = "== "  # only grouped messages have it
    _, task = await running(outbox, channel)
    await outbox.until(lambda: outbox.states() == ["delivered"] * 3)
    assert ["[#101]" in channel.taken[0], "[#103]" in channel.taken[-1]] == [True, True]
    await end(task)


async def test_after_the_last_row_was_given_up_the_worker_rests(outbox, light):
    counting = Counting(outbox)
    outbox.add("ops", light())
    brief = replace(QUICK, give_up_after=timedelta(milliseconds=50))
    _, task = await running(counting, Picky(""), brief)
    await outbox.until(lambda: outbox.states() == ["dead"])
    before = counting.reads
    passed = asyncio.Event()
    asyncio.get_running_loop().call_later(0.3, passed.set)
    await passed.wait()
    assert counting.reads - before <= 3
    await end(task)


async def test_what_waited_for_days_while_nothing_ran_is_not_given_up_at_its_first_failure(
    outbox, light
):
    outbox.add("ops", light(), age=timedelta(days=3))
    channel = Picky("")
    _, task = await running(outbox, channel)
    await outbox.until(lambda: outbox.rows[1].attempts >= 3)
    channel.refuses = "nothing"
    await outbox.until(lambda: outbox.states() == ["delivered"])
    await end(task)


async def test_what_is_committed_is_not_read_again(outbox, light):
    counting, channel = Counting(outbox), Picky("nothing")
    dispatcher, task = await running(counting, channel)
    await counting.was_read.wait()
    for n in range(5):
        row = outbox.rows[outbox.add("ops", light(scope=f"org-{n}", target=f"key-{n}/o3:chat"))]
        dispatcher.offer([Recorded(row.event, {"ops": row, "mail": row})])
    await outbox.until(lambda: outbox.states() == ["delivered"] * 5)
    assert (counting.reads, len(channel.taken)) == (1, 5)
    await end(task)


async def test_what_another_process_wrote_before_is_sent_though_a_row_is_stuck(
    outbox, light, monkeypatch
):
    monkeypatch.setattr(worker, "IDLE_S", 0.05)
    counting, channel = Counting(outbox), Picky("[#101]")
    outbox.add("ops", light())
    dispatcher, task = await running(counting, channel)
    await counting.was_read.wait()
    for n in range(2):
        outbox.add("ops", light(scope=f"org-{n}", target=f"key-{n}/o3:chat"))
    last = outbox.rows[3]  # the other one is another process's
    dispatcher.offer([Recorded(last.event, {"ops": last})])
    await outbox.until(lambda: outbox.states() == ["pending", "delivered", "delivered"])
    await end(task)


async def test_more_than_fits_the_memory_is_read_in_its_turn(outbox, light, monkeypatch):
    monkeypatch.setattr(worker, "MEMORY_MOST", 3)
    counting, channel = Counting(outbox), Picky("nothing")
    dispatcher, task = await running(counting, channel)
    await counting.was_read.wait()
    for n in range(5):
        outbox.add("ops", light(scope=f"org-{n}", target=f"key-{n}/o3:chat"))
    dispatcher.offer([Recorded(row.event, {"ops": row}) for row in outbox.rows.values()])
    await outbox.until(lambda: outbox.states() == ["delivered"] * 5)
    assert (counting.reads, len(channel.taken)) == (2, 5)
    await end(task)


async def test_each_message_that_is_refused_has_its_own_waits(outbox, light):
    for n in range(5):
        outbox.add("ops", light(scope=f"org-{n}", target=f"key-{n}/gpt-image-2:images"))
    slow = Delivery(
        retry_first=timedelta(milliseconds=100),
        retry_most=timedelta(hours=1),
        timeout=timedelta(seconds=1),
    )
    channel = Picky("")
    dispatcher, task = await running(outbox, channel, slow)
    passed = asyncio.Event()
    asyncio.get_running_loop().call_later(1.0, passed.set)
    while not passed.is_set():
        dispatcher.wake()
        await asyncio.sleep(0.01)
    # tried at 0, 0.1, 0.2, 0.35, 0.55, 0.85 s, however often the worker is woken
    assert 10 <= channel.tries <= 30
    await end(task)


class Small(Picky):
    """Takes messages of three events at most, and refuses like the other."""

    async def message_limits(self) -> MessageLimits:
        return MessageLimits(lambda message: message.text.count("[#") <= 3)


async def test_each_part_of_a_long_message_is_claimed_and_marked_alone(outbox, light):
    for n in range(8):
        outbox.add("ops", light(target=f"acme-{n}/gpt-image-2:images"))
    channel = Small("[#105]")
    forever = replace(QUICK, retry_first=timedelta(hours=1), retry_most=timedelta(hours=1))
    _, task = await running(outbox, channel, forever)
    await outbox.until(lambda: outbox.rows[4].error != "")
    assert outbox.states() == ["delivered"] * 3 + ["pending"] * 5
    assert [row.attempts for row in outbox.rows.values()] == [1] * 6 + [0] * 2
    await end(task)
    channel.refuses = "nothing"
    _, task = await running(outbox, channel)
    await outbox.until(lambda: outbox.states() == ["delivered"] * 8)
    assert [text.count("[#") for text in channel.taken] == [3, 3, 2]
    await end(task)


class Slow(Sender):
    """Takes two messages at once, when it is let."""

    name, parallel = "ops", 2

    def __init__(self) -> None:
        self.taken, self.let = 0, asyncio.Event()

    async def send(self, message) -> None:
        await self.let.wait()
        self.taken += 1


class CountingClaims:
    """An outbox that counts its claims."""

    def __init__(self, outbox) -> None:
        self._outbox, self.claims = outbox, 0

    def __getattr__(self, name):
        self.claims += name == "claim"
        return getattr(self._outbox, name)


async def test_several_messages_are_claimed_together_while_others_are_sent(outbox, light):
    for n in range(40):
        outbox.add("ops", light(scope=f"org-{n}", target=f"acme-{n}/gpt-image-2:images"))
    counting, channel = CountingClaims(outbox), Slow()
    channel.let.set()
    _, task = await running(counting, channel)
    await outbox.until(lambda: outbox.states() == ["delivered"] * 40)
    assert channel.taken == 40
    assert counting.claims <= 40 / 4
    await end(task)


async def test_what_was_claimed_and_not_begun_is_free_after_a_halt(outbox, light):
    for n in range(20):
        outbox.add("ops", light(scope=f"org-{n}", target=f"acme-{n}/gpt-image-2:images"))
    channel = Slow()
    dispatcher, task = await running(outbox, channel)
    await outbox.until(lambda: sum(bool(row.lease_until) for row in outbox.rows.values()) > 2)
    halting = asyncio.create_task(dispatcher.halt(20))
    await asyncio.sleep(0)  # it has begun: nothing more is sent
    channel.let.set()
    await halting
    assert channel.taken == outbox.states().count("delivered") == 2
    assert not any(row.lease_until for row in outbox.rows.values())
    await end(task)


class Receiver(Sender):
    """Takes events one by one; refuses those of an organization while it is stuck."""

    name, parallel, separate = "ops", 8, True

    def __init__(self, stuck: str = "") -> None:
        self.stuck, self.taken = stuck, []

    async def send(self, message) -> None:
        (event,) = message.events
        if event.facts["organization"] == self.stuck:
            raise DeliveryError("refused")
        self.taken.append(event.id)


async def test_an_organization_that_is_stuck_leaves_room_for_the_others(outbox, light, monkeypatch):
    monkeypatch.setattr(worker, "MEMORY_MOST", 30)
    monkeypatch.setattr(waiting, "ORDER_MOST", 10)
    stuck = {"organization": "org-stuck"}
    first = [outbox.add("ops", light(facts=stuck, target=f"key-{n}/a:images")) for n in range(100)]
    others = [outbox.add("ops", light()) for _ in range(3)]
    channel = Receiver("org-stuck")
    _, task = await running(outbox, channel)
    await outbox.until(lambda: outbox.states()[-3:] == ["delivered"] * 3)
    assert len(channel.taken) == 3
    channel.stuck = ""
    await outbox.until(lambda: set(outbox.states()) == {"delivered"})
    of_row = [outbox.rows[one].event.id for one in (*others, *first)]
    assert channel.taken == of_row  # each once, and those that waited in their order
    await end(task)


async def test_a_service_that_wants_no_more_gets_no_more_though_others_are_under_way(outbox, light):
    class Gone(Receiver):
        def __init__(self) -> None:
            super().__init__()
            self.begun, self.said = 0, asyncio.Event()

        async def send(self, message) -> None:
            self.begun += 1
            if self.begun == 1:
                raise DeliveryError("HTTP 410", wait=inf)
            await self.said.wait()

    channel = Gone()
    for n in range(60):
        outbox.add("ops", light(facts={"organization": f"org-{n}"}))
    with structlog.testing.capture_logs() as logs:
        dispatcher, task = await running(outbox, channel)
        await outbox.until(lambda: outbox.states().count("dead") == 53)  # but those under way
        channel.said.set()
        await outbox.until(lambda: outbox.states().count("delivered") == 7)
        outbox.add("ops", light())
        dispatcher.wake()
        await outbox.until(lambda: outbox.states()[-1] == "dead")
    assert channel.begun == 8
    said = [one["event"] for one in logs if one["event"].startswith("channel.")]
    assert said == ["channel.down"]
    await end(task)
