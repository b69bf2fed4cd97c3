"""What the handlers of pages and API share: the parts of the process, and who asks."""

from dataclasses import dataclass

from aiohttp import web

from monitor.config import Settings
from monitor.web.live_events import LiveEvents
from monitor.web.permissions import Permissions, Visitor, names_this_machine
from monitor.web.snapshots import Reader

COOKIE = "access_monitor_session"
#: What reading a body raises that is not what it says it is.
UNREADABLE = (ValueError, LookupError, RecursionError, RuntimeError, web.RequestPayloadError)
VISITOR = web.RequestKey("visitor", Visitor)


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """The parts of the process that answers."""

    settings: Settings
    permissions: Permissions
    reader: Reader
    live: LiveEvents


SITE = web.AppKey("site", Site)


def site_of(request: web.Request) -> Site:
    """The parts of the process that answers."""
    return request.app[SITE]


def visitor_of(request: web.Request) -> Visitor:
    """Who asks."""
    return request[VISITOR]


def address_of(request: web.Request) -> str:
    """Where the request comes from; behind a proxy the last address that the proxy names."""
    if site_of(request).settings.web.behind_proxy:
        named = request.headers.get("X-Forwarded-For", "").rpartition(",")[2].strip()
        if named:
            return named[:100]
    return request.remote or ""


def is_secure(request: web.Request) -> bool:
    """Whether the browser speaks TLS, to us or to the proxy in front."""
    return request.secure or request.headers.get("X-Forwarded-Proto") == "https"


def is_trusted(request: web.Request) -> bool:
    """Whether browsers take the page's origin for one that nobody on the way can forge."""
    return is_secure(request) or names_this_machine(request.host)


def is_api(request: web.Request) -> bool:
    """Whether a program asks: it gets errors as JSON, and no page to sign in."""
    return request.path.startswith(("/api/", "/metrics", "/healthz"))


def root_of(request: web.Request) -> str:
    """The way from this address up to the overview: addresses are relative, below any path of a proxy."""
    # as the browser counts them: an encoded slash is none
    return "../" * (request.rel_url.raw_path.count("/") - 1)


def see_other(place: str) -> web.Response:
    """Lead a browser on to another page."""
    return web.Response(status=303, headers={"Location": place})
