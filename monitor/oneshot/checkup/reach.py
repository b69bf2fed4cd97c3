"""Name resolution, connection, TLS and first byte, each timed, with the listing as the request."""

import asyncio
import ipaddress
import socket
import time
from urllib.parse import urlsplit

from monitor.access.diagnosis.advice import owner_of, steps_of
from monitor.access.observation import Failure, Observation
from monitor.access.words import Code, Owner, ProbeKind
from monitor.oneshot.checkup.checkup_context import CheckupContext
from monitor.oneshot.checkup.results import CheckFinding
from monitor.probing import proxy_for

NAME, CONNECTION, TLS, FIRST_BYTE = "name_resolution", "connection", "tls", "first_byte"

#: Seconds for the resolver.
_RESOLVE = 15.0


async def check(context: CheckupContext) -> CheckFinding | None:
    """The way to the route's host, or to the proxy before it. Without an answer there is no more to ask."""
    proxy = proxy_for(context.route.base_url)
    url = urlsplit(proxy or context.route.base_url)
    host, port = url.hostname or "", url.port or (443 if url.scheme == "https" else 80)
    if not await _resolves(context, host, port):
        for name in (CONNECTION, TLS, FIRST_BYTE):
            context.skipped(name, "the name has no address")
        return _stopped(f"The name {host} cannot be resolved here.")
    context.listing = listing = await context.prober.probe(
        context.credentials, context.plan.target.capability, ProbeKind.LISTING
    )
    failed = _failed(listing, tls=context.route.base_url.startswith("https:"))
    where = f"{host} port {port}" + (f", the proxy {proxy}" if proxy else "")
    steps = (
        (CONNECTION, listing.timings.connect, where),
        (TLS, listing.timings.tls, "handshake and certificate are good"),
        (FIRST_BYTE, listing.timings.first_byte, f"GET /models: {listing.status}"),
    )
    for number, (name, took, evidence) in enumerate(steps):
        if name == failed:
            context.problem(name, listing.failure_text, listing.timings.total)
            for later, _, _ in steps[number + 1 :]:
                context.skipped(later, f"not reached: {name} failed")
            said = f"{name.replace('_', ' ').capitalize()} failed: {listing.failure_text}."
            return _stopped(f"{said} {steps_of(listing.failure)}", owner_of(listing.failure))
        if name == TLS and not context.route.base_url.startswith("https:"):
            context.skipped(name, "plain HTTP, on this machine")
        else:
            context.ok(name, evidence, took)
    return None


async def _resolves(context: CheckupContext, host: str, port: int) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        pass
    else:
        context.ok(NAME, f"{host} is an address")
        return True
    began = time.monotonic()
    try:
        async with asyncio.timeout(_RESOLVE):
            found = await asyncio.get_running_loop().getaddrinfo(host, port)
    except (OSError, UnicodeError) as error:  # a timeout is an OSError, too
        silent = isinstance(error, TimeoutError) or (
            isinstance(error, socket.gaierror) and error.errno == socket.EAI_AGAIN
        )
        why = "no name server answers" if silent else "the name is unknown"
        context.problem(NAME, f"{host}: {why}", _since(began))
        return False
    addresses = list(dict.fromkeys(str(one[4][0]) for one in found))
    context.ok(NAME, f"{host}: {', '.join(addresses[:4])}", _since(began))
    return True


def _failed(listing: Observation, *, tls: bool) -> str | None:
    """The step that failed, None for none."""
    match listing.failure:
        case None:
            return None
        case (
            Failure.NAME_RESOLUTION
            | Failure.CONNECT
            | Failure.REFUSED
            | Failure.CONNECT_TIMEOUT
            | Failure.PROXY
        ):
            return CONNECTION
        case Failure.TLS | Failure.CERTIFICATE | Failure.NO_TLS:
            return TLS
        case _ if listing.timings.connect is None:
            return CONNECTION
        case _ if tls and listing.timings.tls is None:
            return TLS
        case _:
            return FIRST_BYTE


def _stopped(note: str, owner: Owner = Owner.NETWORK) -> CheckFinding:
    return CheckFinding(Code.NETWORK_ERROR, owner, note=note)


def _since(began: float) -> float:
    return (time.monotonic() - began) * 1000
