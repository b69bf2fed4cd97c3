"""Whether a message fits a service: Apprise prepares it as for sending, and what comes out is counted."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from types import ModuleType
from typing import Any, Final

from monitor.alerts.messages import Message

#: Bytes of a message that an ntfy server takes; of a longer one it makes a file. Apprise counts to 7,800.
NTFY_BYTES: Final = 4096
#: Characters of a text in Slack's blocks; Apprise counts to 35,000 there, too.
SLACK_BLOCK: Final = 3000


#: Times that a text can grow at most: a quote that is escaped for HTML, a secret that `[hidden]` replaces.
_GROWTH: Final = 6 * 2

#: Characters of a headline with its id, at least.
_HEAD_LEAST: Final = 16


@dataclass(frozen=True, slots=True)
class FormattedMessage:
    """A message as it is handed to Apprise."""

    title: str
    body: str
    #: the format that makes Apprise leave the body as it is
    body_format: Any


def format_message(
    apprise: ModuleType, service: Any, message: Message, redact: Callable[[str], str]
) -> FormattedMessage:
    """The message in the form that a service takes; the redactor has the last word."""
    formats = apprise.NotifyFormat
    plugins = apprise.plugins.N_MGR
    if isinstance(service, plugins["slack"]):
        # Declared as Markdown it would be translated from CommonMark, where *x* is not bold;
        # undeclared it would be escaped again and its mentions revived. Ours is mrkdwn already.
        service.dialect_convert = lambda body, *_args, **_more: body
        body, body_format = message.slack, formats.MARKDOWN
    elif isinstance(service, plugins["mailtos"]):
        body, body_format = message.html, formats.HTML  # multipart, with a text alternative
    else:
        body, body_format = message.text, formats.TEXT
    title, most = redact(message.title), int(service.title_maxlen)
    if 0 < most < len(title):  # only where the redactor made it longer
        title = f"{title[: most - 1]}…"
    return FormattedMessage(title, redact(body), body_format)


class Measure:
    """Tells whether a service takes a message. The service is one for measuring alone: it sends nothing.

    Services count in characters, UTF-16 units or bytes, before or after they read the formatting. UTF-16
    units with the formatting are never fewer than what counts.
    """

    def __init__(self, apprise: ModuleType, service: Any, redact: Callable[[str], str]):
        self._apprise = apprise
        self._redact = redact
        self._service = service
        self._sent: list[tuple[str, str]] = []
        service.send = self._keep
        service.overflow_mode = apprise.OverflowMode.UPSTREAM
        plugins = apprise.plugins.N_MGR
        self._ntfy = isinstance(service, plugins["ntfy"])
        self._blocks = isinstance(service, plugins["slack"]) and service.use_blocks
        self._plain = not (self._ntfy or self._blocks)

    @property
    def title_most(self) -> int | None:
        """Characters of a title; None where it is a part of the body."""
        most = int(self._service.title_maxlen)
        return most if most > 0 else None

    @property
    def heads_most(self) -> int:
        """More headlines than fit."""
        return max(int(self._service.body_maxlen) // _HEAD_LEAST, 1)

    def takes(self, message: Message) -> bool:
        """Whether the service takes the message whole."""
        service = self._service
        lines = int(service.body_max_line_count)
        if self._plain and lines <= 0:
            # What is far below needs no preparing, whatever is hidden in it and added to it.
            bare = format_message(self._apprise, service, message, str)
            if _GROWTH * _units(bare.body + bare.title) < service.body_maxlen:
                return True
        formatted = format_message(self._apprise, service, message, self._redact)
        body = formatted.body.strip()
        # What is too long before Apprise adds to it needs none either.
        if _units(body) > service.body_maxlen or 0 < lines <= body.count("\n"):
            return False
        self._sent.clear()
        sender = self._apprise.Apprise()
        sender.add(service)
        sender.notify(body=body, title=formatted.title, body_format=formatted.body_format)
        return bool(self._sent) and all(self._fits(*one) for one in self._sent)

    def _keep(self, body: str = "", title: str = "", **_more: Any) -> bool:
        self._sent.append((title, body))
        return True

    def _fits(self, title: str, body: str) -> bool:
        service, size = self._service, _units(body)
        if self._ntfy:
            whole = json.dumps({"title": title, "message": body})
            # Longer than that, Apprise itself makes a file of it; a topic has 64 characters.
            most = service.ntfy_json_upstream_size_limit - 100
            return len(body.encode()) <= NTFY_BYTES and len(whole) <= most
        if self._blocks:
            return size <= SLACK_BLOCK
        if title and service.overflow_amalgamate_title:
            size += _units(title) + 2
        return bool(size <= service.body_maxlen)


def _units(text: str) -> int:
    return len(text.encode("utf-16-le", "surrogatepass")) // 2
