"""Which events and details one message holds, and whether a service takes it.

To measure a message, Apprise prepares it as if to send it. Nothing is sent.
"""

import json
import sys
from bisect import bisect_left
from collections.abc import Callable
from dataclasses import dataclass, replace
from math import ceil
from types import ModuleType
from typing import Any

from monitor.alerts.messages import Detail, Draft
from monitor.alerts.render import Message


@dataclass(frozen=True, slots=True)
class MessageLimits:
    """The limits of a channel's messages. By default every message fits.

    `takes` tells whether a message fits, measured as it is sent. `title` is the most characters of a title,
    where titles have a limit of their own. `heads` is an upper bound of the headlines that fit.
    """

    takes: Callable[[Message], bool] = lambda _: True
    title: int | None = None
    heads: int = sys.maxsize


#: Most events in one message, even where a service takes more.
TOGETHER_MOST = 1_000

#: What a message leaves out, in this order: the evidence, what to do, the facts, what it means.
_EVIDENCE = ("evidence",)
_STEPS = (*_EVIDENCE, "steps")
_FACTS = (*_STEPS, "rows", "closing", "link")
_LEAD = (*_FACTS, "lead")

#: Details of a grouped message, tried in this order after `_BARE` has given the number of events. Each
#: names every event.
_GROUP = (
    Detail(),
    Detail(_EVIDENCE),
    Detail(_EVIDENCE, full=5),
    Detail(_EVIDENCE, full=1),
    Detail(_FACTS, full=1),
)
_BARE = Detail(full=0)
#: Details of a message of one event. An SMS holds a headline at most, and not always a whole one.
_ONE = (
    *(Detail(without) for without in ((), _EVIDENCE, _STEPS, _FACTS, _LEAD)),
    Detail(_FACTS, less=False),
    *(Detail(_LEAD, title=most, less=False) for most in (120, 60, 30)),
)


def first_of(draft: Draft, limits: MessageLimits) -> tuple[int, Message]:
    """How many of the first events of a draft share a message that fits, and the message.

    The number is chosen so that the draft needs as few messages as possible, about equally long; then each
    gets as much detail as fits. If not even the barest message of one event fits, it is returned all the
    same: the service decides.
    """

    def made(number: int, detail: Detail) -> Message:
        if limits.title is not None:
            detail = replace(detail, title=min(detail.title, limits.title))
        return draft.message(detail, number)

    def too_many(number: int) -> bool:
        return not limits.takes(made(number, _BARE))

    most = min(len(draft), limits.heads, TOGETHER_MOST)
    if most > 1 and too_many(most):
        most = 1 + bisect_left(range(2, most), True, key=too_many)
    number = ceil(len(draft) / ceil(len(draft) / most))
    ladder = (made(number, detail) for detail in (_GROUP if number > 1 else _ONE))
    found = next((message for message in ladder if limits.takes(message)), None)
    return number, found or made(number, _BARE if number > 1 else _ONE[-1])


#: Most bytes of an ntfy message; the server turns a longer one into a file. Apprise's limit is 7,800.
NTFY_BYTES = 4096
#: Most characters of a text in a Slack block; Apprise's limit is 35,000 there too.
SLACK_BLOCK = 3000

#: The most that a text can grow, as a factor: a quote escaped for HTML, a secret replaced by `[hidden]`.
_GROWTH = 6 * 2

#: Fewest characters of a headline with its id.
_HEAD_LEAST = 16


def format_message(
    apprise: ModuleType, service: Any, message: Message, redact: Callable[[str], str]
) -> tuple[str, str, Any]:
    """Title and body for a service, and the format with which Apprise leaves the body unchanged.

    `redact` is applied last.
    """
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
    return title, redact(body), body_format


def limits_of(apprise: ModuleType, service: Any, redact: Callable[[str], str]) -> MessageLimits:
    """The limits of a service, by Apprise's own figures. The service object serves no other use then."""
    most = int(service.title_maxlen)  # not above 0 where the title is a part of the body
    return MessageLimits(
        _Measure(apprise, service, redact).takes,
        title=most if most > 0 else None,
        heads=max(int(service.body_maxlen) // _HEAD_LEAST, 1),
    )


class _Measure:
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

    def takes(self, message: Message) -> bool:
        """Whether the service takes the message whole."""
        service = self._service
        lines = int(service.body_max_line_count)
        if self._plain and lines <= 0:
            # A message far below the limit fits, whatever redaction and escaping add: do not prepare it.
            title, body, _ = format_message(self._apprise, service, message, str)
            if _GROWTH * _units(body + title) < service.body_maxlen:
                return True
        title, body, body_format = format_message(self._apprise, service, message, self._redact)
        body = body.strip()
        # A message that is too long before Apprise adds to it does not fit: do not prepare it either.
        if _units(body) > service.body_maxlen or 0 < lines <= body.count("\n"):
            return False
        self._sent.clear()
        sender = self._apprise.Apprise()
        sender.add(service)
        sender.notify(body=body, title=title, body_format=body_format)
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
