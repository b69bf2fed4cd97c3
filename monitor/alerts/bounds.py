"""Bounds for Apprise's libraries: they read whatever a service sends, and for as long as it sends.

What Apprise drops of an answer is read here too: how long the service asks to wait.
"""

import ctypes
import importlib
import re
import smtplib
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from monitor.access.diagnosis.retry_after import retry_after

#: Bytes of a service's answer that are read. A webhook answers with a word, or with a sentence.
ANSWER_CAP = 256 * 1024

_CHUNK = 16 * 1024

#: Lines of a mail server's reply; the longest, to EHLO, has about twenty.
REPLY_LINES = 200


#: A service that asks for more is asked again after this many seconds: a day would lose what is told.
WAIT_MOST = 3600.0

#: As Telegram and Discord say it.
_IN_BODY = re.compile(rb'"retry_after"\s*:\s*(\d{1,9}(?:\.\d{1,9})?)')


#: Seconds for which an idle connection is kept: services close theirs after five and more.
KEPT_S = 3.0

_kept = threading.local()


class RequestedWaits(threading.local):
    """Where a thread wants to have noted how many seconds a service asks it to wait."""

    noted: list[float] | None = None


requested_waits = RequestedWaits()


class TookTooLong(SystemExit):
    """Raised in a thread from outside. A `SystemExit`, for nobody catches that and a thread ends with it."""


def interrupt(thread: threading.Thread) -> None:
    """End what a thread does, as soon as it executes Python again: with each byte that drips in.

    A thread in which nothing comes in is ended by its socket's own timeout.
    """
    if thread.ident is not None and thread.is_alive():
        ctypes.pythonapi.PyThreadState_SetAsyncExc(
            ctypes.c_ulong(thread.ident), ctypes.py_object(TookTooLong)
        )


def bound_answers() -> None:
    """Have requests read `ANSWER_CAP` bytes of an answer at most, and smtplib `REPLY_LINES` of a reply.

    By default they read to the end, into memory. Apprise alone uses them here. Calling it again changes
    nothing.
    """
    adapter: Any = importlib.import_module("requests.adapters").HTTPAdapter
    original = adapter.send
    if getattr(original, "bounded", False):
        return
    _bound_replies(smtplib.SMTP)

    def send(self: Any, request: Any, stream: bool = False, **more: Any) -> Any:  # noqa: FBT001, FBT002
        response = original(self, request, stream=stream, **more)
        if not stream:
            response._content = _read(response)  # noqa: SLF001 - what `content` returns from here on
        if requested_waits.noted is not None and response.status_code in (429, 503):
            requested_waits.noted.append(_requested_wait(response))
        return response

    send.bounded = True  # type: ignore[attr-defined]
    adapter.send = send
    _keep_connections()


@contextmanager
def kept_connections() -> Iterator[None]:
    """Within it the requests of this thread share their connections; `requests` makes one for each."""
    session = importlib.import_module("requests").Session()
    _kept.session = session
    try:
        yield
    finally:
        del _kept.session
        session.close()


def _keep_connections() -> None:
    requests: Any = importlib.import_module("requests")
    api: Any = importlib.import_module("requests.api")
    original = api.request

    def request(method: str, url: str, **more: Any) -> Any:
        session = getattr(_kept, "session", None)
        if session is None:
            return original(method, url, **more)
        session.cookies.clear()
        return session.request(method=method, url=url, **more)

    requests.request = api.request = request


def _bound_replies(client: Any) -> None:
    original = client.getreply

    def getreply(self: Any) -> Any:
        if self.file is None:
            self.file = _Lines(self.sock.makefile("rb"))
        self.file.left = REPLY_LINES
        return original(self)

    client.getreply = getreply


class _Lines:
    """The lines of one reply, as smtplib reads them."""

    def __init__(self, file: Any) -> None:
        self.left = REPLY_LINES
        self.close = file.close
        self._readline = file.readline

    def readline(self, size: int) -> bytes:
        """One line, of so many bytes at most."""
        self.left -= 1
        if self.left < 0:
            raise OSError(
                "the reply does not end"
            )  # what smtplib takes for a connection that broke
        return self._readline(size)  # type: ignore[no-any-return]


def _read(response: Any) -> bytes:
    body = bytearray()
    for chunk in response.iter_content(_CHUNK):
        body += chunk
        if len(body) >= ANSWER_CAP:
            response.close()  # the rest is not wanted, and the connection is of no more use
            break
    return bytes(body[:ANSWER_CAP])


def _requested_wait(response: Any) -> float:
    """Seconds that an answer asks to wait, within the bound; 0 when it does not say."""
    headers = {str(name).lower(): str(value) for name, value in response.headers.items()}
    said = retry_after(headers, ())
    if said is None and (found := _IN_BODY.search(response._content or b"")):  # noqa: SLF001
        said = float(found[1])
    return min(said or 0.0, WAIT_MOST)
