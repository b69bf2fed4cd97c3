"""Many openings at once: each is named, in as few messages as can be. The real plugins, a server of ours."""

import asyncio
import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import apprise
import pytest
from aiohttp import web
from listening import serving

from monitor.access.events import Event
from monitor.access.limits import Delivery
from monitor.access.words import EventKind, Reason
from monitor.alerts.apprise_channel import AppriseChannel, check_url
from monitor.alerts.dispatcher import Dispatcher

pytestmark = pytest.mark.anyio

Make = Callable[..., Event]
SLACK = "https://hooks.slack.com/services/TFAKE0001/BFAKE0002/fakeFAKEfake0003"
#: Apprise says 1.2 s of Slack; a test need not wait for as long.
PACE = 0.4


class Slow:
    """A server that takes 50 ms for a message, whether a webhook's or Slack's."""

    def __init__(self) -> None:
        self.texts: list[str] = []
        self.times: list[float] = []

    async def handle(self, request: web.Request) -> web.Response:
        self.times.append(asyncio.get_running_loop().time())
        body = await request.json()
        await asyncio.sleep(0.05)
        for one in body.get("attachments") or [body]:
            self.texts.append(f"{one.get('title', '')}\n{one.get('text') or one.get('message')}")
        return web.Response(text="ok")

    def keys(self) -> list[str]:
        """The keys whose first light was told, each as often as it was."""
        return re.findall(r"^(?:== |\*)?First light: \S+ \((\S+)\)", "\n".join(self.texts), re.M)


@asynccontextmanager
async def served() -> AsyncIterator[tuple[Slow, int]]:
    slow = Slow()
    app = web.Application(client_max_size=1 << 20)
    app.router.add_post("/{path:.*}", slow.handle)
    async with serving(app) as port:
        yield slow, port


async def deliver(outbox: Any, url: str, within: float, *later: Event) -> None:
    """Deliver what the outbox holds and, once that is out, what comes later."""
    assert check_url(url) is None
    delivery = Delivery(group_within=timedelta(seconds=within))
    channel = AppriseChannel("ops", url, timeout=timedelta(seconds=10))
    dispatcher = Dispatcher(outbox, [channel], delivery, now=outbox.time)
    task = asyncio.create_task(dispatcher.run())
    await outbox.until(lambda: set(outbox.states()) == {"delivered"})
    for event in later:
        outbox.add("ops", event)
    dispatcher.wake()
    await outbox.until(lambda: set(outbox.states()) == {"delivered"})
    task.cancel()
    await asyncio.wait([task], timeout=20)


def opening(light: Make, number: int, scope: str) -> Event:
    key = f"acme-{number:04}"
    return light(target=f"{key}/gpt-image-2:images", scope=scope, facts={"key": key})


async def test_a_pools_burst_is_told_at_once_and_then_together(outbox: Any, light: Make) -> None:
    async with served() as (slow, port):
        lights = [opening(light, number, "pool acme") for number in range(1500)]
        outbox.add("ops", lights[0])
        await deliver(outbox, f"json://127.0.0.1:{port}/hook", 2.0, *lights[1:])
    assert sorted(slow.keys()) == [f"acme-{number:04}" for number in range(1500)]
    assert slow.texts[0].startswith("First light: gpt-image-2:images (acme-0000) [#")
    assert len(slow.texts) == 4  # of at most 32,768 characters
    assert re.match(r"500 changes, pool acme: 500 first light\n", slow.texts[1])
    assert slow.times[1] - slow.times[0] >= 0.5  # a quarter of the window


async def test_each_organizations_first_light_goes_at_once_and_waits_for_no_other(
    outbox: Any, light: Make
) -> None:
    async with served() as (slow, port):
        lights = [opening(light, number, f"org-{number % 20:02}") for number in range(400)]
        for event in lights[:20]:
            outbox.add("ops", event)
        await deliver(outbox, f"json://127.0.0.1:{port}/hook", 4.0, *lights[20:])
    assert sorted(slow.keys()) == [f"acme-{number:04}" for number in range(400)]
    assert all(text.startswith("First light: ") for text in slow.texts[:20])
    assert len(slow.texts) == 40


async def test_a_service_with_a_pace_gets_what_waits_anyway_in_one_message_first_lights_first(
    outbox: Any, light: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with served() as (slow, port):
        slack = apprise.plugins.N_MGR["slack"]
        monkeypatch.setattr(slack, "webhook_url", f"http://127.0.0.1:{port}/slack")
        monkeypatch.setattr(slack, "request_rate_per_sec", PACE)
        lights = [opening(light, number, f"org-{number % 50:02}") for number in range(500)]
        blocked = light(
            kind=EventKind.BLOCKED, reason=Reason.BLOCKER_SEEN, scope="org-blocked",
            target="acme-blocked/gpt-image-2:images", facts={"key": "acme-blocked"},
        )  # fmt: skip
        outbox.add("ops", lights[0])
        await deliver(outbox, SLACK, 20.0, blocked, *lights[1:])
    assert sorted(slow.keys()) == [f"acme-{number:04}" for number in range(500)]
    assert len(slow.texts) == 2
    title, text = slow.texts[1].split("\n", 1)
    assert title == "500 changes: 499 first light, 1 blocked"
    assert [text.count("First light: "), text.count("Blocked")] == [499, 1]
    assert slow.times[1] - slow.times[0] >= PACE * 0.9
