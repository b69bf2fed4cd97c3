"""What the handlers of pages and API share: the parts of the process, who asks, and the target asked for."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from aiohttp import web

from monitor.config import Settings
from monitor.oneshot.evidence_bundle import Asked, bundle
from monitor.store.records import TargetStatus
from monitor.store.target_queries import target_record
from monitor.web.live_events import LiveEvents
from monitor.web.permissions import Permissions, RefusedError, Visitor, names_this_machine
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


async def target_named(site: Site, name: str) -> TargetStatus:
    """The active target of this name. Raises RefusedError when there is none."""
    status = (await site.reader.snapshot()).by_name.get(name)
    if status is None:
        raise RefusedError(404, f"no target is named {name[:500]!r}")
    return status


async def evidence_of(site: Site, name: str) -> dict[str, Any]:
    """The bundle for support. Raises RefusedError when the settings have no such target or route any more."""
    status = await target_named(site, name)
    settings, route = site.settings, site.settings.routes.get(status.route)
    if route is None:
        raise RefusedError(404, f"the settings have no route {status.route} any more")
    record = await site.reader.ask(target_record, status.target)
    asked = Asked(
        route=route,
        catalog=settings.catalog,
        reference=_reference(settings, status.key),
        fingerprint=None,  # that needs the key
        rules=None,
    )
    return bundle(record, asked, datetime.now(UTC))


def _reference(settings: Settings, key: str) -> str:
    """How the settings name a key's secret."""
    if pool := settings.pool_of(key):
        return pool.secrets.reference
    own = (one.secret.reference for one in settings.keys if one.name == key)
    return next(own, "unknown to these settings")
