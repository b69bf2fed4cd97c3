"""Webhooks of the installed command: the documented receiver, and one that fails while it is killed."""

import asyncio
import json
import signal
import socket
import sys
from base64 import b64encode
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from aiohttp import web
from pages import blocks
from standardwebhooks.webhooks import Webhook

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(400)]

STEPPED = Path(__file__).with_name("stepped.py")
SECRET = "whsec_" + b64encode(b"FAKE secret of the new receivers").decode()
OLD = "whsec_" + b64encode(b"FAKE secret of the old receivers").decode()

KEYS, ORGANIZATIONS = 36, 6
#: What a gate that opens makes of each target.
TELLS = ("unverified", "first_light", "available")


def scenario(gate: str) -> str:
    return 'name = "webhook"\n' + "\n".join(
        f'[[keys]]\nname = "key-{n}"\nsecret = "sk-sim-FAKE-key-{n:04}"\n'
        f'organization = "org-{n % ORGANIZATIONS}"\n[keys.gate]\n{gate}'
        for n in range(KEYS)
    )


def settings(base_url: str, fast: str) -> str:
    parts = [
        '[monitor]\ndatabase = "sqlite:///monitor.db"\nlog_format = "json"',
        f'[routes.sim]\nbase_url = "{base_url}"\ncontract = "direct"\nrate = 500.0',
        (
            '[[channels]]\nname = "automation"\ntype = "webhook"\nurl = "env:AUTOMATION_URL"\n'
            'secrets = ["env:AUTOMATION_SECRET", "env:AUTOMATION_OLD"]\n'
            'events = ["unverified", "first_light", "available"]'
        ),
    ]
    parts += [
        f'[[keys]]\nname = "key-{n}"\nsecret = "env:KEY_{n}"\norganization = "org-{n % ORGANIZATIONS}"\n'
        'route = "sim"\nwatch = ["gpt-5.1:summary"]'
        for n in range(KEYS)
    ]
    return "\n".join(parts) + fast


@dataclass
class Receiver:
    """Verifies what it gets by the old secret, and refuses every third."""

    url: str = ""
    #: event ids and idempotency keys of all requests, and events in the order in which they were taken
    asked: list[tuple[int, str]] = field(default_factory=list)
    taken: list[dict] = field(default_factory=list)

    async def handle(self, request: web.Request) -> web.Response:
        event = Webhook(OLD).verify(await request.read(), dict(request.headers))
        self.asked.append((event["data"]["id"], request.headers["webhook-id"]))
        if len(self.asked) % 3 == 0:
            return web.Response(status=500, text="not now")
        self.taken.append(event)
        return web.Response(status=204)


@pytest.fixture
async def receiver(anyio_backend: str) -> AsyncIterator[Receiver]:
    made = Receiver()
    app = web.Application()
    app.router.add_post("/events", made.handle)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    made.url = f"http://127.0.0.1:{runner.addresses[0][1]}/events"
    yield made
    await runner.cleanup()


async def test_a_hundred_events_arrive_in_order_through_failures_and_kills(
    lab, fast, receiver, fault
):
    await lab.simulate(scenario(""))
    lab.settings.write_text(settings(lab.base_url, fast))
    lab.environ |= {f"KEY_{n}": f"sk-sim-FAKE-key-{n:04}" for n in range(KEYS)}
    lab.environ |= {
        "AUTOMATION_URL": receiver.url,
        "AUTOMATION_SECRET": SECRET,
        "AUTOMATION_OLD": OLD,
    }
    arguments = ("run", "--config", str(lab.settings))
    # between a post that was taken and its mark
    first = await lab.launch(sys.executable, str(STEPPED), "before the mark", "2", *arguments)
    assert await asyncio.wait_for(first.wait(), 120) == -signal.SIGKILL

    second = await lab.start(*arguments)
    shut = "SELECT count(*) FROM targets WHERE state = 'unverified'"
    await lab.until(lambda: lab.ask(shut) == [(KEYS,)], "all gates to be seen shut")
    await lab.replay(scenario("open = 0.0\n"))
    await lab.until(lambda: len(receiver.taken) >= 60, "60 events")
    second.send_signal(signal.SIGKILL)
    await second.wait()

    third = await lab.start(*arguments)
    left = "SELECT count(*) FROM notifications WHERE state != 'delivered'"
    told = "SELECT count(*) FROM events WHERE kind = 'available'"
    await lab.until(lambda: lab.ask(told) == [(KEYS,)], "all targets to be available")
    await lab.until(lambda: lab.ask(left) == [(0,)], "all notifications to be delivered")
    third.send_signal(signal.SIGTERM)
    assert await third.wait() == 0

    owed = [id_ for (id_,) in lab.ask("SELECT event_id FROM notifications ORDER BY event_id")]
    assert len(owed) == KEYS * len(TELLS) >= 100
    order: dict[str, list[int]] = {}
    for event in receiver.taken:
        its = order.setdefault(event["data"]["organization"], [])
        if event["data"]["id"] not in its:
            its.append(event["data"]["id"])
    assert len(order) == ORGANIZATIONS
    assert all(its == sorted(its) for its in order.values()), order
    assert sorted(id_ for its in order.values() for id_ in its) == owed
    keys = set(receiver.asked)
    assert len(keys) == len({key for _, key in keys}) == len(owed)
    twice = len(receiver.taken) - len(owed)
    assert twice >= 1  # those that the first daemon was killed before it marked
    fault(
        "a webhook's receiver fails every third time, and its daemon is killed", 2,
        "every event arrives, in the order of its organization; an attempt again has the same key",
        f"{len(owed)} events in {len(receiver.asked)} requests, {len(receiver.asked) // 3} refused,"
        f" {twice} taken twice, 0 lost, 0 out of order",
    )  # fmt: skip


async def test_the_documented_receiver_takes_the_documented_channel(lab):
    (code,) = blocks("docs/webhook.md", "python")
    (toml,) = blocks("docs/webhook.md", "toml")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    (lab.folder / "receiver.py").write_text(code.text)
    lab.settings.write_text(
        toml.text
        + '[[keys]]\nname = "acme-prod"\nsecret = "env:KEY"\nwatch = ["gpt-image-2"]\nroute = "sim"\n'
        '[routes.sim]\nbase_url = "http://127.0.0.1:9/v1"\n'
    )
    lab.environ |= {
        "AUTOMATION_URL": f"http://127.0.0.1:{port}/",
        "AUTOMATION_SECRET": SECRET,
        "KEY": "sk-sim-FAKE-0001",
        "PORT": str(port),
    }
    await lab.launch(sys.executable, "receiver.py", log="receiver")

    async def listens() -> bool:
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            return False
        writer.close()
        return True

    await lab.until(listens, "the receiver to listen")
    config = ("--config", str(lab.settings))
    assert (await lab.call("config", "check", *config)).status == 0
    sent = await lab.call("alerts", "test", "automation", *config)
    assert (sent.status, sent.out) == (0, "automation: delivered\n"), sent.err
    await lab.until(
        lambda: "test: nothing to do" in (lab.folder / "receiver.log").read_text(), "it to act"
    )
    # another secret than the receiver's
    sent = await lab.call("alerts", "test", *config, AUTOMATION_SECRET=OLD)
    assert (sent.status, sent.out) == (1, "automation: failed: HTTP 400\n")
    printed = await lab.call("alerts", "schema")
    assert json.loads(printed.out)["title"] == "access-monitor webhook"
