"""Why no answer came: from an exception to its kind and to words of our own.

An exception's own text is never shown: it may hold the header's value, which is the key.
"""

import errno
import socket
import ssl

import httpx

from monitor.access.observation import Failure

#: OpenSSL's reasons when a server does not answer the handshake with TLS.
_NO_TLS = ("WRONG_VERSION_NUMBER", "HTTP_REQUEST", "HTTPS_PROXY_REQUEST", "UNKNOWN_PROTOCOL",
           "PACKET_LENGTH_TOO_LONG", "RECORD_LAYER_FAILURE", "UNEXPECTED_MESSAGE")  # fmt: skip
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
    for cause in reversed(
        causes
    ):  # the library's own errors are of these types, too, and know less
        if isinstance(cause, socket.gaierror):
            return Failure.NAME_RESOLUTION, _unresolved(_host(first), cause)
        if (
            isinstance(cause, ssl.SSLError) and not sent
        ):  # after the handshake the connection was cut
            return _tls(cause, _host(base_url), _place(base_url))
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
