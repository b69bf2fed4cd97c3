"""What is sent: a probe as a request, made once for each key and used again with other nouns."""

from dataclasses import dataclass, field
from functools import lru_cache
from hashlib import sha256
from urllib.parse import urlsplit

import httpx

from monitor import __version__
from monitor.access.masking import Mask
from monitor.catalog import ProbeRequest
from monitor.catalog.requests import BLANK

USER_AGENT = f"access-monitor/{__version__}"

#: Requests that are kept ready for one key.
_REQUESTS_MOST = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Credentials:
    """What a probe is sent with: a secret, whom it acts for, and its own route's base URL."""

    secret: str = field(repr=False)
    organization: str | None = None
    project: str | None = None
    base_url: str

    @property
    def mark(self) -> str:
        """Tells two of them apart without showing them: eight hexadecimal digits."""
        parts = (self.secret, self.organization or "", self.project or "", self.base_url)
        return sha256("\n".join(parts).encode()).hexdigest()[:8]


@dataclass(frozen=True, slots=True, eq=False)
class PreparedProbe:
    """A probe with its body encoded: the same for every key."""

    request: ProbeRequest
    body: bytes
    content_type: str | None
    #: the body around the nouns that are drawn for each probe; the body alone where it asks for none
    pieces: tuple[bytes, ...]

    @property
    def asks(self) -> bool:
        """Whether it has places for two nouns."""
        return len(self.pieces) == 3

    def filled(self, nouns: tuple[str, str] | None) -> bytes:
        """The body with these nouns; without any, as it is."""
        if nouns is None or not self.asks:
            return self.body
        before, between, after = self.pieces
        first, second = nouns
        return b"".join((before, first.encode(), between, second.encode(), after))


@dataclass(frozen=True, slots=True, eq=False)
class Ready:
    """A request but for its body, which each probe fills anew: as long as the one its headers tell of."""

    method: str
    url: str
    headers: list[tuple[str, str]] = field(repr=False)


@dataclass(slots=True)
class RequestBuilder:
    """What is the same in all that one key sends: making it takes as long as sending it."""

    credentials: Credentials
    mask: Mask = field(init=False)
    #: of its route; empty where the base URL has none
    host: str = field(init=False)
    _requests: dict[PreparedProbe, Ready] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.mask = Mask([self.credentials.secret])
        self.host = _host(self.credentials.base_url)

    def request(self, probe: PreparedProbe) -> Ready:
        """A probe's request.

        Raises httpx.InvalidURL, ValueError or TypeError for a URL or a header that cannot be; the text may
        hold the key.
        """
        known = self._requests.get(probe)
        if known is None:
            if len(self._requests) >= _REQUESTS_MOST:
                self._requests.clear()
            known = self._requests[probe] = _build(self.credentials, probe)
        return known


def write(probe: ProbeRequest) -> PreparedProbe:
    """A probe with its body encoded."""
    parts = probe.multipart or ()
    request = httpx.Request(
        probe.method,
        "http://anywhere",
        json=probe.json,
        files=[(p.name, (p.filename, p.value, p.content_type)) for p in parts] or None,
    )
    body = request.read()
    pieces = tuple(body.split(BLANK.encode()))
    return PreparedProbe(probe, body, request.headers.get("content-type"), pieces)


def _build(credentials: Credentials, probe: PreparedProbe) -> Ready:
    asked = probe.request
    headers = {
        "Authorization": f"Bearer {credentials.secret}",
        "User-Agent": USER_AGENT,
        "Accept": "text/event-stream" if asked.stream else "application/json",
        "Accept-Encoding": "identity",
    }
    if credentials.organization is not None:
        headers["OpenAI-Organization"] = credentials.organization
    if credentials.project is not None:
        headers["OpenAI-Project"] = credentials.project
    if probe.content_type is not None:
        headers["Content-Type"] = probe.content_type
    url = _url(credentials.base_url, asked.path)
    whole = httpx.Request(asked.method, url, headers=headers, content=probe.body or None)
    raw = whole.headers.raw
    return Ready(asked.method, str(url), [(name.decode(), value.decode()) for name, value in raw])


@lru_cache(maxsize=1024)
def _host(base_url: str) -> str:
    try:
        return urlsplit(base_url).hostname or ""
    except ValueError:
        return ""


@lru_cache(maxsize=1024)
def _url(base_url: str, path: str) -> httpx.URL:
    # A user and password in the base URL would replace the key.
    return httpx.URL(base_url.rstrip("/") + path).copy_with(userinfo=b"")
