"""The web process: its parts, what surrounds every request, how it starts and stops."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from urllib.parse import urlencode

import structlog
from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError
from aiohttp.typedefs import Handler

from monitor.access.readable import ReadableError
from monitor.config import Settings
from monitor.config.web_section import Address, Right, Web
from monitor.store.errors import StoreError
from monitor.web import http_api, pages, rendering
from monitor.web.live_events import LiveEvents
from monitor.web.permissions import (
    HashedToken,
    Permissions,
    RefusedError,
    Visitor,
    names_this_machine,
    same_origin,
)
from monitor.web.site import (
    COOKIE,
    SITE,
    VISITOR,
    Site,
    address_of,
    is_api,
    is_trusted,
    root_of,
    see_other,
    site_of,
)
from monitor.web.snapshots import Reader

log = structlog.get_logger()

#: Bytes of a request's body: a form, or a silence as JSON.
_BODY_MOST = 64 * 1024
#: Bytes of an address: two names of 500 characters, each of which may take twelve.
_LINE_MOST = 16 * 1024
#: Seconds for one answer that is no stream; and for its reader to take it.
_ANSWER_MOST = 20.0
#: Seconds for a request's head to come, and of a connection on which nothing is asked.
_IDLE_MOST = 30.0
#: Seconds for open requests to end at a stop.
_STOP_MOST = 1.0

#: What may be asked for without a token, and without the right to write: what signing in and out needs.
_PUBLIC = ("/login", "/sign-out", "/static/", "/healthz")

_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self';"
    " connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    # other sites learn nothing; with "no-referrer" a browser would not name the origin of our own forms
    "Referrer-Policy": "same-origin",
    "X-Frame-Options": "DENY",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}


def application(settings: Settings, tokens: Sequence[HashedToken]) -> web.Application:
    """The application on the database of these settings; of secrets it knows its tokens' hashes only."""
    reader = Reader(settings.database, [pool.name for pool in settings.pools])
    site = Site(
        settings=settings,
        permissions=Permissions(tokens),
        reader=reader,
        live=LiveEvents(reader),
    )
    app = web.Application(middlewares=[_outermost, _admitted], client_max_size=_BODY_MOST)
    app[SITE] = site
    app.add_routes([*pages.routes(), *http_api.routes()])
    app.on_shutdown.append(_end_streams)
    app.on_cleanup.append(_close)
    return app


async def _end_streams(app: web.Application) -> None:
    await app[SITE].live.end()


async def _close(app: web.Application) -> None:
    app[SITE].reader.close()


class StartError(ReadableError):
    """It must not, or cannot, listen there. The text says what to do."""


def require_allowed(web_settings: Web, listen: Address) -> None:
    """Raise StartError where anybody could read who can connect from elsewhere."""
    if not (listen.loopback or web_settings.tokens or web_settings.behind_proxy):
        raise StartError(
            f"{listen} can be reached from other machines, and there are no tokens: add [[web.tokens]] to"
            " the settings, or behind_proxy = true under [web] where a proxy decides who may read"
        )


async def serve(
    app: web.Application,
    listen: Address,
    stop: asyncio.Future[int],
    report: Callable[[str, LiveEvents], Awaitable[None]],
) -> int:
    """Answer until `stop` has a signal's number, which is returned. Raises StartError.

    `report` runs meanwhile, with the page's address.
    """
    runner = web.AppRunner(
        app,
        access_log=None,
        shutdown_timeout=_STOP_MOST,
        handler_cancellation=True,
        keepalive_timeout=_IDLE_MOST,
        max_line_size=_LINE_MOST,
    )
    logging.getLogger("aiohttp.server").addFilter(_worth_a_line)
    await runner.setup()
    try:
        tcp = web.TCPSite(runner, listen.host, listen.port)
        try:
            await tcp.start()
        except OSError as error:
            raise StartError(f"cannot listen on {listen}: {error.strerror or error}") from None
        host, port = runner.addresses[0][:2]
        url = f"http://{Address(host, port)}/"
        log.info("web_started", url=url)
        reporting = asyncio.ensure_future(report(url, app[SITE].live))
        try:
            return await stop
        finally:
            reporting.cancel()
    finally:
        await runner.cleanup()
        log.info("web_stopped")


def _worth_a_line(record: logging.LogRecord) -> bool:
    """What is no HTTP is its sender's business, and answered with 400: who sends it must not fill the log."""
    return not (record.exc_info and isinstance(record.exc_info[1], HttpProcessingError))


# --- what surrounds every request, from the outside in ---


@web.middleware
async def _outermost(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Bound the time, turn errors into answers that keep the way back, and add the headers of all answers."""
    # a stream is bounded by who holds it
    most = None if request.path == "/api/v1/events" else _ANSWER_MOST
    try:
        async with asyncio.timeout(most):
            response = await handler(request)
    except web.HTTPException as error:
        response = _failed(request, error.status, error.reason)
        if "Allow" in error.headers:
            response.headers["Allow"] = error.headers["Allow"]
    except RefusedError as error:
        response = _failed(request, error.status, error.why)
    except StoreError as error:
        response = _failed(request, 503, str(error))
    except TimeoutError:
        response = _failed(request, 503, "the answer took too long")
    except (asyncio.CancelledError, ConnectionError):
        raise
    except Exception:
        log.exception("request_failed", path=request.path)
        response = _failed(request, 500, "a defect of access-monitor; its log says more")
    if not response.prepared:
        for name, value in _HEADERS.items():
            response.headers.setdefault(name, value)
        if is_trusted(request):  # elsewhere browsers complain of it on their consoles
            response.headers["Cross-Origin-Opener-Policy"] = "same-origin"
    await _send(request, response)
    return response


async def _send(request: web.Request, response: web.StreamResponse) -> None:
    """Send an answer. Who takes nothing loses the connection: what waits for a reader takes memory."""
    try:
        async with asyncio.timeout(_ANSWER_MOST):
            await response.prepare(request)
            await response.write_eof()
    except (TimeoutError, ConnectionError):
        if request.transport is not None:
            request.transport.abort()


def _failed(request: web.Request, status: int, why: str) -> web.Response:
    made = (
        rendering.problem(status, why)
        if is_api(request)
        else rendering.brief_page(request, status, why)
    )
    if status == 503:
        made.headers["Retry-After"] = "5"
    return made


@web.middleware
async def _admitted(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Find out who asks, and let nobody in who may not."""
    site = site_of(request)
    web_settings, permissions = site.settings.web, site.permissions
    if (
        permissions.open_to_all
        and not web_settings.behind_proxy
        and not names_this_machine(request.host)
    ):
        raise RefusedError(421, "ask for it as localhost or 127.0.0.1")
    visitor, by_cookie = _visitor(request, permissions)
    if visitor is None and not request.path.startswith(_PUBLIC):
        if is_api(request):
            raise RefusedError(401, "needs a token: Authorization: Bearer …")
        if request.method == "GET" and request.headers.get("Sec-Fetch-Site") == "cross-site":
            # browsers withhold the session from a link on another site, such as an alert in a web mail
            return rendering.brief_page(request, 200, "This page is asked for anew.")
        asked = request.path_qs.removeprefix("/") if request.method == "GET" else ""
        to = "?" + urlencode({"to": asked}) if asked else ""
        return see_other(root_of(request) + "login" + to)
    request[VISITOR] = visitor or Visitor(None, Right.READ)
    if request.method not in ("GET", "HEAD", "OPTIONS"):
        # a token in a header is no browser's own doing; all else could be another site's form
        if (by_cookie or visitor is None or visitor.name is None) and not same_origin(
            request.headers
        ):
            raise RefusedError(403, "this came from another site")
        if not request.path.startswith(_PUBLIC) and not request[VISITOR].may_write:
            raise RefusedError(403, "reading is allowed here, writing needs a token for it")
    return await handler(request)


def _visitor(request: web.Request, permissions: Permissions) -> tuple[Visitor | None, bool]:
    """Who asks, None for somebody unknown; and whether a cookie says so."""
    if permissions.open_to_all:
        return Visitor(None, Right.READ), False
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        return permissions.by_token(token.strip(), address_of(request), time.monotonic()), False
    cookie = request.cookies.get(COOKIE)
    return (permissions.by_session(cookie, time.monotonic()) if cookie else None), True
