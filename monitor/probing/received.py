"""What came back: an answer, read within bounds, or why none came.

An exception's own text is never shown: it may hold the header's value, which is the key.
"""

import errno
import json
import re
import socket
import ssl
from binascii import a2b_base64
from collections.abc import AsyncIterable, Callable, Iterable, Mapping
from contextlib import suppress
from datetime import UTC, date, datetime
from functools import lru_cache
from itertools import islice
from math import inf

import httpx

from monitor.access.images import BASE64_CAP, image_of
from monitor.access.masking import origin_of
from monitor.access.observation import BODY_CAP, Failure, Image
from monitor.access.words import Surface
from monitor.probing.unpacking import inflaters

#: Bytes of a model list that are read, so that the shutdown dates of all its models are seen.
LIST_CAP = 1024 * 1024
#: Models of a list that are read. The vendor's has about a hundred, a relay's some hundreds.
_MOST_LISTED = 10_000
#: Bytes of a granted image answer that are read, so that the usage after the image is seen.
IMAGE_CAP = 24 * 1024 * 1024

_HEADERS = frozenset(
    {
        "cf-ray",
        "content-type",
        "date",
        "location",
        "openai-model",
        "openai-organization",
        "openai-processing-ms",
        "openai-project",
        "openai-version",
        "retry-after",
        "retry-after-ms",
        "server",
        "x-request-id",
        "x-should-retry",
    }
)
#: What packing may add to bytes that it cannot make fewer.
_PACKING = 4096

_RATE_LIMITS = "x-ratelimit-"
_MOST_HEADERS = 40
_LONGEST_NAME = 64
_LONGEST_VALUE = 200
#: Characters of a value that are masked, and at a cut so many less: what is left there of a key may be too
#: little to be found.
_MASKED_VALUE, _LEFT = 1024, 128

# What JSON makes of base64: escaped slashes and line ends, and plus, slash and padding as numbers, which
# some servers write though they need not.
_NUMBER = rb"u00(?:2[bBfF]|3[dD])"
_ESCAPE = rb"(?:[/nr]|%b)" % _NUMBER

# A JSON string of base64 (perhaps as a data URL, perhaps escaped), of which the first 16 characters are
# kept: they tell a PNG and are whole base64 by themselves. The closing quote may be escaped (JSON inside
# a string), or missing where the body was cut. Possessive, so that the time is linear in the body.
_BASE64 = re.compile(
    rb'("(?:data:[a-z]+\\{0,4}/[a-z+.-]+;base64,)?(?:\\{0,4}/|\\{1,4}%b|[A-Za-z0-9+_-]){16})'
    rb'(?=[^"]{240})[A-Za-z0-9+/=_-]*+(?:\\++%b[A-Za-z0-9+/=_-]*+)*+(?=\\*"|\Z)'
    % (_NUMBER, _ESCAPE)
)

# Where answers have an image, and as much of it as is decoded. Possessive, as above.
_IMAGE = re.compile(
    rb'"(?:b64_json|result|url)"\s*+:\s*+"(?:data:[a-z]++\\{0,4}/[a-z+.-]++;base64,)?'
    rb"((?:[A-Za-z0-9+/=_-]|\\{1,4}%b){8,%d}+)" % (_ESCAPE, BASE64_CAP)
)
_ESCAPES = re.compile(rb"\\+(%b)" % _ESCAPE)
_MEANT = {b"/": b"/", b"u002f": b"/", b"u002b": b"+", b"u003d": b"="}
#: Characters of base64 that an image of any size has.
_LEAST = 80
#: Images of one answer that are read; we ask for one.
_MOST_IMAGES = 8

#: OpenSSL's reasons when a server does not answer the handshake with TLS.
_NO_TLS = ("WRONG_VERSION_NUMBER", "HTTP_REQUEST", "HTTPS_PROXY_REQUEST", "UNKNOWN_PROTOCOL",
           "PACKET_LENGTH_TOO_LONG", "RECORD_LAYER_FAILURE", "UNEXPECTED_MESSAGE")  # fmt: skip
#: What aiohttp, and httpx's h11, say when they read no further before the body.
_TOO_LONG = ("LineTooLong", "Too many headers", "Receive buffer too long")
#: By OpenSSL's number of what a certificate lacks.
_CERTIFICATES = {
    9: "is not valid yet (or this machine's clock is behind)",
    10: "has expired (or this machine's clock is ahead)",
    18: "is signed by itself",
    19: "is signed by an issuer that this machine does not trust",
    20: "is signed by an issuer that this machine does not know",
    21: "is signed by an issuer that it does not bring along",
    23: "was revoked",
    62: "is for another name",
    64: "is for another address",
}
_UNREACHABLE = {
    errno.ENETUNREACH: "this machine has no way to that network",
    errno.EHOSTUNREACH: "there is no way to that host",
    errno.EADDRNOTAVAIL: "this machine has no address or port left for it",
    errno.EMFILE: "this process has too many files open",
    errno.EACCES: "this machine does not allow it",
    errno.EPERM: "this machine does not allow it",
}


def kept_headers(
    headers: Iterable[tuple[bytes, bytes]], mask: Callable[[str], str]
) -> dict[str, str]:
    """The headers worth keeping, names in lower case, values masked, capped and printable."""
    kept: dict[str, str] = {}
    found = ((lower, value) for name, value in headers if (lower := _wanted(name)))
    wanted = [(lower, _said(lower, value)) for lower, value in islice(found, _MOST_HEADERS)]
    together = "\n".join(whole[:_MASKED_VALUE] for _, whole in wanted)
    hides = mask(together) != together
    for lower, whole in wanted:
        text = whole[:_MASKED_VALUE]
        if hides:
            text = mask(text)[: None if text == whole else -_LEFT]
        text = text[:_LONGEST_VALUE]
        if not text.isprintable():
            text = "".join(c if c.isprintable() else " " for c in text)
        text = text.strip()
        # what comes twice is one list
        kept[lower] = f"{kept[lower]}, {text}"[:_LONGEST_VALUE] if lower in kept else text
    return kept


@lru_cache(maxsize=256)
def _wanted(name: bytes) -> str | None:
    """The name in lower case if the header is worth keeping."""
    lower = name.lower().decode("latin-1")
    worth = lower in _HEADERS or lower.startswith(_RATE_LIMITS)
    return lower if worth and len(lower) <= _LONGEST_NAME else None


def encoding_of(headers: Iterable[tuple[bytes, bytes]]) -> str:
    """The content encoding that the headers name; empty where they name none."""
    found = (value for name, value in headers if name.lower() == b"content-encoding")
    return ", ".join(value.decode("latin-1") for value in found)


def _said(name: str, value: bytes) -> str:
    try:
        text = value.decode()
    except UnicodeDecodeError:
        text = value.decode("latin-1")
    return origin_of(text) if name == "location" else text


def body_cap(surface: Surface | None, status: int) -> int:
    """How many bytes of a body to read: much only where a granted image or a model list is expected.

    No `surface` is a listing.
    """
    if status != 200:
        return BODY_CAP
    if surface is None:
        return LIST_CAP
    return IMAGE_CAP if surface.makes_images else BODY_CAP


async def read_capped(
    chunks: AsyncIterable[bytes],
    encoding: str,
    cap: int,
    into: bytearray,
    crowded: Callable[[], bool],
) -> bool:
    """Read a body of this content encoding into `into`, at most `cap` bytes; True if there was more.

    As many bytes are taken from the network at most: what is packed may be nothing, without end. While it
    is `crowded` no answer gets more than a text may have. What was read stays in `into` when reading fails.
    We ask for no compression; a server that compresses regardless is expanded piece by piece, so that a bomb
    ends at the cap. An encoding that is not known, or does not decode, is left as it came.
    """
    unpacking = inflaters(encoding, cap + _PACKING + 1)
    taken = 0
    async for chunk in chunks:
        taken += len(chunk)
        room = cap - len(into) + 1
        piece = chunk
        for inflate in unpacking:
            piece = inflate(piece)
            taken = max(taken, inflate.made)
        into += piece[:room]
        if len(into) > cap or taken > cap + _PACKING:
            del into[cap:]
            return True
        if len(into) > BODY_CAP and crowded():
            return True
    return False


def image_in(body: bytes) -> Image | None:
    """The image of an answer, by its own header; of several the smallest. None where there is none."""
    found = []
    for match in islice(_IMAGE.finditer(body), _MOST_IMAGES):
        text, cut = _plain(match[1]), body[match.end() : match.end() + 1] != b'"'
        if image := image_of(text, cut=cut):
            # a header alone is none, whatever size it tells
            alone = not cut and len(text) < _LEAST and _side(image) > 1
            found.append(Image(image.format, 0, 0) if alone else image)
    return min(found, key=_side, default=None)


def _side(image: Image) -> float:
    """The shorter side; one that is not told counts as long."""
    return inf if image.width is None or image.height is None else min(image.width, image.height)


def _plain(text: bytes) -> bytes:
    """Base64 without the escapes of JSON: a character for itself, line ends for nothing."""
    if b"\\" not in text:
        return text
    return _ESCAPES.sub(lambda match: _MEANT.get(match[1].lower(), b""), text)


def reduced(body: bytes) -> tuple[bytes, bool]:
    """The body with images cut to their first characters and then capped; True if the cap cut it."""
    if len(body) > 512:  # nothing to gain below, and most answers are
        body = _BASE64.sub(_head, body)
    return body[:BODY_CAP], len(body) > BODY_CAP


def _head(found: re.Match[bytes]) -> bytes:
    """The first characters of an image; all of it where it is a text, which may be a refusal."""
    head = found[1]
    with suppress(ValueError):
        begins = a2b_base64(_plain(head).rpartition(b",")[2].rpartition(b'"')[2][:16])
        if (
            begins.isascii()
            and begins.replace(b"\n", b" ").replace(b"\r", b" ").decode().isprintable()
        ):
            return found[0]
    return head


def reduced_list(body: bytes) -> tuple[bytes, bool]:
    """A long model list cut to ids and shutdown dates, whole; any other body as `reduced` does it."""
    if len(body) > BODY_CAP and (short := brief(body)) is not body:
        return short, False
    return reduced(body)


def listed(body: bytes) -> Mapping[str, date | None]:
    """The listed models and their shutdown dates (None: none was sent); empty when it is no list.

    The field is `shutdown_date` (official Python client 3.51.0), a day as text. A time is taken for
    its day in UTC; what cannot be read is no date. Never raises.
    """
    try:
        answer = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    data = answer.get("data") if isinstance(answer, dict) else None
    if not isinstance(data, list):
        return {}
    return {
        entry["id"]: _date_of(entry.get("shutdown_date"))
        for entry in data[:_MOST_LISTED]
        if isinstance(entry, dict) and isinstance(entry.get("id"), str)
    }


def brief(body: bytes) -> bytes:
    """The list with nothing but ids and shutdown dates; a body that is no list stays as it is."""
    models = listed(body)
    if not models:
        return body
    data = [
        {"id": name} | ({"shutdown_date": day.isoformat()} if day else {})
        for name, day in models.items()
    ]
    return json.dumps({"object": "list", "data": data}).encode()


def _date_of(value: object) -> date | None:
    try:
        if isinstance(value, int | float) and not isinstance(value, bool):
            return datetime.fromtimestamp(value, UTC).date()
        if isinstance(value, str):
            at = datetime.fromisoformat(value.strip())
            return at.astimezone(UTC).date() if at.tzinfo else at.date()
    except (ValueError, OverflowError, OSError):
        pass
    return None


def timed_out(seconds: float, base_url: str, *, sent: bool) -> tuple[Failure, str]:
    """The exchange timed out; the cause depends on whether the request was sent."""
    if sent:
        return Failure.TIMEOUT, f"no whole answer within {seconds:g} s"
    return Failure.CONNECT_TIMEOUT, f"no connection to {_place(base_url)} within {seconds:g} s"


def failed(
    error: httpx.HTTPError,
    base_url: str,
    proxy: str | None,
    connect: float,
    *,
    sent: bool,
    answered: bool,
) -> tuple[Failure, str]:
    """The kind and the words of a transport's error. `connect` is the seconds that a connection has."""
    causes = _causes(error)
    first = proxy or base_url
    if isinstance(error, httpx.ProxyError):
        return Failure.PROXY, "the proxy refused"
    if isinstance(error, httpx.TimeoutException):
        return timed_out(connect, first, sent=sent)
    # from the innermost: the library's own errors are of these types, too, and know less
    for cause in reversed(causes):
        if isinstance(cause, socket.gaierror):
            return Failure.NAME_RESOLUTION, _unresolved(_host(first), cause)
        # once the request is sent the handshake is done: then the connection was cut
        if isinstance(cause, ssl.SSLError) and not sent:
            return _tls(cause, _host(base_url), _place(base_url))
        if any(words in f"{type(cause).__name__}: {cause}" for words in _TOO_LONG):
            return Failure.HEADERS, "the answer's headers are too long, or too many"
    if isinstance(error, httpx.ConnectError):
        return _unconnected(_place(first), causes)
    if isinstance(error, httpx.NetworkError) or (
        isinstance(error, httpx.RemoteProtocolError)
        # In the body, or raised by the transport itself and not by its parser: it was closed early.
        and (answered or len(causes) == 2)
    ):
        when = "in the middle of the answer" if answered else "before an answer came"
        return Failure.CUT, f"the connection was cut {when}"
    return Failure.PROTOCOL, "what came back was not HTTP"


def _unresolved(host: str, error: socket.gaierror) -> str:
    if error.errno in (socket.EAI_AGAIN, socket.EAI_FAIL):
        return f"the name {host} could not be resolved: no name server answers"
    return f"the name {host} is unknown"


def _tls(error: ssl.SSLError, host: str, place: str) -> tuple[Failure, str]:
    if isinstance(error, ssl.SSLCertVerificationError):
        what = _CERTIFICATES.get(error.verify_code, "was not accepted")
        return Failure.CERTIFICATE, f"the certificate of {host} {what}"
    reason = (error.reason or "").upper()
    if any(word in reason for word in _NO_TLS):
        return Failure.NO_TLS, f"{place} speaks no TLS"
    said = f": {reason.replace('_', ' ').lower()}" if reason else ""
    return Failure.TLS, f"the TLS handshake with {place} failed{said}"


def _unconnected(place: str, causes: list[BaseException]) -> tuple[Failure, str]:
    numbers = {cause.errno for cause in causes if isinstance(cause, OSError)}
    if errno.ECONNREFUSED in numbers:
        return Failure.REFUSED, f"{place} refused the connection"
    if errno.ETIMEDOUT in numbers:
        return Failure.CONNECT_TIMEOUT, f"no connection to {place}: it took too long"
    if errno.ECONNRESET in numbers:
        return Failure.CONNECT, f"{place} cut the connection at once"
    why = next((words for number, words in _UNREACHABLE.items() if number in numbers), "")
    return Failure.CONNECT, f"no connection to {place} could be made{': ' + why if why else ''}"


def _host(base_url: str) -> str:
    """The host as the settings name it; never what else a URL may hold."""
    try:
        return httpx.URL(base_url).host[:255] or "the host"
    except (httpx.InvalidURL, ValueError, TypeError):
        return "the host"


def _place(base_url: str) -> str:
    try:
        url = httpx.URL(base_url)
        return f"{_host(base_url)} port {url.port or (443 if url.scheme == 'https' else 80)}"
    except (httpx.InvalidURL, ValueError, TypeError):
        return "the host"


def _causes(error: BaseException) -> list[BaseException]:
    chain: list[BaseException] = []
    step: BaseException | None = error
    while step is not None and step not in chain:
        chain.append(step)
        step = step.__cause__ or step.__context__
    return chain
