"""A channel: one Apprise URL, and the delivery of messages to it.

Apprise is imported at the first use, in a thread: the import takes a fifth of a second and 18 MiB, which a
command that sends nothing should not pay for.
"""

import asyncio
import importlib
import logging
import queue
import threading
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from functools import cache
from types import ModuleType
from typing import Any

from monitor.alerts.bounds import (
    KEPT_S,
    TookTooLong,
    bound_answers,
    interrupt,
    kept_connections,
    of_thread,
)
from monitor.alerts.facts import clean
from monitor.alerts.fitting import MessageLimits, format_message, limits_of
from monitor.alerts.interfaces import REASON_CAP, DeliveryError, Sender
from monitor.alerts.render import Message
from monitor.alerts.url_secrets import hide, named_in

#: Indispensable lines that Apprise logs at DEBUG only: the mail server's refusal, the webhook's answer, the
#: socket's error. Its other DEBUG lines are URLs and payloads.
_TELLING = ("Socket Exception:", "Response Details:")

_loading = threading.Lock()

#: A service that asks for this many seconds or more between two messages gets one at a time.
_PACED = 0.2
#: Parallel messages for a service whose pace Apprise does not know, such as mail: servers limit connections.
_UNKNOWN_MOST = 2


class AppriseChannel(Sender):
    """One Apprise URL under a public name. The URL is a secret and is never shown.

    `timeout` bounds a delivery as a whole, and each wait for the network in it. Up to `parallel` messages are
    sent at once, each in a thread that keeps its service and its connection. `redact` is applied last to
    everything that is sent, and to every reason after the parts of the URL are hidden.
    """

    def __init__(
        self,
        name: str,
        url: str,
        *,
        timeout: timedelta,
        parallel: int = 8,
        redact: Callable[[str], str] = str,
    ):
        self.name = name
        self._url = url
        self._seconds = timeout.total_seconds()
        self._redact = redact
        self._secrets = named_in(url)
        self._most = parallel
        # one at a time until the service is known, and where it sets a pace
        self._message_limits: MessageLimits | None = None
        self._idle: list[_Sending] = []
        self._under_way = 0

    async def message_limits(self) -> MessageLimits:
        """The limits of the service, by Apprise's own figures. Uses no network."""
        if self._message_limits is None:
            self._message_limits = await asyncio.to_thread(self._measured)
        return self._message_limits

    def _measured(self) -> MessageLimits:
        apprise = _apprise()
        service = _service(apprise, self._url)
        if service is None:
            return MessageLimits()  # the attempt reports why
        pace = _pace(apprise, service)
        if pace is None:
            self.parallel = min(_UNKNOWN_MOST, self._most)
        elif pace < _PACED:
            self.parallel = self._most
        else:
            self.pace = pace
        return limits_of(apprise, service, self._redact)

    async def send(self, message: Message) -> None:
        """Deliver one message. Returns only when the service took it, else raises DeliveryError.

        Cancelling does not stop a send that has begun; a timeout interrupts it. It counts as one of the
        `parallel` sends until its thread ends it; a call beyond those fails at once.
        """
        if self._under_way >= self._most:
            raise DeliveryError("the attempts before this one have not come back yet")
        loop = asyncio.get_running_loop()
        done: asyncio.Future[str | None] = loop.create_future()
        ended = asyncio.Event()
        waits: list[float] = []

        def finish(failure: str | None) -> None:
            self._under_way -= 1
            if sending.usable:
                self._idle.append(sending)
            ended.set()
            if not done.done():
                done.set_result(failure)

        def report(failure: str | None) -> None:
            with suppress(RuntimeError):  # the loop is closed: nobody waits
                loop.call_soon_threadsafe(finish, failure)

        self._under_way += 1
        sending = self._begin(_Work(message, self._redact, waits, report))
        try:
            # Not `wait_for`: in Python 3.11 it loses a cancellation that arrives with the result.
            async with asyncio.timeout(self._seconds):
                failure = await done
        except TimeoutError:
            sending.interrupt()
            reason = f"no answer within {self._seconds:g} s"
            raise DeliveryError(reason, wait=sum(waits[-1:]), ended=ended) from None
        if failure is not None:
            raise DeliveryError(self._presentable(failure), wait=sum(waits[-1:]))

    def _begin(self, work: "_Work") -> "_Sending":
        """Deliver a message in an idle thread, or in a new one."""
        while self._idle:
            sending = self._idle.pop()
            if sending.begin(work):
                return sending
        sending = _Sending(self._url, self._seconds)
        sending.begin(work)
        return sending

    def _presentable(self, reason: str) -> str:
        # Hide known values first: the general redactor may split a secret that is known whole here.
        return clean(self._redact(hide(reason, self._secrets)), REASON_CAP)


@dataclass(frozen=True, slots=True)
class _Work:
    """One message for a thread.

    `waits` collects the seconds that the service asks to wait; `report` gets the failure, or None.
    """

    message: Message
    redact: Callable[[str], str]
    waits: list[float]
    report: Callable[[str | None], None]


class _Sending:
    """A thread that delivers messages one by one, with a service and a connection of its own.

    It ends when no message came for as long as an idle connection is kept.
    """

    def __init__(self, url: str, seconds: float) -> None:
        #: whether it takes another message
        self.usable = True
        self._url = url
        self._seconds = seconds
        #: the service and its sender
        self._prepared: tuple[Any, Any] | None = None
        self._ending = threading.Lock()
        self._work: queue.SimpleQueue[_Work] = queue.SimpleQueue()
        # A daemon thread: a hanging mail server must not delay the end of the process.
        self._thread = threading.Thread(target=self._serve, name="channel", daemon=True)
        self._thread.start()

    def begin(self, work: _Work) -> bool:
        """Deliver a message; False if the thread has ended."""
        with self._ending:
            if self.usable:
                self._work.put(work)
            return self.usable

    def interrupt(self) -> None:
        """End the delivery under way and the thread."""
        self.usable = False
        interrupt(self._thread)

    def _serve(self) -> None:
        with suppress(TookTooLong), kept_connections():
            while work := self._next():
                of_thread.waits = work.waits
                failure: str | None = "it took too long"
                try:
                    failure = self._deliver(work)
                except Exception as error:  # noqa: BLE001 - any exception of a plugin is a failed delivery
                    failure = f"{type(error).__name__}: {error}"
                finally:
                    work.report(failure)

    def _next(self) -> _Work | None:
        with suppress(queue.Empty):
            return self._work.get(timeout=KEPT_S) if self.usable else None
        with self._ending:  # `begin` adds no work after `usable` is False
            self.usable = not self._work.empty()
        return self._work.get() if self.usable else None

    def _deliver(self, work: _Work) -> str | None:
        """Send and block. Returns the failure, or None."""
        apprise = _apprise()
        self._prepared = self._prepared or self._prepare(apprise)
        if self._prepared is None:
            return "Apprise cannot load this URL"
        service, sender = self._prepared
        title, body, body_format = format_message(apprise, service, work.message, work.redact)
        result = sender.notify(
            body=body,
            title=title,
            notify_type=apprise.NotifyType(work.message.level),
            body_format=body_format,
            log_level=logging.DEBUG,
        )
        if result.status == apprise.AppriseResultStatus.SUCCESS:
            return None
        return _reason(result.logs()) or f"Apprise says {result.status.name.lower()}"

    def _prepare(self, apprise: ModuleType) -> tuple[Any, Any] | None:
        service = _service(apprise, self._url)
        if service is None:
            return None
        # For each wait; smtplib knows only the first. They exceed the deadline of the whole delivery, which
        # must end it: only that reports that the message may have been taken.
        service.socket_connect_timeout = service.socket_read_timeout = self._seconds + 1
        service.retry = 0  # the outbox retries
        service.optional = False  # else a failure would count as a success
        service.overflow_mode = apprise.OverflowMode.UPSTREAM  # messages already fit
        service.request_rate_per_sec = _pace(apprise, service) or 0.0
        sender = apprise.Apprise()
        sender.add(service)
        return service, sender


def check_url(url: str) -> str | None:
    """Why Apprise cannot use this URL, without showing it; None if it can. Sends nothing. Blocks."""
    schema, separator, _ = url.partition("://")
    if not separator or not schema.isascii() or not schema.isalnum():
        return (
            "it is not an Apprise URL: it must begin with a service, such as slack:// or mailtos://"
        )
    apprise = _apprise()
    if _service(apprise, url) is not None:
        return None
    known = {str(one).lower() for one in apprise.plugins.N_MGR.schemas()} | {"http", "https"}
    if schema.lower() in known:
        return f"Apprise knows {schema}:// but cannot use the rest: a part is missing or malformed"
    return f"Apprise knows no service {schema[:20]}://"


@cache
def _apprise() -> ModuleType:
    with _loading:  # `cache` alone may call it twice
        apprise = importlib.import_module("apprise")
        # Apprise logs a mistyped URL whole at ERROR, and everything at DEBUG. None of it reaches our log.
        # The reason of a failed delivery is read from the result, which holds it only at DEBUG, and redacted.
        logger = logging.getLogger("apprise")
        logger.propagate = False
        logger.setLevel(logging.DEBUG)
        # At DEBUG urllib3 logs the paths of webhooks.
        logging.getLogger("urllib3").setLevel(logging.INFO)
        bound_answers()
    return apprise


def _service(apprise: ModuleType, url: str) -> Any:
    asset = apprise.AppriseAsset(
        app_id="access-monitor",
        app_desc="access-monitor",
        async_mode=False,  # in this thread, not in Apprise's pool, which all channels share
        service_timeout=0,
        storage_mode="memory",
        image_url_mask="",  # no pictures from other hosts in the messages
        http_redirects=False,
    )
    # Not `add(url)`: it splits a text into several URLs.
    return apprise.Apprise.instantiate(url, asset=asset)


def _pace(apprise: ModuleType, service: Any) -> float | None:
    """Seconds that the service asks for between two messages; None if Apprise knows no pace.

    Apprise's default of 5.5 is a guess and is ignored; a wait that a refusal names is kept anyway.
    """
    guess = apprise.NotifyBase.request_rate_per_sec
    pace = float(service.request_rate_per_sec)
    return None if pace == guess else pace


def _reason(entries: Iterable[Any]) -> str:
    said = dict.fromkeys(
        entry.message
        for entry in entries
        if entry.level not in ("DEBUG", "INFO", "TRACE") or entry.message.startswith(_TELLING)
    )
    # The most specific line comes last in Apprise's log: put it first, so that the cap keeps it.
    return "; ".join(reversed(said))
