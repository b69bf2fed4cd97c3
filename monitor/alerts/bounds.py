"""Bounds for Apprise's libraries: they read whatever a service sends, and for as long as it sends."""

import ctypes
import importlib
import threading
from typing import Any

#: Bytes of a service's answer that are read. A webhook answers with a word, or with a sentence.
ANSWER_CAP = 256 * 1024

_CHUNK = 16 * 1024


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
    """Have requests, which Apprise alone uses here, read `ANSWER_CAP` bytes of an answer at most.

    By default it reads the body to its end, into memory. Calling it again changes nothing.
    """
    adapter: Any = importlib.import_module("requests.adapters").HTTPAdapter
    original = adapter.send
    if getattr(original, "bounded", False):
        return

    def send(self: Any, request: Any, stream: bool = False, **more: Any) -> Any:  # noqa: FBT001, FBT002
        response = original(self, request, stream=stream, **more)
        if not stream:
            response._content = _read(response)  # noqa: SLF001 - what `content` returns from here on
        return response

    send.bounded = True  # type: ignore[attr-defined]
    adapter.send = send


def _read(response: Any) -> bytes:
    body = bytearray()
    for chunk in response.iter_content(_CHUNK):
        body += chunk
        if len(body) >= ANSWER_CAP:
            response.close()  # the rest is not wanted, and the connection is of no more use
            break
    return bytes(body[:ANSWER_CAP])
