"""A webhook's deliveries to a real server, judged by the receivers' own package."""

import asyncio
import gzip
import json
import ssl
from base64 import b64encode
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from aiohttp import web
from listening import serving
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from monitor.access.events import Event
from monitor.access.limits import Delivery
from monitor.access.masking import Redactor
from monitor.alerts.dispatcher import Dispatcher
from monitor.alerts.interfaces import DeliveryError
from monitor.alerts.messages import Draft
from monitor.alerts.render import Message, Wording
from monitor.alerts.webhook_channel import WebhookChannel

pytestmark = pytest.mark.anyio

SECRET = "whsec_" + b64encode(b"FAKE canary of 32 bytes, the new").decode()
OLD = "whsec_" + b64encode(b"FAKE canary of 32 bytes, the old").decode()
PATH = "FAKEpath-0123456789abcdef"

QUICK = Delivery(
    group_within=timedelta(hours=1),  # which a webhook does not keep
    retry_first=timedelta(milliseconds=20),
    retry_most=timedelta(milliseconds=80),
    timeout=timedelta(seconds=10),
)


@dataclass
class Receiver:
    """Keeps what it takes, and answers as it is told: 204 by default."""

    port: int = 0
    bodies: list[bytes] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    #: the answers of the next requests, in order
    answers: list[Callable[[web.Request], Awaitable[web.StreamResponse]]] = field(
        default_factory=list
    )

    @property
    def ids(self) -> list[int]:
        return [json.loads(body)["data"]["id"] for body in self.bodies]

    async def handle(self, request: web.Request) -> web.StreamResponse:
        self.bodies.append(await request.read())
        self.headers.append({name.lower(): value for name, value in request.headers.items()})
        return await self.answers.pop(0)(request) if self.answers else web.Response(status=204)


def saying(status: int, **more: Any) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    async def answer(request: web.Request) -> web.StreamResponse:
        return web.Response(status=status, **more)

    return answer


@pytest.fixture
async def receiver(anyio_backend: str) -> AsyncIterator[Receiver]:
    made = Receiver()
    app = web.Application()
    app.router.add_post("/{path:.*}", made.handle)
    async with serving(app) as made.port:
        yield made


@pytest.fixture
async def channel(receiver: Receiver) -> AsyncIterator[WebhookChannel]:
    made = hook(receiver.port)
    yield made
    await made.aclose()


def hook(port: int, *secrets: str, seconds: float = 20.0, scheme: str = "http") -> WebhookChannel:
    url = f"{scheme}://127.0.0.1:{port}/{PATH}"
    redactor = Redactor(secrets or (SECRET, OLD))
    return WebhookChannel(
        "automation", url, secrets or (SECRET, OLD), timeout=timedelta(seconds=seconds),
        redact=redactor.value,
    )  # fmt: skip


@pytest.fixture
def message(light: Callable[..., Event]) -> Message:
    return Draft([replace(light(), id=123)], now=datetime.now(UTC)).message()


async def failure(sender: WebhookChannel, message: Message) -> DeliveryError:
    with pytest.raises(DeliveryError) as caught:
        await sender.send(message)
    error = caught.value
    for secret in (SECRET, SECRET[6:], OLD, PATH):
        assert secret not in error.reason
    assert len(error.reason) <= 300
    return error


@pytest.mark.parametrize("secret", [SECRET, OLD], ids=["the new secret", "the old one"])
async def test_the_receiver_verifies_it_with_either_secret(
    receiver: Receiver, channel: WebhookChannel, message: Message, secret: str
) -> None:
    await channel.send(message)
    (body,), (headers,) = receiver.bodies, receiver.headers
    read = Webhook(secret).verify(body, headers)
    assert read["type"] == "first_light"
    assert read["data"]["target"] == "acme-prod/gpt-image-2:images"
    assert headers["content-type"] == "application/json"
    assert headers["webhook-id"].startswith("evt_123_")


async def test_what_was_changed_on_the_way_is_not_verified(
    receiver: Receiver, channel: WebhookChannel, message: Message
) -> None:
    await channel.send(message)
    body, headers = receiver.bodies[0], receiver.headers[0]
    for wrong_body, wrong_headers in (
        (body.replace(b"first_light", b"first-light"), headers),
        (body, headers | {"webhook-id": "evt_124"}),
        (body, headers | {"webhook-timestamp": str(int(headers["webhook-timestamp"]) + 1)}),
    ):
        with pytest.raises(WebhookVerificationError):
            Webhook(SECRET).verify(wrong_body, wrong_headers)


async def test_an_attempt_again_has_the_same_key_and_body(
    receiver: Receiver, channel: WebhookChannel, message: Message
) -> None:
    receiver.answers = [saying(500)]
    assert (await failure(channel, message)).reason == "HTTP 500"
    await channel.send(message)
    assert receiver.bodies[0] == receiver.bodies[1]
    assert len({headers["webhook-id"] for headers in receiver.headers}) == 1


async def test_a_test_says_that_it_is_one(receiver: Receiver, channel: WebhookChannel) -> None:
    words = Wording("a test", "info", f"This is a test with {SECRET} in it.")
    await channel.send(Message(words.title, words.level, [words]))
    read = Webhook(SECRET).verify(receiver.bodies[0], receiver.headers[0])
    assert read["type"] == "test"
    assert read["data"] == {"message": "This is a test with [hidden] in it."}


async def test_a_redirect_is_not_followed(
    receiver: Receiver, channel: WebhookChannel, message: Message
) -> None:
    receiver.answers = [saying(307, headers={"location": f"http://127.0.0.1:{receiver.port}/b"})]
    assert "redirects are not followed" in (await failure(channel, message)).reason
    assert len(receiver.bodies) == 1


@pytest.mark.parametrize(
    ("status", "headers", "wait"),
    [
        (429, {"retry-after": "7"}, 7.0),
        (503, {"retry-after": "7200"}, 3600.0),
        (503, {}, 0.0),
        (502, {"retry-after": "soon"}, 0.0),
    ],
)
async def test_a_wait_that_is_asked_for_is_known(
    receiver: Receiver, channel: WebhookChannel, message: Message,
    status: int, headers: dict[str, str], wait: float,
) -> None:  # fmt: skip
    receiver.answers = [saying(status, headers=headers)]
    error = await failure(channel, message)
    assert error.wait == wait
    assert not error.ended


async def test_a_hanging_receiver_costs_the_timeout_and_may_have_it(
    receiver: Receiver, message: Message
) -> None:
    released = asyncio.Event()

    async def hang(request: web.Request) -> web.StreamResponse:
        await released.wait()
        return web.Response()

    receiver.answers = [hang]
    sender = hook(receiver.port, seconds=0.5)
    error = await failure(sender, message)
    released.set()
    assert error.reason == "no answer within 0.5 s"
    assert error.ended
    assert error.ended is not None
    assert error.ended.is_set()  # nobody waits for it
    await sender.aclose()


@pytest.mark.parametrize("status", [200, 500])
async def test_an_answer_without_end_is_read_no_further_than_needed(
    receiver: Receiver, channel: WebhookChannel, message: Message, status: int
) -> None:
    sent = 0

    async def endless(request: web.Request) -> web.StreamResponse:
        nonlocal sent
        response = web.StreamResponse(status=status)
        await response.prepare(request)
        try:
            while True:
                await response.write(b"x" * 65536)
                sent += 65536
        except (ConnectionError, asyncio.CancelledError):
            return response

    receiver.answers = [endless]
    if status == 200:
        await channel.send(message)
    else:
        assert (await failure(channel, message)).reason.startswith("HTTP 500: xxx")
    assert sent < 64 * 1024 * 1024


async def test_a_body_that_never_comes_makes_no_failure_of_a_success(
    receiver: Receiver, message: Message
) -> None:
    released = asyncio.Event()

    async def stuck(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(status=202, headers={"content-length": "9"})
        await response.prepare(request)
        await response.write(b"ok")
        await released.wait()
        return response

    receiver.answers = [stuck]
    sender = hook(receiver.port, seconds=2)
    await sender.send(message)
    released.set()
    await sender.aclose()


async def test_what_an_answer_says_is_quoted_as_it_came_and_cut(
    receiver: Receiver, channel: WebhookChannel, message: Message
) -> None:
    bomb = gzip.compress(b"x" * 10_000_000)
    receiver.answers = [
        saying(400, text=f"bad signature {SECRET} at /{PATH}\x1b[2J"),
        saying(400, body=bomb, headers={"content-encoding": "gzip"}),
    ]
    reason = (await failure(channel, message)).reason
    assert reason.startswith("HTTP 400: bad signature [hidden] at /[hidden]")
    assert reason.isprintable()
    assert len((await failure(channel, message)).reason) <= 300


async def test_a_closed_port_and_a_foreign_certificate_are_failures(
    receiver: Receiver, message: Message, tls_receiver: int
) -> None:
    refused = hook(1)
    assert "ConnectError" in (await failure(refused, message)).reason
    await refused.aclose()
    foreign = hook(tls_receiver, scheme="https")
    assert "CERTIFICATE_VERIFY_FAILED" in (await failure(foreign, message)).reason
    await foreign.aclose()


async def test_the_certificates_that_the_environment_names_are_trusted(
    message: Message, tls_receiver: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "mail.example.pem"))
    sender = hook(tls_receiver, scheme="https")
    await sender.send(message)
    await sender.aclose()


async def test_it_goes_through_the_proxy_of_the_environment(
    receiver: Receiver, message: Message, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{receiver.port}")
    sender = WebhookChannel(
        "automation", "http://receiver.example/in", [SECRET], timeout=timedelta(seconds=20)
    )
    await sender.send(message)  # nobody resolves the name
    await sender.aclose()
    assert receiver.headers[0]["host"] == "receiver.example"


@pytest.fixture
async def tls_receiver(anyio_backend: str, tls: ssl.SSLContext) -> AsyncIterator[int]:
    """A receiver with a certificate of its own."""
    app = web.Application()

    async def take(request: web.Request) -> web.Response:
        return web.Response(status=204)

    app.router.add_post("/{path:.*}", take)
    async with serving(app, tls=tls) as port:
        yield port


async def deliver(outbox: Any, sender: WebhookChannel, until: Callable[[], bool]) -> None:
    dispatcher = Dispatcher(
        outbox, [sender], QUICK, now=lambda: datetime.now(UTC), spread=lambda: 0
    )
    running = asyncio.create_task(dispatcher.run())
    await outbox.until(until)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


async def test_events_go_alone_and_in_the_order_of_their_organization(
    receiver: Receiver, channel: WebhookChannel, outbox: Any, light: Callable[..., Event]
) -> None:
    for n in range(24):
        outbox.add("automation", light(target=f"key-{n % 4}/a:images", scope=f"org-{n % 3}"))
    receiver.answers = [saying(500), saying(204), saying(503)] * 8
    await deliver(outbox, channel, lambda: set(outbox.states()) == {"delivered"})
    taken: dict[str, list[int]] = {}
    for body, headers in zip(receiver.bodies, receiver.headers, strict=True):
        data = Webhook(OLD).verify(body, headers)["data"]
        seen = taken.setdefault(f"org-{(data['id'] - 101) % 3}", [])
        if data["id"] not in seen:
            seen.append(data["id"])
    assert taken == {f"org-{n}": list(range(101 + n, 125, 3)) for n in range(3)}
    keys = {
        (id_, headers["webhook-id"])
        for id_, headers in zip(receiver.ids, receiver.headers, strict=True)
    }
    assert len(keys) == 24


async def test_a_receiver_that_is_gone_is_sent_nothing_until_somebody_asks(
    receiver: Receiver, channel: WebhookChannel, outbox: Any, light: Callable[..., Event]
) -> None:
    for n in range(6):
        outbox.add("automation", light(target=f"key-{n}/a:images", scope="org-acme"))
    receiver.answers = [saying(410)]
    dispatcher = Dispatcher(
        outbox, [channel], QUICK, now=lambda: datetime.now(UTC), spread=lambda: 0
    )
    running = asyncio.create_task(dispatcher.run())
    await outbox.until(lambda: outbox.states() == ["dead"] * 6)
    assert receiver.ids == [101]
    assert outbox.rows[1].error == "HTTP 410"
    assert "wants no message any more" in outbox.rows[2].error
    outbox.add("automation", light(scope="org-other"))
    dispatcher.wake()
    await outbox.until(lambda: outbox.states() == ["dead"] * 7)
    assert receiver.ids == [101]
    for row in list(outbox.rows.values()):  # as `alerts retry` makes them
        outbox.rows[row.id] = replace(row, state="pending")
    dispatcher.wake(from_start=True)
    await outbox.until(lambda: outbox.states() == ["delivered"] * 7)
    assert sorted(receiver.ids[1:]) == list(range(101, 108))
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
