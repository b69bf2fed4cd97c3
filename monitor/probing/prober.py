"""The prober: one request per probe, and an observation whatever happens.

It uses transports without a client of httpx's, which follows redirects, keeps cookies, reads netrc, and
takes half as long again. With `transport` and `writing` it is all that knows the library.
"""

import asyncio
import ssl
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache

import httpx

from monitor.access.masking import Mask
from monitor.access.observation import Failure, Observation, Timings
from monitor.access.target import Capability
from monitor.access.words import ProbeKind, Surface
from monitor.catalog import Catalog, ProbeRequest, listing_request, probe_request
from monitor.catalog.requests import BLANKS, LISTING_TIMEOUT, draw, question
from monitor.probing.received import (
    body_cap,
    encoding_of,
    failed,
    image_in,
    kept_headers,
    read_capped,
    reduced,
    reduced_list,
    timed_out,
)
from monitor.probing.transport import (
    DirectTransport,
    HttpAnswer,
    ProxiedTransport,
    UnusableError,
    proxy_with_credentials,
    tls_context,
)
from monitor.probing.writing import USER_AGENT, Credentials, PreparedProbe, RequestBuilder, write

#: Seconds for name and connection, and again for TLS: ending a request before it is sent costs nothing.
_CONNECT_TIMEOUT = 5.0

#: Bytes of all answers that are being read; beyond them none is read further than a text would be.
_TOGETHER_MOST = 256 * 1024 * 1024

#: Credentials whose requests are kept ready.
_SENDERS_MOST = 16_384


@dataclass(slots=True)
class _Exchange:
    """What is known of one exchange so far; it is kept when the exchange fails."""

    began: float
    #: what is kept of an answer has gone through it: servers echo the key
    mask: Mask
    #: what was asked, drawn for this exchange
    nouns: tuple[str, str] | None = None
    #: called when the request is about to be sent
    leaving: Callable[[], object] | None = None
    marks: dict[str, float] = field(default_factory=dict)
    status: int | None = None
    headers: dict[str, str] = field(default_factory=dict)
    body: bytearray = field(default_factory=bytearray)
    truncated: bool = False

    def mark(self, step: str) -> None:
        """Note when a step began or ended, as the transport tells it; the first time counts."""
        self.marks.setdefault(step, time.monotonic())
        if self.leaving and self.sent:
            self.leaving()

    @property
    def sent(self) -> bool:
        return "send_request_headers.started" in self.marks

    @property
    def succeeded(self) -> bool:
        return self.status is not None and 200 <= self.status < 300

    def timings(self) -> Timings:
        first = self.marks.get("receive_response_headers.complete")
        return Timings(
            total=(time.monotonic() - self.began) * 1000,
            connect=self._took("connect_tcp"),
            tls=self._took("start_tls"),
            first_byte=None if first is None else (first - self.began) * 1000,
            reused="connect_tcp.started" not in self.marks if self.sent else None,
        )

    def _took(self, step: str) -> float | None:
        began, ended = self.marks.get(f"{step}.started"), self.marks.get(f"{step}.complete")
        return None if began is None or ended is None else (ended - began) * 1000


class Prober:
    """Makes probes over one pool of connections; at most `limit_in_flight` are under way at once.

    No retries, no redirects, no cookies, no netrc; proxies
    are taken from the environment (see `proxy_for`). `catalog` may be replaced when settings are
    reloaded. Close the prober with `aclose`.
    """

    def __init__(self, *, catalog: Catalog, limit_in_flight: int = 200) -> None:
        self._catalog = catalog
        self._slots = asyncio.Semaphore(limit_in_flight)
        self._limit = limit_in_flight
        #: of the exchanges under way
        self._bodies: dict[int, bytearray] = {}
        self._prepared: dict[Capability | None, PreparedProbe] = {}
        self._builders: dict[Credentials, RequestBuilder] = {}
        #: by proxy; None is the direct way
        self._transports: dict[str | None, DirectTransport | ProxiedTransport] = {}
        self._proxies: dict[str, str | None] = {}

    @property
    def catalog(self) -> Catalog:
        """What is known of the models."""
        return self._catalog

    @catalog.setter
    def catalog(self, catalog: Catalog) -> None:
        self._catalog = catalog
        self._prepared.clear()
        self._builders.clear()

    async def probe(
        self,
        credentials: Credentials,
        capability: Capability,
        kind: ProbeKind,
        *,
        deadline: float | None = None,
        leaving: Callable[[], object] | None = None,
    ) -> Observation:
        """Make one probe and say what came back. Never raises for what the network or server does.

        `deadline` is in seconds and bounds the whole exchange; without it the request's own timeout.
        The wait for a free slot does not count. `leaving` is called when the request is about to be sent,
        perhaps more than once: who cancels the probe knows by that whether it was.
        """
        free = kind is ProbeKind.LISTING
        asked = None if free else capability
        probe = self._prepared.get(asked)
        if probe is None:
            request = probe_request(self.catalog, asked, BLANKS) if asked else listing_request()
            probe = self._prepared[asked] = write(request)
        seconds = probe.request.timeout if deadline is None else deadline
        return await self._observe(credentials, probe, seconds, kind, capability, leaving=leaving)

    async def get(self, credentials: Credentials, path: str) -> Observation:
        """Read something of the API that is no probe, such as a project's limits. Never raises, as `probe`.

        `path` is relative to the base URL and already quoted.
        """
        return await self._observe(credentials, write(ProbeRequest("GET", path)), LISTING_TIMEOUT)

    async def _observe(
        self,
        credentials: Credentials,
        probe: PreparedProbe,
        seconds: float,
        kind: ProbeKind | None = None,
        capability: Capability | None = None,
        *,
        leaving: Callable[[], object] | None = None,
    ) -> Observation:
        """Make an exchange; one that is no probe is read like a listing."""
        surface = capability.surface if capability and kind is ProbeKind.FULL else None
        builder = self._builders.get(credentials)
        if builder is None:
            if len(self._builders) >= _SENDERS_MOST:
                self._builders.clear()
            builder = self._builders[credentials] = RequestBuilder(credentials)
        nouns = draw() if probe.asks else None
        async with self._slots:
            exchange = _Exchange(time.monotonic(), builder.mask, nouns, leaving)
            self._bodies[id(exchange)] = exchange.body
            try:
                failure, text = await self._try(builder, probe, surface, seconds, exchange)
            finally:
                del self._bodies[id(exchange)]
            timings = exchange.timings()
        whole = bytes(exchange.body)
        exchange.body.clear()  # whoever sent the probe may keep its context, and with that the exchange
        makes_images = surface is not None and surface.makes_images
        body, cut = (reduced if surface else reduced_list)(whole)
        return Observation(
            status=exchange.status,
            headers=exchange.headers,
            body=body,
            truncated=exchange.truncated or cut,
            failure=failure,
            failure_text=text,
            timings=timings,
            kind=kind or ProbeKind.FULL,
            surface=capability.surface if capability else None,
            model=capability.model if capability else None,
            sent=exchange.sent,
            word="".join(nouns) if nouns and not makes_images else "",
            question=question(*nouns) if nouns and not makes_images else "",
            image=image_in(whole) if makes_images and exchange.succeeded else None,
            host=builder.host,
            mask=builder.mask.text,
        )

    async def aclose(self) -> None:
        """Close all connections."""
        for transport in self._transports.values():
            await transport.aclose()

    async def _try(
        self,
        builder: RequestBuilder,
        probe: PreparedProbe,
        surface: Surface | None,
        seconds: float,
        exchange: _Exchange,
    ) -> tuple[Failure | None, str]:
        try:
            request = builder.request(probe)
        except (httpx.InvalidURL, ValueError, TypeError) as error:
            # The error's own text may hold the header's value, which is the key.
            return Failure.PROTOCOL, f"the request could not be built ({type(error).__name__})"
        base_url = builder.credentials.base_url
        try:
            transport = self._transport_for(base_url)
        except UnusableError as error:
            return error.failure, str(error)
        except (ImportError, ValueError, httpx.InvalidURL) as error:  # its text may hold a password
            return Failure.PROXY, f"the proxy cannot be used ({type(error).__name__})"
        try:
            async with asyncio.timeout(seconds):
                answer = await transport.send(request, probe.filled(exchange.nouns), exchange.mark)
                await _read(answer, surface, exchange, self._crowded)
        except TimeoutError:
            return timed_out(seconds, self._proxies[base_url] or base_url, sent=exchange.sent)
        except UnicodeError:
            return Failure.NAME_RESOLUTION, "the host's name cannot be written for a name server"
        except httpx.LocalProtocolError as error:
            # A header that may not be written, found before a byte was: nothing was sent.
            exchange.marks.pop("send_request_headers.started", None)
            return Failure.PROTOCOL, f"the request could not be written ({type(error).__name__})"
        except httpx.HTTPError as error:
            return failed(
                error, base_url, self._proxies[base_url], _CONNECT_TIMEOUT,
                sent=exchange.sent, answered=exchange.status is not None,
            )  # fmt: skip
        return None, ""

    def _crowded(self) -> bool:
        return sum(map(len, self._bodies.values())) > _TOGETHER_MOST

    def _transport_for(self, base_url: str) -> DirectTransport | ProxiedTransport:
        if base_url not in self._proxies:
            self._proxies[base_url] = proxy_with_credentials(base_url)
        proxy = self._proxies[base_url]
        transport = self._transports.get(proxy)
        if transport is None:
            transport = self._transports[proxy] = (
                ProxiedTransport(proxy, _tls(), connect=_CONNECT_TIMEOUT, limit=self._limit)
                if proxy
                else DirectTransport(connect=_CONNECT_TIMEOUT)
            )
        return transport


async def _read(
    answer: HttpAnswer, surface: Surface | None, exchange: _Exchange, crowded: Callable[[], bool]
) -> None:
    try:
        exchange.status = answer.status
        exchange.headers = kept_headers(answer.headers, exchange.mask.text)
        exchange.truncated = True  # until the end was seen
        exchange.truncated = await read_capped(
            answer.chunks,
            encoding_of(answer.headers),
            body_cap(surface, answer.status),
            exchange.body,
            crowded,
        )
    finally:
        await answer.aclose()


async def ping(url: str, *, seconds: float = 10.0) -> str | None:
    """Call a URL with GET, such as a dead man's switch; None when it was taken, else what went wrong.

    Never raises for what the network or server does; the text never holds the URL. It has a client of
    its own: probes that hang must not take its place.
    """
    try:
        async with (
            asyncio.timeout(seconds),
            httpx.AsyncClient(verify=_tls(), timeout=None, follow_redirects=False) as client,  # noqa: S113
            client.stream("GET", url, headers={"User-Agent": USER_AGENT}) as response,
        ):
            return None if response.is_success else f"answered {response.status_code}"
    except TimeoutError:
        return f"no answer within {seconds:g} s"
    except UnusableError as error:
        return str(error)
    # the last two: a proxy of a kind or a port that there is not
    except (httpx.HTTPError, httpx.InvalidURL, ValueError, ImportError, ExceptionGroup) as error:
        return f"could not be reached ({type(error).__name__})"


async def reachable(url: str, *, seconds: float) -> bool:
    """Whether a server answers at this URL, whatever it says; no key is sent."""
    error = await ping(url, seconds=seconds)
    return error is None or error.startswith("answered ")


@cache
def _tls() -> ssl.SSLContext:
    """Made once: reading the certificates takes 20 ms."""
    return tls_context()
