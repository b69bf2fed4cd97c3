"""A channel with several recipients, of whom one refuses what the others take."""

import asyncio
import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
import structlog
from mail_server import MailServer

from monitor.access.events import Event
from monitor.access.limits import Delivery
from monitor.access.words import EventKind
from monitor.alerts.apprise_channel import AppriseChannel, check_url
from monitor.alerts.dispatcher import Dispatcher

pytestmark = pytest.mark.anyio

Make = Callable[..., Event]
TICK = timedelta(milliseconds=1)
FAST = Delivery(group_within=timedelta(), retry_first=10 * TICK, retry_most=40 * TICK)
DAY_OVER = replace(FAST, give_up_after=timedelta(seconds=2))


class Mailboxes(MailServer):
    """A mail server that does not know some addresses."""

    def __init__(self) -> None:
        self.unknown = {"gone@acme.example"}
        #: each address that took a mail, and the ids in its subject
        self.took_it: list[tuple[str, str]] = []

    async def handle_RCPT(  # noqa: N802
        self, server: Any, session: Any, envelope: Any, address: str, options: Any
    ) -> str:
        if address in self.unknown:
            return "550 no such user here"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:  # noqa: N802
        text = envelope.content.decode()
        numbers = " ".join(sorted(set(re.findall(r"\[#(\d+)\]", text))))
        self.took_it += [(address.partition("@")[0], numbers) for address in envelope.rcpt_tos]
        return "250 taken"


@pytest.fixture
async def mailboxes(tls: Any) -> AsyncIterator[Mailboxes]:
    boxes = Mailboxes()
    async with await boxes.listen(tls):
        yield boxes


@asynccontextmanager
async def running(outbox: Any, url: str, delivery: Delivery = FAST) -> AsyncIterator[Dispatcher]:
    assert check_url(url) is None
    channel = AppriseChannel("ops", url, timeout=timedelta(seconds=10))
    dispatcher = Dispatcher(outbox, [channel], delivery, now=outbox.time, spread=lambda: 0.0)
    task = asyncio.create_task(dispatcher.run())
    yield dispatcher
    task.cancel()
    await asyncio.wait([task], timeout=20)


@pytest.mark.parametrize(
    "people", ["to=ok@acme.example,gone@acme.example", "to=ok@acme.example&cc=gone@acme.example"]
)
async def test_an_address_that_is_refused_costs_the_others_no_copy_and_no_later_alert(
    mailboxes: Mailboxes, outbox: Any, light: Make, people: str
) -> None:
    url = mailboxes.url().replace("to=ops@acme.example", people)
    outbox.add("ops", light())
    async with running(outbox, url) as dispatcher:
        await outbox.until(lambda: outbox.rows[1].attempts >= 3)
        outbox.add("ops", light(kind=EventKind.AVAILABLE))  # of the same target
        dispatcher.wake()
        await outbox.until(lambda: outbox.rows[2].attempts >= 3)
        assert mailboxes.took_it == [("ok", "101"), ("ok", "102")]
        assert outbox.states() == ["pending", "pending"]
        mailboxes.unknown.clear()
        await outbox.until(lambda: outbox.states() == ["delivered", "delivered"])
    assert sorted(mailboxes.took_it[2:]) == [("gone", "101"), ("gone", "102")]


async def test_whom_a_message_does_not_reach_is_listed_with_the_reason(
    mailboxes: Mailboxes, outbox: Any, light: Make
) -> None:
    url = mailboxes.url().replace("to=ops@acme", "to=ok@acme.example,gone@acme")
    for n in range(12):  # enough failures for a channel that is down
        outbox.add("ops", light(scope=f"org-{n}", target=f"key-{n}/o3:chat"))
    with structlog.testing.capture_logs() as logs:
        async with running(outbox, url, DAY_OVER):
            await outbox.until(lambda: outbox.states() == ["dead"] * 12)
    assert sorted(mailboxes.took_it) == [("ok", str(101 + n)) for n in range(12)]
    for row in outbox.rows.values():
        assert row.error.startswith("some recipients took it, not all: ")
        assert "gone@acme.example" in row.error
        assert "550" in row.error
    assert "channel.down" not in {entry["event"] for entry in logs}


async def test_a_topic_that_is_refused_costs_the_others_no_copy_and_no_later_alert(
    webhooks: Any, outbox: Any, light: Make
) -> None:
    hook = await webhooks()
    hook.refused = "topic-b"
    outbox.add("ops", light())
    async with running(outbox, f"ntfy://127.0.0.1:{hook.port}/topic-a/topic-b") as dispatcher:
        await outbox.until(lambda: outbox.rows[1].attempts >= 3)
        outbox.add("ops", light(kind=EventKind.AVAILABLE))
        dispatcher.wake()
        await outbox.until(lambda: outbox.rows[2].attempts >= 3)
    assert [one["topic"] for one in hook.received] == ["topic-a", "topic-a"]
