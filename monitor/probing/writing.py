"""What is sent: a probe as a request, made once for each key and used again."""

from copy import copy
from dataclasses import dataclass, field
from functools import lru_cache

import httpx

from monitor import __version__
from monitor.access.secrecy import Veil
from monitor.catalog import ProbeRequest

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


@dataclass(frozen=True, slots=True, eq=False)
class Written:
    """A probe as it is sent: the same for every key."""

    method: str
    path: str
    accept: str
    body: bytes
    content_type: str | None
    #: seconds, of the whole exchange
    timeout: float


@dataclass(slots=True)
class Sender:
    """What is the same in all that one key sends: making it takes as long as sending it."""

    credentials: Credentials
    veil: Veil = field(init=False)
    _requests: dict[Written, httpx.Request] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.veil = Veil(self.credentials.secret)

    def request(self, probe: Written) -> httpx.Request:
        """A probe's request, with extensions of its own.

        Raises httpx.InvalidURL, ValueError or TypeError for a URL or a header that cannot be; the text may
        hold the key.
        """
        known = self._requests.get(probe)
        if known is None:
            if len(self._requests) >= _REQUESTS_MOST:
                self._requests.clear()
            known = self._requests[probe] = _build(self.credentials, probe)
        request = copy(known)
        request.stream = known.stream  # httpx's copies leave it out
        return request


def write(probe: ProbeRequest) -> Written:
    """A probe with its body encoded."""
    parts = probe.multipart or ()
    request = httpx.Request(
        probe.method,
        "http://anywhere",
        json=probe.json,
        files=[(p.name, (p.filename, p.value, p.content_type)) for p in parts] or None,
    )
    return Written(
        method=probe.method,
        path=probe.path,
        accept="text/event-stream" if probe.stream else "application/json",
        body=request.read(),
        content_type=request.headers.get("content-type"),
        timeout=probe.timeout,
    )


def _build(credentials: Credentials, probe: Written) -> httpx.Request:
    headers = {
        "Authorization": f"Bearer {credentials.secret}",
        "User-Agent": USER_AGENT,
        "Accept": probe.accept,
        "Accept-Encoding": "identity",
    }
    if credentials.organization is not None:
        headers["OpenAI-Organization"] = credentials.organization
    if credentials.project is not None:
        headers["OpenAI-Project"] = credentials.project
    if probe.content_type is not None:
        headers["Content-Type"] = probe.content_type
    return httpx.Request(
        probe.method,
        _url(credentials.base_url, probe.path),
        headers=headers,
        content=probe.body or None,
    )


@lru_cache(maxsize=1024)
def _url(base_url: str, path: str) -> httpx.URL:
    # A user and password in the base URL would replace the key.
    return httpx.URL(base_url.rstrip("/") + path).copy_with(userinfo=b"")
