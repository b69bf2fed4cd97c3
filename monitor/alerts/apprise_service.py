"""Services of Apprise: made from a URL, measured, sent to, and bounded.

Whoever imports this module loads Apprise: a fifth of a second and 18 MiB. Its libraries read an answer of any
length, open a connection for each message, and drop what a service says of how long to wait: at the end of
this module they are changed. In this program only Apprise uses them.
"""

import json
import logging
import smtplib
import threading
from collections.abc import Callable, Hashable, Iterable
from typing import Any

import apprise
import requests

from monitor.alerts.interfaces import ANSWER_CAP, requested_wait
from monitor.alerts.messages import MessageLimits
from monitor.alerts.render import Message

Redact = Callable[[str], str]

_PLUGINS: Any = apprise.plugins.N_MGR

#: Indispensable lines that Apprise logs at DEBUG only: the mail server's refusal, the webhook's answer, the
#: socket's error. Its other DEBUG lines are URLs and payloads.
_TELLING = ("Socket Exception:", "Response Details:")

#: Most bytes of an ntfy message; the server turns a longer one into a file. Apprise's limit is 7,800.
NTFY_BYTES = 4096
#: Most characters of a text in a Slack block; Apprise's limit is 35,000 there too.
SLACK_BLOCK = 3000

#: The most that a text can grow, as a factor: a quote escaped for HTML, a secret replaced by `[hidden]`.
_GROWTH = 6 * 2

#: Fewest characters of a headline with its id.
_HEAD_LEAST = 16

_CHUNK = 16 * 1024

#: Most lines read of a mail server's reply. The longest, to EHLO, has about twenty.
REPLY_LINES = 200


class Service:
    """A service to send to, with connections of its own: `requests` alone opens one for each message.

    All of it happens in one thread.
    """

    def __init__(self, url: str, seconds: float) -> None:
        self._session = requests.Session()
        self._service = service = service_of(url)
        if service is None:
            return
        # For each wait; smtplib knows only the first. They exceed the deadline of the whole delivery, which
        # must end it: only that reports that the message may have been taken.
        service.socket_connect_timeout = service.socket_read_timeout = seconds + 1
        service.retry = 0  # the outbox retries
        service.optional = False  # else a failure would count as a success
        service.overflow_mode = apprise.OverflowMode.UPSTREAM  # messages already fit
        service.request_rate_per_sec = pace_of(service) or 0.0
        service.is_delivered, service.mark_delivered = _is_delivered, _mark_delivered
        self._sender = apprise.Apprise()
        self._sender.add(service)

    def deliver(self, message: Message, redact: Redact, waits: list[float]) -> str | None:
        """Send and block. Returns the failure, or None; `waits` collects the seconds it is asked to wait.

        Recipients that took the message are noted in it; those that took it before are not sent it again.
        """
        if self._service is None:
            return "Apprise cannot load this URL"
        _of_thread.session, _of_thread.waits = self._session, waits
        _of_thread.taken = message.taken
        title, body, body_format = _formatted(self._service, message, redact)
        result = self._sender.notify(
            body=body,
            title=title,
            notify_type=apprise.NotifyType(message.level),
            body_format=body_format,
            log_level=logging.DEBUG,
        )
        if result.status == apprise.AppriseResultStatus.SUCCESS:
            return None
        return _reason(result.logs()) or f"Apprise says {result.status.name.lower()}"

    def close(self) -> None:
        """Close the connections."""
        self._session.close()


def service_of(url: str) -> Any:
    """An object that sends to this URL; None if Apprise cannot use it."""
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


def knows(schema: str) -> bool:
    """Whether a URL of a service may begin with this."""
    return schema in ("http", "https") or schema in {str(one).lower() for one in _PLUGINS.schemas()}


def pace_of(service: Any) -> float | None:
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


def _formatted(service: Any, message: Message, redact: Redact) -> tuple[str, str, Any]:
    """Title and body for a service, and the format with which Apprise leaves the body unchanged.

    `redact` is applied last.
    """
    formats = apprise.NotifyFormat
    if isinstance(service, _PLUGINS["slack"]):
        # Our body is mrkdwn already. Apprise would translate declared Markdown from CommonMark, where *x*
        # is not bold; it would escape an undeclared body again and restore its mentions.
        service.dialect_convert = lambda body, *_args, **_more: body
        body, body_format = message.slack, formats.MARKDOWN
    elif isinstance(service, _PLUGINS["mailtos"]):
        body, body_format = message.html, formats.HTML  # multipart, with a text alternative
    else:
        body, body_format = message.text, formats.TEXT
    title, most = redact(message.title), int(service.title_maxlen)
    if 0 < most < len(title):  # only where the redactor made it longer
        title = f"{title[: most - 1]}…"
    return title, redact(body), body_format


def limits_of(service: Any, redact: Redact) -> MessageLimits:
    """The limits of a service, by Apprise's own figures. The service object serves no other use then."""
    most = int(service.title_maxlen)  # not above 0 where the title is a part of the body
    return MessageLimits(
        _Measure(service, redact).takes,
        title=most if most > 0 else None,
        heads=max(int(service.body_maxlen) // _HEAD_LEAST, 1),
    )


class _Measure:
    """Tells whether a service takes a message: Apprise prepares it as if to send it.

    The service object is for measuring only and sends nothing.

    Services count characters, UTF-16 units or bytes, with or without the formatting. The number of UTF-16
    units with the formatting is never below theirs.
    """

    def __init__(self, service: Any, redact: Redact):
        self._redact = redact
        self._service = service
        self._sent: list[tuple[str, str]] = []
        service.send = self._keep
        service.overflow_mode = apprise.OverflowMode.UPSTREAM
        self._ntfy = isinstance(service, _PLUGINS["ntfy"])
        self._blocks = isinstance(service, _PLUGINS["slack"]) and service.use_blocks
        self._plain = not (self._ntfy or self._blocks)

    def takes(self, message: Message) -> bool:
        """Whether the service takes the message whole."""
        service = self._service
        lines = int(service.body_max_line_count)
        if self._plain and lines <= 0:
            # A message far below the limit fits, whatever redaction and escaping add: do not prepare it.
            title, body, _ = _formatted(service, message, str)
            if _GROWTH * _units(body + title) < service.body_maxlen:
                return True
        title, body, body_format = _formatted(service, message, self._redact)
        body = body.strip()
        # A message that is too long before Apprise adds to it does not fit: do not prepare it either.
        if _units(body) > service.body_maxlen or 0 < lines <= body.count("\n"):
            return False
        self._sent.clear()
        sender = apprise.Apprise()
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


class _OfThread(threading.local):
    #: collects the seconds that services ask this thread to wait
    waits: list[float] | None = None
    #: its connections
    session: requests.Session | None = None
    #: the recipients that took its message
    taken: set[Hashable] | None = None


_of_thread = _OfThread()


# Apprise asks its services for each recipient whether it took the message. Its own memory lasts for one call.
def _is_delivered(key: object, per_message: bool = False) -> bool:  # noqa: FBT001, FBT002
    return not per_message and repr(key) in (_of_thread.taken or ())


def _mark_delivered(key: object, per_message: bool = False) -> None:  # noqa: FBT001, FBT002
    if _of_thread.taken is not None and not per_message:  # else it is no recipient
        _of_thread.taken.add(repr(key))


def _bound_answers() -> None:
    """Let requests read at most `ANSWER_CAP` bytes of an answer, and note what it says of a wait."""
    adapter: Any = requests.adapters.HTTPAdapter
    original = adapter.send

    def send(self: Any, request: Any, stream: bool = False, **more: Any) -> Any:  # noqa: FBT001, FBT002
        response = original(self, request, stream=stream, **more)
        if not stream:
            response._content = _read(response)  # noqa: SLF001 - what `content` returns from here on
        if _of_thread.waits is not None and response.status_code in (429, 503):
            headers = {str(name).lower(): str(value) for name, value in response.headers.items()}
            _of_thread.waits.append(requested_wait(headers, response._content or b""))  # noqa: SLF001
        return response

    adapter.send = send


def _read(response: Any) -> bytes:
    body = bytearray()
    for chunk in response.iter_content(_CHUNK):
        body += chunk
        if len(body) >= ANSWER_CAP:
            response.close()  # the rest stays unread, so the connection cannot be reused
            break
    return bytes(body[:ANSWER_CAP])


def _keep_connections() -> None:
    library: Any = requests
    original = library.request

    def request(method: str, url: str, **more: Any) -> Any:
        session = _of_thread.session
        if session is None:
            return original(method, url, **more)
        session.cookies.clear()
        return session.request(method=method, url=url, **more)

    library.request = library.api.request = request


def _remember_addresses() -> None:
    """Let smtplib send a mail to those of its addresses only that did not take it: a copy is one, too."""
    client: Any = smtplib.SMTP
    original = client.sendmail

    def sendmail(self: Any, sender: str, to: Any, *mail: Any, **more: Any) -> Any:
        taken = _of_thread.taken
        if taken is None or isinstance(to, str):
            return original(self, sender, to, *mail, **more)
        mine = {address: (frozenset(to), address) for address in to}
        left = [address for address, key in mine.items() if key not in taken]
        refused = original(self, sender, left, *mail, **more) if left else {}
        taken.update(mine[address] for address in left if address not in refused)
        return refused

    client.sendmail = sendmail


def _bound_replies() -> None:
    """Let smtplib read at most `REPLY_LINES` lines of a reply."""
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


# Apprise logs a mistyped URL whole at ERROR, and everything at DEBUG. None of it reaches our log. The reason
# of a failed delivery is read from the result, which holds it only at DEBUG, and redacted.
logging.getLogger("apprise").propagate = False
logging.getLogger("apprise").setLevel(logging.DEBUG)
# At DEBUG urllib3 logs the paths of webhooks.
logging.getLogger("urllib3").setLevel(logging.INFO)
_bound_answers()
_keep_connections()
_bound_replies()
_remember_addresses()
