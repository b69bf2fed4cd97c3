"""What a pasted text states besides the server's words: a status, a path, or that no answer came."""

import re
from typing import Final

from monitor.access.observation import Failure
from monitor.access.words import Surface

#: Characters in which a status is looked for.
STATED_CAP: Final = 16_000

_REASONS = (
    "Bad Request|Unauthorized|Payment Required|Forbidden|Not Found|Method Not Allowed|"
    "Request Entity Too Large|Unprocessable|Too Many Requests|Internal Server Error|Bad Gateway|"
    "Service Unavailable|Service Temporarily|Gateway Time"
)
_SAID = "returns|returned|gives|gave|got|received|failed|failure|answered|responded|code|error"
# How people and programs write a status, the plainest first. Every repetition is bounded.
_STATUSES: Final = tuple(
    re.compile(pattern, re.IGNORECASE | re.MULTILINE)
    for pattern in (
        r"\berror code:? {0,3}([1-5]\d\d)\b",
        r"\bHTTP/\d(?:\.\d)?[\"']?[ :]{1,2}([1-5]\d\d)\b",
        r"\bhttp(?:[ _-]?(?:status|error|code|response)){0,2}[\"']?[ :=]{1,3}[\"'(]?([1-5]\d\d)\b",
        r"\bstatus(?:[ _-]?code)?\\{0,3}[\"']?[ :=>]{1,4}\\{0,3}[\"'(]?([1-5]\d\d)\b",
        r"[\"']code[\"'] {0,2}: {0,2}[\"']?([45]\d\d)\b",
        r"\b\w{1,60}(?:Error|Exception)[:(] {0,2}(?:Error )?[\[(]?([45]\d\d)\b",
        rf"\b(?:{_SAID})(?: with)?(?: an?)?[ :=]{{1,3}}([45]\d\d)\b",
        rf"(?:^|[\s\[(:>])([45]\d\d)[\])]? (?:{_REASONS})",
        r"(?:^|\s)[\[(]([45]\d\d)[\])]",
        r"\A\W{0,3}([45]\d\d)[ :]",
        r"\n([45]\d\d)\Z",
    )
)
# The official clients name the status by the exception's class.
_EXCEPTIONS: Final = {
    "BadRequestError": 400,
    "AuthenticationError": 401,
    "PermissionDeniedError": 403,
    "NotFoundError": 404,
    "UnprocessableEntityError": 422,
    "RateLimitError": 429,
    "InternalServerError": 500,
}
_EXCEPTION = re.compile(rf"\b({'|'.join(_EXCEPTIONS)})\b")

# In the words of curl, of Python's and Node's clients, and of the resolver; the first that is found counts.
_FAILURES: Final[tuple[tuple[Failure, tuple[str, ...]], ...]] = (
    (
        Failure.NAME_RESOLUTION,
        (
            "could not resolve host",
            "couldn't resolve host",
            "name or service not known",
            "nodename nor servname",
            "name resolution",
            "getaddrinfo",
            "enotfound",
            "no such host",
        ),
    ),
    (Failure.PROXY, ("proxyerror", "proxy connect aborted", "from proxy after connect")),
    (
        Failure.TLS,
        (
            "certificate verify failed",
            "certificate_verify_failed",
            "certificate has expired",
            "self-signed certificate",
            "self signed certificate",
            "certificate problem",
            "tls handshake",
            "ssl handshake",
            "sslerror",
            "ssl_connect",
            "sslv3_alert",
            "unknown_ca",
        ),
    ),
    (
        Failure.TIMEOUT,
        (
            "apitimeouterror",
            "readtimeout",
            "connecttimeout",
            "read timed out",
            "request timed out",
            "operation timed out",
            "connection timed out",
            "resolving timed out",
            "etimedout",
            "deadline exceeded",
        ),
    ),
    (
        Failure.CUT,
        (
            "econnreset",
            "connection reset",
            "connection aborted",
            "socket hang up",
            "server disconnected",
            "remotedisconnected",
            "remoteprotocolerror",
            "incomplete chunked read",
            "empty reply from server",
            "broken pipe",
            "peer closed connection",
            "unexpectedeof",
            "unexpected eof",
        ),
    ),
    (
        Failure.CONNECT,
        (
            "econnrefused",
            "connection refused",
            "no route to host",
            "network is unreachable",
            "all connection attempts failed",
            "failed to connect to",
            "couldn't connect to server",
            "connecterror",
            "apiconnectionerror",
            "connection error",
            "fetch failed",
            "failed to fetch",
        ),
    ),
)

# Parts of a path and the surfaces they stand for; the first that is found counts.
_PATHS: Final = (
    ("/edits", Surface.EDITS),
    ("/variations", Surface.EDITS),
    ("images/", Surface.IMAGES),
    ("chat/completions", Surface.CHAT),
    ("responses", Surface.RESPONSES),
)


def status_in(text: str) -> tuple[int, str] | None:
    """A status that the text states, and the words that stated it."""
    text = text[:STATED_CAP]
    for pattern in _STATUSES:
        # 599 is no server's: some clients write it when there was no answer.
        if (match := pattern.search(text)) and match[1] != "599":
            return int(match[1]), " ".join(match[0].split())
    if match := _EXCEPTION.search(text):
        return _EXCEPTIONS[match[1]], match[1]
    return None


def failure_in(text: str) -> Failure | None:
    """Why there was no answer, where a text that states no status says so."""
    text = text[:STATED_CAP].casefold()
    for failure, phrases in _FAILURES:
        if any(phrase in text for phrase in phrases):
            return failure
    return None


def surface_of(endpoint: str) -> Surface | None:
    """The surface that an endpoint such as `POST /v1/images/generations` names; None when it names none.

    A word beside it makes it more exact: `stream`, `summary`, `image_generation` (the hosted tool).
    """
    text = endpoint[:2_000].casefold()
    if text.lstrip().startswith("get "):
        return Surface.MODELS if "/models" in text else None
    found = next((surface for part, surface in _PATHS if part in text), None)
    if found is Surface.RESPONSES and ("image_generation" in text or "image tool" in text):
        return Surface.IMAGE_TOOL
    if found in (Surface.RESPONSES, Surface.CHAT) and "stream" in text:
        return Surface.STREAM
    if found is Surface.RESPONSES and "summary" in text:
        return Surface.SUMMARY
    return found
