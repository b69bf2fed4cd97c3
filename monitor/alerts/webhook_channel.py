"""A channel that posts each event as JSON, signed as Standard Webhooks defines it."""

import asyncio
import os
import ssl
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from math import inf
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx

from monitor import __version__
from monitor.access.signatures import signatures, signing_key
from monitor.alerts.facts import clean
from monitor.alerts.interfaces import (
    ANSWER_CAP,
    KEPT_S,
    REASON_CAP,
    DeliveryError,
    Sender,
    requested_wait,
)
from monitor.alerts.render import Message
from monitor.alerts.url_secrets import hide, named_in
from monitor.alerts.webhook_event import body_of, trial_body, webhook_id

#: Bytes of an answer that a reason quotes.
_QUOTED = 200


class WebhookChannel(Sender):
    """One receiver under a public name. Its URL and the secrets are never shown.

    `secrets` have the form `whsec_…`; each signs every event, so that a receiver may know either of two.
    `timeout` bounds an attempt as a whole. Redirects are not followed, no cookie is kept, and of an answer
    at most `ANSWER_CAP` bytes are read. `redact` is applied last to every value that is sent.
    """

    separate = True

    def __init__(
        self,
        name: str,
        url: str,
        secrets: Sequence[str],
        *,
        timeout: timedelta,
        parallel: int = 8,
        redact: Callable[[Any], Any] = lambda value: value,
    ):
        self.name = name
        self.parallel = parallel
        self._url = url
        self._keys = [signing_key(secret) for secret in secrets]
        self._seconds = timeout.total_seconds()
        self._redact = redact
        self._hidden = named_in(url) | set(secrets)
        self._client: httpx.AsyncClient | None = None
        self._opening = asyncio.Lock()

    async def send(self, message: Message) -> None:
        """Post the one event of a message, or a test; returns when the receiver took it.

        Raises DeliveryError. After a timeout the attempt is at its end: its connection is closed.
        """
        if message.events:
            (event,) = message.events
            id_, body = webhook_id(event), body_of(event, self._redact)
        else:
            id_ = f"test_{uuid4().hex}"
            body = trial_body(self._redact(message.parts[0].lead), datetime.now(UTC))
        answer, failure = _Answer(), None
        try:
            async with asyncio.timeout(self._seconds):
                await self._post(id_, body, answer)
        except TimeoutError:
            ended = asyncio.Event()
            ended.set()
            failure = DeliveryError(f"no answer within {self._seconds:g} s", ended=ended)
        except (httpx.HTTPError, httpx.InvalidURL, ImportError, OSError, ValueError) as error:
            failure = DeliveryError(self._presentable(f"{type(error).__name__}: {error}"))
        if not answer.taken:
            raise failure or DeliveryError(self._presentable(answer.reason), wait=answer.wait)

    async def aclose(self) -> None:
        """Close the connections."""
        client, self._client = self._client, None
        if client is not None:
            await client.aclose()

    async def _post(self, id_: str, body: bytes, answer: "_Answer") -> None:
        # of the attempt, not of the event: a receiver refuses what is old
        now = int(time.time())
        headers = {
            "content-type": "application/json",
            "user-agent": f"access-monitor/{__version__}",
            "webhook-id": id_,
            "webhook-timestamp": str(now),
            "webhook-signature": signatures(self._keys, id_, now, body),
        }
        client = await self._opened()
        client.cookies.clear()
        request = httpx.Request("POST", self._url, headers=headers, content=body)
        response = await client.send(request, stream=True)
        try:
            answer.status = response.status_code
            if not answer.taken:
                answer.wait = inf if answer.status == 410 else requested_wait(response.headers)
            size = 0
            async for chunk in response.aiter_raw():
                size += len(chunk)
                answer.said += chunk[: max(_QUOTED - len(answer.said), 0)]
                if size >= ANSWER_CAP:
                    break
        finally:
            await response.aclose()  # closes the connection if there is more

    async def _opened(self) -> httpx.AsyncClient:
        async with self._opening:
            if self._client is None:
                self._client = httpx.AsyncClient(
                    # reading the certificates takes 50 ms, in which no probe could begin
                    verify=await asyncio.to_thread(_trusted),
                    timeout=None,  # noqa: S113 - the attempt is bounded as a whole
                    limits=httpx.Limits(max_connections=self.parallel, keepalive_expiry=KEPT_S),
                    follow_redirects=False,
                )
            return self._client

    def _presentable(self, reason: str) -> str:
        return clean(self._redact(hide(reason, self._hidden)), REASON_CAP)


@dataclass(slots=True)
class _Answer:
    """As much as is known of an answer."""

    status: int = 0
    #: seconds that the receiver asks to wait; infinity after 410 Gone
    wait: float = 0.0
    said: bytes = b""

    @property
    def taken(self) -> bool:
        """Whether the receiver took the event."""
        return 200 <= self.status < 300

    @property
    def reason(self) -> str:
        """Why not."""
        if 300 <= self.status < 400:
            return f"HTTP {self.status}: redirects are not followed; name the address they lead to"
        said = self.said.decode(errors="replace").strip()
        return f"HTTP {self.status}" + (f": {said}" if said else "")


def _trusted() -> ssl.SSLContext:
    """The certificates that Apprise's channels trust, too, where the environment names some."""
    for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        if named := os.environ.get(name):
            folder = Path(named).is_dir()
            try:
                return ssl.create_default_context(
                    cafile=None if folder else named, capath=named if folder else None
                )
            except OSError as error:
                reason = f"{name} names no certificates that can be read: {named} ({error})"
                raise OSError(reason) from None
    return httpx.create_ssl_context()
