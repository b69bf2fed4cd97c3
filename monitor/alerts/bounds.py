"""Bounds for the libraries of Apprise, which read an answer of any length for any time.

Also reads from an answer how long the service asks to wait, which Apprise drops.
"""

import ctypes
import importlib
import re
import smtplib
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from monitor.access.diagnosis.answer import retry_after

#: Most bytes read of a service's answer. A webhook answers with a word or a sentence.
ANSWER_CAP = 256 * 1024

_CHUNK = 16 * 1024

#: Most lines read of a mail server's reply. The longest, to EHLO, has about twenty.
REPLY_LINES = 200


#: Longest wait that is granted to a service, in seconds: a wait of a day would lose messages.
WAIT_MOST = 3600.0

#: The wait as Telegram and Discord give it.
_IN_BODY = re.compile(rb'"retry_after"\s*:\s*(\d{1,9}(?:\.\d{1,9})?)')


#: Seconds for which an idle connection is kept: services close theirs after five or more.
KEPT_S = 3.0


class _OfThread(threading.local):
    #: collects the seconds that services ask this thread to wait
    waits: list[float] | None = None
    #: its connections, while they are kept
    session: Any = None


of_thread = _OfThread()


class TookTooLong(SystemExit):
    """Raised in a thread from outside. A `SystemExit`: plugins do not catch it, and it ends the thread."""


def interrupt(thread: threading.Thread) -> None:
    """End a thread's work as soon as it executes Python again, as it does with each byte that arrives.

    A thread that receives nothing is ended by the timeout of its socket.
    """
    if thread.ident is not None and thread.is_alive():
        ctypes.pythonapi.PyThreadState_SetAsyncExc(
            ctypes.c_ulong(thread.ident), ctypes.py_object(TookTooLong)
        )


def bound_answers() -> None:
    """Let requests read at most `ANSWER_CAP` bytes of an answer, and smtplib `REPLY_LINES` lines of a reply.

    By default they read to the end, into memory. In this program only Apprise uses them. Idempotent.
    """
    adapter: Any = importlib.import_module("requests.adapters").HTTPAdapter
    original = adapter.send
    if getattr(original, "bounded", False):
        return
    _bound_replies()

    def send(self: Any, request: Any, stream: bool = False, **more: Any) -> Any:  # noqa: FBT001, FBT002
        response = original(self, request, stream=stream, **more)
        if not stream:
            response._content = _read(response)  # noqa: SLF001 - what `content` returns from here on
        if of_thread.waits is not None and response.status_code in (429, 503):
            headers = {str(name).lower(): str(value) for name, value in response.headers.items()}
            of_thread.waits.append(requested_wait(headers, response._content or b""))  # noqa: SLF001
        return response

    send.bounded = True  # type: ignore[attr-defined]
    adapter.send = send
    _keep_connections()


@contextmanager
def kept_connections() -> Iterator[None]:
    """Let the requests of this thread share connections; `requests` alone opens one for each."""
    with importlib.import_module("requests").Session() as session:
        of_thread.session = session
        try:
            yield
        finally:
            of_thread.session = None


def _keep_connections() -> None:
    requests: Any = importlib.import_module("requests")
    api: Any = importlib.import_module("requests.api")
    original = api.request

    def request(method: str, url: str, **more: Any) -> Any:
        session = of_thread.session
        if session is None:
            return original(method, url, **more)
        session.cookies.clear()
        return session.request(method=method, url=url, **more)

    requests.request = api.request = request


def _bound_replies() -> None:
    client: Any = smtplib.SMTP
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
        """One line, of at most `size` bytes. Raises OSError when the reply has too many lines."""
        self.left -= 1
        if self.left < 0:
            raise OSError("the reply does not end")  # smtplib takes it for a broken connection
        return self._readline(size)  # type: ignore[no-any-return]


def _read(response: Any) -> bytes:
    body = bytearray()
    for chunk in response.iter_content(_CHUNK):
        body += chunk
        if len(body) >= ANSWER_CAP:
            response.close()  # the rest stays unread, so the connection cannot be reused
            break
    return bytes(body[:ANSWER_CAP])


def requested_wait(headers: Mapping[str, str], body: bytes = b"") -> float:
    """Seconds that an answer asks to wait, at most `WAIT_MOST`; 0 if it asks for none."""
    said = retry_after(headers, ())
    if said is None and (found := _IN_BODY.search(body)):
        said = float(found[1])
    return min(said or 0.0, WAIT_MOST)
