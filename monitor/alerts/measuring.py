"""Whether a message fits a service: Apprise prepares it as if to send it, and the output is measured."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from types import ModuleType
from typing import Any, Final

from monitor.alerts.messages import Message

#: Most bytes of an ntfy message; the server turns a longer one into a file. Apprise's limit is 7,800.
NTFY_BYTES: Final = 4096
#: Most characters of a text in a Slack block; Apprise's limit is 35,000 there too.
SLACK_BLOCK: Final = 3000


#: The most that a text can grow, as a factor: a quote escaped for HTML, a secret replaced by `[hidden]`.
_GROWTH: Final = 6 * 2

#: Fewest characters of a headline with its id.
_HEAD_LEAST: Final = 16


@dataclass(frozen=True, slots=True)
class FormattedMessage:
    """A message as Apprise gets it."""

    title: str
    body: str
    #: the format with which Apprise leaves the body unchanged
    body_format: Any


def format_message(
    apprise: ModuleType, service: Any, message: Message, redact: Callable[[str], str]
) -> FormattedMessage:
    """The message in the format of a service; `redact` is applied last."""
    formats = apprise.NotifyFormat
    plugins = apprise.plugins.N_MGR
    if isinstance(service, plugins["slack"]):
        # Our body is mrkdwn already. Apprise would translate declared Markdown from CommonMark, where *x*
        # is not bold; it would escape an undeclared body again and restore its mentions.
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
    """Tells whether a service takes a message. Its service object is for measuring only and sends nothing.

    Services count characters, UTF-16 units or bytes, with or without the formatting. The number of UTF-16
    units with the formatting is never below theirs.
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
        """Most characters of a title; None where the title is a part of the body."""
        most = int(self._service.title_maxlen)
        return most if most > 0 else None

    @property
    def heads_most(self) -> int:
        """An upper bound of the headlines that fit."""
        return max(int(self._service.body_maxlen) // _HEAD_LEAST, 1)

    def takes(self, message: Message) -> bool:
        """Whether the service takes the message whole."""
        service = self._service
        lines = int(service.body_max_line_count)
        if self._plain and lines <= 0:
            # A message far below the limit fits, whatever redaction and escaping add: do not prepare it.
            bare = format_message(self._apprise, service, message, str)
            if _GROWTH * _units(bare.body + bare.title) < service.body_maxlen:
                return True
        formatted = format_message(self._apprise, service, message, self._redact)
        body = formatted.body.strip()
        # A message that is too long before Apprise adds to it does not fit: do not prepare it either.
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
            # Apprise turns a longer one into a file; 100 leaves room for the topic of up to 64 characters.
            most = service.ntfy_json_upstream_size_limit - 100
            return len(body.encode()) <= NTFY_BYTES and len(whole) <= most
        if self._blocks:
            return size <= SLACK_BLOCK
        if title and service.overflow_amalgamate_title:
            size += _units(title) + 2
        return bool(size <= service.body_maxlen)


def _units(text: str) -> int:
    return len(text.encode("utf-16-le", "surrogatepass")) // 2
