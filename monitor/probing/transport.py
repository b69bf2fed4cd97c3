"""The two ways to the network: aiohttp's where it is direct, httpx's through a proxy.

A request costs 0.53 ms with httpx's own transport and 5 in flight, 1.8 ms with 50, as its pool goes through
every connection for every request, and 0.14 ms with aiohttp, whatever is in flight, which knows no proxy
for TLS. Both raise httpx's errors. Neither retries, follows redirects, keeps cookies or reads netrc.
"""

import os
import re
import ssl
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable, Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any, cast
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import aiohttp
import httpx
from aiohttp import hdrs
from aiohttp.client_proto import ResponseHandler
from aiohttp.connector import Connection
from yarl import URL

from monitor.access.observation import Failure
from monitor.probing.writing import Ready

#: Told the name of a step when it begins or ends, as httpcore names them: `connect_tcp.started`.
Mark = Callable[[str], None]

#: Bytes of one header, and how many headers: with both a head is bounded.
_LONGEST_HEADER = 64 * 1024
_MOST_HEADERS = 200

_PROXY_SCHEMES = ("http", "https", "socks5", "socks5h")
#: A host with its port, as far as it may be shown: nothing else that a wrong URL may hold.
_PLACE = re.compile(r"(?:\[[0-9A-Fa-f:.]*\]?|[A-Za-z0-9._-]{1,255})(?::\d{0,9})?")

#: The mark of the request that is sent now.
_mark: ContextVar[Mark | None] = ContextVar("mark", default=None)


class UnusableError(ValueError):
    """What the environment names cannot be used. The text says which variable, and holds no password."""

    def __init__(self, failure: Failure, text: str) -> None:
        super().__init__(text)
        self.failure = failure


class _TellingContext(ssl.SSLContext):
    """A TLS context that says when a handshake begins."""

    def wrap_bio(self, *arguments: Any, **more: Any) -> ssl.SSLObject:
        """Take part in a new connection, which stands when this is asked for."""
        _note("connect_tcp.complete")
        _note("start_tls.started")
        return super().wrap_bio(*arguments, **more)


class _Handler(ResponseHandler):
    """A connection that closes when something comes over it while nobody asked.

    aiohttp would keep it, without bound, and take it for the answer to the next request: another key's.
    """

    idle = False

    def data_received(self, data: bytes) -> None:
        """Take what came, if it was asked for."""
        if self.idle and data:
            self.close()
        else:
            super().data_received(data)


class _TellingConnector(aiohttp.TCPConnector):
    """A pool that says when a connection is made, and when a request has its connection.

    aiohttp's own tracing costs 13 µs a request, which takes 85 without it.
    """

    def __init__(self, **more: Any) -> None:
        super().__init__(**more)
        handler: Callable[..., ResponseHandler] = _Handler
        self._factory = partial(handler, loop=self._loop)

    async def connect(self, *arguments: Any, **more: Any) -> Connection:
        connection = await super().connect(*arguments, **more)
        if isinstance(connection.protocol, _Handler):
            connection.protocol.idle = False
        _note("send_request_headers.started")
        return connection

    def _release(self, key: Any, protocol: ResponseHandler, **more: Any) -> None:
        if isinstance(protocol, _Handler):
            protocol.idle = True
        super()._release(key, protocol, **more)

    async def _create_connection(self, *arguments: Any, **more: Any) -> ResponseHandler:
        _note("connect_tcp.started")
        made = await super()._create_connection(*arguments, **more)
        _note("connect_tcp.complete")  # with TLS it was told before
        _note("start_tls.complete")
        return made


class _CutError(aiohttp.ClientError):
    """The connection ended before the answer did."""


@dataclass(slots=True)
class HttpAnswer:
    """An answer of which the head has come."""

    status: int
    headers: Sequence[tuple[bytes, bytes]]
    #: the body as it comes; raises httpx's errors
    chunks: AsyncIterator[bytes]
    #: gives the connection back if all of the body was read, else closes it
    aclose: Callable[[], Awaitable[None]]


class DirectTransport:
    """Sends requests over a pool of aiohttp's; made on the loop that sends.

    `connect` bounds the making of a connection, in seconds; nothing else is bounded here. The URL must
    have no user, which would replace the request's own header. Raises UnusableError.
    """

    def __init__(self, *, connect: float) -> None:
        tls = tls_context()
        tls.__class__ = _TellingContext
        self._session = aiohttp.ClientSession(
            connector=_TellingConnector(
                ssl=tls,
                limit=0,  # who sends sees to that
                use_dns_cache=False,
                resolver=aiohttp.ThreadedResolver(),
            ),
            cookie_jar=aiohttp.DummyCookieJar(),
            skip_auto_headers=(hdrs.USER_AGENT, hdrs.ACCEPT, hdrs.CONTENT_TYPE),
            auto_decompress=False,
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=connect),
            middlewares=(_once,),
            max_line_size=_LONGEST_HEADER,
            max_field_size=_LONGEST_HEADER,
            max_headers=_MOST_HEADERS,
        )

    async def send(self, request: Ready, body: bytes, mark: Mark) -> HttpAnswer:
        """Send a request; its answer's body is still to be read. Raises httpx's errors."""
        _mark.set(mark)
        try:
            response = await self._session.request(
                request.method,
                _url(request.url),
                headers=request.headers,
                data=body or None,
                allow_redirects=False,
            )
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise _translated(error) from error
        except UnicodeError:  # a host whose name cannot be written for the resolver
            raise
        except ValueError as error:
            # Its text may hold a header's value, and with it the key.
            raise httpx.LocalProtocolError(type(error).__name__) from None
        mark("receive_response_headers.complete")
        return HttpAnswer(
            response.status, response.raw_headers, _chunks(response), partial(_end, response)
        )

    async def aclose(self) -> None:
        """Close all connections."""
        await self._session.close()


async def _chunks(response: aiohttp.ClientResponse) -> AsyncIterator[bytes]:
    try:
        async for chunk in response.content.iter_any():
            yield chunk
    except (aiohttp.ClientError, TimeoutError, OSError) as error:
        raise httpx.ReadError(type(error).__name__) from error


async def _end(response: aiohttp.ClientResponse) -> None:
    if response.content.at_eof():
        response.release()
    else:
        response.close()


class ProxiedTransport:
    """Sends requests through a proxy, over httpx's own pool of `limit` connections."""

    def __init__(self, proxy: str, tls: ssl.SSLContext, *, connect: float, limit: int) -> None:
        self._transport = httpx.AsyncHTTPTransport(
            verify=tls,
            limits=httpx.Limits(max_connections=limit, max_keepalive_connections=limit),
            proxy=proxy,
        )
        # The whole is bounded by who sends; a wait for the pool would be our own fault.
        self._timeout = {"connect": connect, "read": None, "write": None, "pool": None}

    async def send(self, request: Ready, body: bytes, mark: Mark) -> HttpAnswer:
        """Send a request; its answer's body is still to be read. Raises httpx's errors."""

        async def trace(event: str, info: dict[str, Any]) -> None:
            # A tunnel's CONNECT is a request, too, but not ours: nothing of the probe was sent with it.
            one = info.get("request")
            if one is None or one.method != b"CONNECT":
                mark(event.partition(".")[2])

        made = httpx.Request(
            request.method,
            request.url,
            headers=request.headers,
            stream=httpx.ByteStream(body),
            extensions={"trace": trace, "timeout": self._timeout},
        )
        response = await self._transport.handle_async_request(made)
        # past `aiter_raw`, which takes as long as the answer
        chunks = aiter(cast("AsyncIterable[bytes]", response.stream))
        return HttpAnswer(response.status_code, response.headers.raw, chunks, response.aclose)

    async def aclose(self) -> None:
        """Close all connections."""
        await self._transport.aclose()


@lru_cache(maxsize=1024)
def _url(text: str) -> URL:
    return URL(text, encoded=True)


def _note(step: str) -> None:
    if mark := _mark.get():
        mark(step)


async def _once(
    request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
) -> aiohttp.ClientResponse:
    """aiohttp sends a GET again when a connection it had kept was closed meanwhile: not with this error."""
    try:
        return await handler(request)
    except aiohttp.ClientConnectorError:
        raise
    except (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError, ConnectionError) as error:
        raise _CutError(type(error).__name__) from error


def _translated(error: Exception) -> httpx.TransportError:
    """httpx's error for one of aiohttp's; none takes over its text."""
    name = type(error).__name__
    if isinstance(error, TimeoutError):
        return httpx.ConnectTimeout(name)
    if isinstance(error, aiohttp.ClientConnectorError):
        return httpx.ConnectError(name)
    if isinstance(error, _CutError | OSError | aiohttp.ClientPayloadError):
        return httpx.ReadError(name)
    return httpx.RemoteProtocolError(name)


def tls_context() -> ssl.SSLContext:
    """What hosts are checked with, as httpx makes it: certifi, or what SSL_CERT_FILE and SSL_CERT_DIR name.

    Raises:
        UnusableError: when the file cannot be read, or holds no certificates.

    """
    try:
        return httpx.create_ssl_context()
    except OSError as error:  # an SSLError is one, too
        file = os.environ.get("SSL_CERT_FILE")
        what = f"SSL_CERT_FILE names {file[:200]!r}" if file else "the built-in certificates"
        why = "no certificates" if isinstance(error, ssl.SSLError) else error.strerror
        raise UnusableError(Failure.TRUST, f"{what}: {why}") from None


def proxy_for(base_url: str) -> str | None:
    """The proxy that the environment names for this base URL, without credentials; None for none.

    Raises:
        UnusableError: when what it names is no proxy.

    """
    proxy = proxy_with_credentials(base_url)
    if proxy is None:
        return None
    parts = urlsplit(proxy)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"


def proxy_with_credentials(base_url: str) -> str | None:
    """The same, as it is used: not to be shown."""
    url = urlsplit(base_url)
    if url.scheme == "http":
        # for this machine only: a proxy would read the key in clear, and ask a machine of its own
        return None
    proxies = getproxies()
    kind = url.scheme if proxies.get(url.scheme) else "all"
    proxy = proxies.get(kind)
    if not proxy or (url.hostname and proxy_bypass(url.netloc.rpartition("@")[2])):
        return None
    proxy = proxy if "://" in proxy else f"http://{proxy}"
    if not _is_proxy(proxy):
        scheme, _, rest = proxy.partition("://")
        place = rest.rpartition("@")[2].rstrip("/")
        shown = f" names {scheme}://{place}, which" if _PLACE.fullmatch(place) else ""
        raise UnusableError(Failure.PROXY, f"{kind.upper()}_PROXY{shown} is no proxy's URL")
    return proxy


def _is_proxy(proxy: str) -> bool:
    try:
        parts = urlsplit(proxy)
        known = parts.scheme in _PROXY_SCHEMES and parts.hostname and parts.port != 0
        return bool(known and httpx.URL(proxy).host)
    except (ValueError, httpx.InvalidURL):
        return False
