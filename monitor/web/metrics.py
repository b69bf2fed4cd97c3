"""`/metrics`: what the database knows, in the forms that Prometheus reads."""

import asyncio

from aiohttp import web

from monitor.store.status_queries import figures
from monitor.web.permissions import RefusedError
from monitor.web.site import site_of


def routes() -> list[web.AbstractRouteDef]:
    """The address of the metrics."""
    return [web.get("/metrics", metrics)]


async def metrics(request: web.Request) -> web.Response:
    """Everything as of a moment ago; with `?pool=NAME` each target of that pool, too."""
    # here, so that a page without Prometheus does not keep its library in memory
    from monitor.web.metric_families import exposition  # noqa: PLC0415

    site = site_of(request)
    pools = frozenset(pool.name for pool in site.settings.pools)
    asked = frozenset(request.query.getall("pool", []))
    if unknown := asked - pools:
        raise RefusedError(400, f"no pool is named {min(unknown)[:500]!r}")
    reader = site.reader
    # each set of pools would be kept with all its targets
    found = await (reader.ask if asked else reader.lately)(figures, pools, asked)
    body, form = await asyncio.to_thread(
        exposition, found, site.settings, request.headers.get("Accept", "")
    )
    return web.Response(body=body, headers={"Content-Type": form})
