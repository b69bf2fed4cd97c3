"""A channel: one Apprise URL, and the delivery of messages to it in threads.

`apprise_service` is imported at the first use, in a thread: what sends nothing should not pay for it.
"""

import asyncio
import ctypes
import queue
import threading
from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from datetime import timedelta

from monitor.alerts.facts import clean
from monitor.alerts.interfaces import KEPT_S, REASON_CAP, DeliveryError, Sender
from monitor.alerts.messages import MessageLimits
from monitor.alerts.render import Message
from monitor.alerts.url_secrets import hide, named_in

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
        from monitor.alerts import apprise_service

        service = apprise_service.service_of(self._url)
        if service is None:
            return MessageLimits()  # the attempt reports why
        pace = apprise_service.pace_of(service)
        if pace is None:
            self.parallel = min(_UNKNOWN_MOST, self._most)
        elif pace < _PACED:
            self.parallel = self._most
        else:
            self.pace = pace
        return apprise_service.limits_of(service, self._redact)

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


class TookTooLong(SystemExit):
    """Raised in a thread from outside. A `SystemExit`: plugins do not catch it, and it ends the thread."""


class _Sending:
    """A thread that delivers messages one by one, with a service and a connection of its own.

    It ends when no message came for as long as an idle connection is kept.
    """

    def __init__(self, url: str, seconds: float) -> None:
        #: whether it takes another message
        self.usable = True
        self._url = url
        self._seconds = seconds
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
        """End the delivery under way and the thread, as soon as it executes Python again.

        It does so with each byte that arrives. Where nothing arrives the timeout of its socket ends it.
        """
        self.usable = False
        if self._thread.ident is not None and self._thread.is_alive():
            ctypes.pythonapi.PyThreadState_SetAsyncExc(
                ctypes.c_ulong(self._thread.ident), ctypes.py_object(TookTooLong)
            )

    def _serve(self) -> None:
        with ExitStack() as closing, suppress(TookTooLong):
            service = None
            while work := self._next():
                failure: str | None = "it took too long"
                try:
                    from monitor.alerts.apprise_service import Service

                    if service is None:
                        service = Service(self._url, self._seconds)
                        closing.callback(service.close)
                    failure = service.deliver(work.message, work.redact, work.waits)
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


def check_url(url: str) -> str | None:
    """Why Apprise cannot use this URL, without showing it; None if it can. Sends nothing. Blocks."""
    schema, separator, _ = url.partition("://")
    if not separator or not schema.isascii() or not schema.isalnum():
        return (
            "it is not an Apprise URL: it must begin with a service, such as slack:// or mailtos://"
        )
    from monitor.alerts import apprise_service

    if apprise_service.service_of(url) is not None:
        return None
    if apprise_service.knows(schema.lower()):
        return f"Apprise knows {schema}:// but cannot use the rest: a part is missing or malformed"
    return f"Apprise knows no service {schema[:20]}://"
