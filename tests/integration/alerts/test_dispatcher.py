"""The guarantee: what is in the outbox is told on every channel in order, or listed as undeliverable.

Every delivery here goes through the real Apprise to a real server on this machine.
"""

import asyncio
import re
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from itertools import chain
from typing import Any

import pytest
import structlog

from monitor.access.events import Event
from monitor.access.limits import Delivery
from monitor.access.words import EventKind, Reason, State
from monitor.alerts.apprise_channel import AppriseChannel, check_url
from monitor.alerts.dispatcher import Dispatcher
from monitor.alerts.interfaces import DeliveryError
from monitor.alerts.render import Message

pytestmark = pytest.mark.anyio

Make = Callable[..., Event]
TICK = timedelta(milliseconds=1)
FAST = Delivery(group_within=timedelta(), retry_first=10 * TICK, retry_most=40 * TICK)


@asynccontextmanager
async def running(
    outbox: Any, *channels: Any, delivery: Delivery = FAST
) -> AsyncIterator[Dispatcher]:
    dispatcher = Dispatcher(outbox, channels, delivery, now=outbox.time, spread=lambda: 0.0)
    task = asyncio.create_task(dispatcher.run())
    yield dispatcher
    task.cancel()
    # Once is enough, whatever is under way.
    await asyncio.wait([task], timeout=20)
    assert task.cancelled()


def channel(hook: Any, name: str = "ops", *, seconds: float = 10) -> AppriseChannel:
    url = f"json://127.0.0.1:{hook.port}"
    assert check_url(url) is None
    return AppriseChannel(name, url, timeout=timedelta(seconds=seconds))


def told(hook: Any) -> list[list[int]]:
    """The ids in each message that arrived."""
    return [[int(id_) for id_ in _ids(one["message"])] for one in hook.received]


def _ids(text: str) -> list[str]:
    return re.findall(r"\[#(\d+)\]", text)


async def test_a_change_is_told_at_once_and_marked(webhooks: Any, outbox: Any, light: Make) -> None:
    hook = await webhooks()
    with structlog.testing.capture_logs() as logs:
        async with running(outbox, channel(hook)) as dispatcher:
            outbox.add("ops", light())
            dispatcher.wake()
            await outbox.until(lambda: outbox.states() == ["delivered"])
    assert told(hook) == [[101]]
    (entry,) = logs
    assert entry["event"] == "notification.delivered"
    assert entry["channel"] == "ops"
    assert entry["ids"] == [101]
    assert entry["events"] == ["first_light"]
    assert entry["attempt"] == 1
    assert entry["latency_ms"] > 0


async def test_what_waited_while_nothing_ran_is_told_on_start(
    webhooks: Any, outbox: Any, light: Make
) -> None:
    hook = await webhooks()
    outbox.add("ops", light(), age=timedelta(days=3))
    async with running(outbox, channel(hook)):
        await outbox.until(lambda: outbox.states() == ["delivered"])


async def test_after_an_outage_everything_arrives(webhooks: Any, outbox: Any, light: Make) -> None:
    hook = await webhooks()
    hook.answers = [500, 500]
    for n in range(5):
        outbox.add("ops", light(scope=f"org-{n}"))
    async with running(outbox, channel(hook)):
        await outbox.until(lambda: set(outbox.states()) == {"delivered"})
    assert sorted(told(hook)) == [[101], [102], [103], [104], [105]]
    assert outbox.rows[1].attempts == 3
    assert "500" in outbox.rows[1].error


async def test_a_hanging_channel_does_not_delay_another(
    webhooks: Any, mailbox: Any, outbox: Any, light: Make
) -> None:
    hanging, hook = await webhooks(), await webhooks()
    hanging.hangs.set()
    assert check_url(mailbox.url()) is None
    mail = AppriseChannel("mail", mailbox.url(), timeout=timedelta(seconds=10))
    async with running(outbox, channel(hanging, "stuck", seconds=0.2), channel(hook), mail):
        for name in ("stuck", "ops", "mail"):
            outbox.add(name, light())
        await outbox.until(lambda: outbox.rows[1].error)
        first = outbox.rows[1].error
        await outbox.until(lambda: outbox.states()[1:] == ["delivered", "delivered"])
    assert "may have been delivered" in first
    assert outbox.rows[1].state == "pending"
    assert _ids(mailbox.mails[0]["Subject"]) == ["103"]


async def test_further_changes_of_an_organization_share_a_message_at_the_windows_end(
    webhooks: Any, outbox: Any, light: Make
) -> None:
    hook = await webhooks()
    window = replace(FAST, group_within=timedelta(seconds=0.4))
    blocked = light(kind=EventKind.BLOCKED, reason=Reason.BLOCKER_SEEN)
    async with running(outbox, channel(hook), delivery=window) as dispatcher:
        outbox.add("ops", blocked)
        dispatcher.wake()
        await hook.arrival(1)
        opened = asyncio.get_running_loop().time()
        outbox.add("ops", blocked)
        dispatcher.wake()
        outbox.add("ops", replace(blocked, scope="org-other", target="other/gpt-image-2:images"))
        outbox.add("ops", replace(blocked, scope=None, target="alone/gpt-image-2:images"))
        outbox.add("ops", blocked)
        dispatcher.wake()
        await hook.arrival(4)
        assert asyncio.get_running_loop().time() - opened >= 0.3
    first, *others, last = told(hook)
    assert (first, sorted(others), last) == ([101], [[103], [104]], [102, 105])


async def test_a_first_light_waits_only_behind_another_first_light(
    webhooks: Any, outbox: Any, light: Make
) -> None:
    hook = await webhooks()
    hour = replace(FAST, group_within=timedelta(hours=1))
    async with running(outbox, channel(hook), delivery=hour) as dispatcher:
        outbox.add("ops", light(kind=EventKind.UNBLOCKED, reason=Reason.BLOCKER_CLEARED))
        dispatcher.wake()
        await hook.arrival(1)
        outbox.add("ops", light())
        dispatcher.wake()
        await hook.arrival(2)
        outbox.add("ops", light())
        await dispatcher.drain(10)  # on stop nothing waits for its window
    assert told(hook) == [[101], [102], [103]]


class Picky:
    """A service that takes everything but messages that hold a word."""

    def __init__(self, hook: AppriseChannel, word: str) -> None:
        self.name, self.parallel, self.pace, self.separate = "ops", 1, 0.0, False
        self.message_limits = hook.message_limits
        self._hook, self._word = hook, word

    async def send(self, message: Message) -> None:
        if self._word in message.title:
            raise DeliveryError("too odd")
        await self._hook.send(message)


async def test_a_message_that_always_fails_does_not_stop_the_others(
    webhooks: Any, outbox: Any, light: Make
) -> None:
    hook = await webhooks()
    outbox.add("ops", light(scope="org-odd", target="odd/gpt-image-2:images"))
    for n in range(4):
        outbox.add("ops", light(scope=f"org-{n}"))
    async with running(outbox, Picky(channel(hook), "odd")) as dispatcher:
        await outbox.until(lambda: outbox.states().count("delivered") == 4)
        await outbox.until(lambda: outbox.rows[1].attempts >= 3)
        before = outbox.rows[1].attempts
        outbox.add("ops", light(scope="org-new"))
        dispatcher.wake()
        await outbox.until(lambda: outbox.states()[-1] == "delivered")
        await outbox.until(lambda: outbox.rows[1].attempts > before)  # and it keeps its own retries
    assert told(hook) == [[102], [103], [104], [105], [106]]


async def test_what_cannot_be_delivered_is_given_up_loudly_and_listed(
    webhooks: Any, outbox: Any, light: Make
) -> None:
    hook = await webhooks()
    hook.answers = [500] * 1000
    delivery = replace(FAST, give_up_after=timedelta(seconds=0.2))
    for n in range(3):
        outbox.add("ops", light(scope=f"org-{n}"))
    with structlog.testing.capture_logs() as logs:
        async with running(outbox, channel(hook), delivery=delivery):
            await outbox.until(lambda: outbox.states() == ["dead"] * 3)
    dead = [entry for entry in logs if entry["event"] == "notification.dead"]
    assert sorted(id_ for entry in dead for id_ in entry["ids"]) == [101, 102, 103]
    assert {entry["log_level"] for entry in dead} == {"error"}


async def test_a_crash_in_the_middle_sends_again_with_the_same_id_when_the_lease_is_over(
    webhooks: Any, outbox: Any, light: Make
) -> None:
    hook = await webhooks()
    hook.hangs.set()
    outbox.add("ops", light())
    async with running(outbox, channel(hook)):
        await outbox.until(lambda: outbox.rows[1].lease_until is not None)
    hook.hangs.clear()
    hook.released.set()  # the first attempt arrives after all, but nobody was there to mark it
    await hook.arrival(1)
    async with running(outbox, channel(hook)) as dispatcher:
        other = outbox.add("ops", light(scope="org-other", target="other/gpt-image-2:images"))
        dispatcher.wake()
        await outbox.until(lambda: outbox.rows[other].state == "delivered")
        assert outbox.rows[1].state == "pending"  # leased: somebody may be at it
        outbox.ahead = timedelta(minutes=2)
        dispatcher.wake()
        await outbox.until(lambda: outbox.states() == ["delivered", "delivered"])
    assert told(hook) == [[101], [102], [101]]


async def test_draining_is_bounded_and_leaves_the_rest(
    webhooks: Any, outbox: Any, light: Make
) -> None:
    hanging, hook = await webhooks(), await webhooks()
    hanging.hangs.set()
    async with running(outbox, channel(hanging, "stuck"), channel(hook)) as dispatcher:
        outbox.add("stuck", light())
        outbox.add("ops", light())
        before = asyncio.get_running_loop().time()
        await dispatcher.drain(1.0)
        assert asyncio.get_running_loop().time() - before < 8
        outbox.add("ops", light(scope="org-late"))
        dispatcher.wake()
    assert outbox.states() == ["pending", "delivered", "pending"]


async def test_a_store_that_fails_once_does_not_end_the_channel(
    webhooks: Any, outbox: Any, light: Make
) -> None:
    hook = await webhooks()
    outbox.broken = True
    outbox.add("ops", light())
    with structlog.testing.capture_logs() as logs:
        async with running(outbox, channel(hook)) as dispatcher:
            await outbox.until(lambda: not outbox.broken)
            dispatcher.wake()
            await outbox.until(lambda: outbox.states() == ["delivered"])
    assert logs[0]["event"] == "outbox.unusable"


async def test_what_was_sent_and_could_not_be_noted_is_noted_later_and_not_sent_again(
    webhooks: Any, outbox: Any, light: Make
) -> None:
    hook = await webhooks()
    outbox.unmarkable = 2
    outbox.add("ops", light())
    with structlog.testing.capture_logs() as logs:
        async with running(outbox, channel(hook)) as dispatcher:
            for left in (1, 0):
                await outbox.until(lambda left=left: outbox.unmarkable == left)
                dispatcher.wake()
            await outbox.until(lambda: outbox.states() == ["delivered"])
            outbox.add("ops", light(scope="org-other"))
            dispatcher.wake()
            await outbox.until(lambda: outbox.states() == ["delivered"] * 2)
    assert told(hook) == [[101], [102]]
    said = [entry["event"] for entry in logs if entry["event"].startswith("outbox.")]
    assert said == ["outbox.unusable", "outbox.usable_again"]


async def test_what_is_read_again_before_its_delivery_is_noted_holds_nothing_up(
    webhooks: Any, outbox: Any, light: Make
) -> None:
    hook = await webhooks()
    outbox.marking.clear()
    async with running(outbox, channel(hook)) as dispatcher:
        outbox.add("ops", light())
        dispatcher.wake()
        await hook.arrival(1)
        other = light(scope="org-other", target="other/gpt-image-2:images")
        for n in range(3):  # each time it reads all that is not noted yet
            outbox.add("ops", other)
            dispatcher.wake(from_start=True)
            await hook.arrival(2 + n)
        outbox.marking.set()
        outbox.add("ops", light())
        dispatcher.wake()
        await outbox.until(lambda: outbox.states() == ["delivered"] * 5)
    assert told(hook) == [[101], [102], [103], [104], [105]]


async def test_what_is_given_up_elsewhere_holds_nothing_up(
    webhooks: Any, outbox: Any, light: Make
) -> None:
    hook = await webhooks()
    window = replace(FAST, group_within=timedelta(seconds=0.3))
    blocked = light(kind=EventKind.BLOCKED, reason=Reason.BLOCKER_SEEN)
    async with running(outbox, channel(hook), delivery=window) as dispatcher:
        outbox.add("ops", blocked)
        dispatcher.wake()
        await hook.arrival(1)
        gone = outbox.add("ops", blocked)
        dispatcher.wake()
        await outbox.until(lambda: outbox.states()[0] == "delivered")
        await outbox.dead([gone], "a person's wish", outbox.time())
        for _ in range(2):
            outbox.add("ops", blocked)
            dispatcher.wake()
            await outbox.until(lambda: outbox.states()[-1] == "delivered")
    assert told(hook)[1:] == [[103], [104]]


async def test_a_burst_is_told_in_bounded_messages_and_no_id_is_lost(
    webhooks: Any, outbox: Any, light: Make
) -> None:
    hook = await webhooks()
    for _ in range(1100):
        outbox.add("ops", light())
    async with running(outbox, channel(hook)):
        await outbox.until(lambda: set(outbox.states()) == {"delivered"})
    groups: Sequence[list[int]] = told(hook)
    assert len(groups) == 2
    assert all(
        len(one["message"]) <= 32_768 for one in hook.received
    )  # as Apprise says of a webhook
    assert list(chain.from_iterable(groups)) == list(range(101, 1201))


async def test_more_than_a_round_reads_waits_for_no_window_and_holds_up_nobody_behind_it(
    webhooks: Any, outbox: Any, light: Make
) -> None:
    hook = await webhooks()
    propagating = {"kind": EventKind.PROPAGATING, "reason": Reason.SIBLING_OPENED}
    slow = replace(FAST, group_within=timedelta(hours=1))
    for _ in range(1000):
        outbox.add("ops", light(scope="pool acme", **propagating))
    outbox.add("ops", light())
    async with running(outbox, channel(hook), delivery=slow):
        await outbox.until(lambda: set(outbox.states()) == {"delivered"})
    assert [len(group) for group in told(hook)] == [500, 500, 1]


async def test_what_is_known_of_a_scope_stands_above_and_what_is_true_by_now_in_what_is_late(
    webhooks: Any, outbox: Any, light: Make
) -> None:
    hook = await webhooks()
    summaries = {"pool acme": "acme: 812 available, 40 unverified"}
    outbox.add("ops", light(scope="pool acme"))
    outbox.add("ops", light(at=outbox.time() - timedelta(hours=1)))
    dispatcher = Dispatcher(
        outbox, [channel(hook)], FAST, now=outbox.time, summary=summaries.get,
        state={light().target: State.AVAILABLE}.get,
    )  # fmt: skip
    task = asyncio.create_task(dispatcher.run())
    await outbox.until(lambda: outbox.states() == ["delivered"] * 2)
    task.cancel()
    await asyncio.wait([task], timeout=20)
    heads = [one["message"].splitlines()[0] for one in hook.received]
    assert heads[0] == "acme: 812 available, 40 unverified"
    assert "812" not in heads[1]
    late = ["By the last answer: available" in one["message"] for one in hook.received]
    assert late == [False, True]


async def test_a_service_that_asks_to_wait_is_sent_nothing_until_then(
    webhooks: Any, outbox: Any, light: Make
) -> None:
    hook = await webhooks()
    hook.answers, hook.limited = [429], {"headers": {"Retry-After": "1"}}
    with structlog.testing.capture_logs() as logs:
        async with running(outbox, channel(hook)) as dispatcher:
            outbox.add("ops", light())
            dispatcher.wake()
            await outbox.until(lambda: bool(outbox.rows[1].error))
            asked = asyncio.get_running_loop().time()
            outbox.add("ops", light(target="acme-prod/o3:chat", scope="org-other"))
            dispatcher.wake()
            await outbox.until(lambda: set(outbox.states()) == {"delivered"})
            took = asyncio.get_running_loop().time() - asked
    assert took > 0.8
    assert [entry["event"] for entry in logs].count("notification.failed") == 1
    assert logs[0]["retry_in_s"] == 1.0
