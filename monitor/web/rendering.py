"""How a page is made: its template, what surrounds its content, its files; and how errors are told."""

import hashlib
import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

from aiohttp import web
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from monitor import __version__
from monitor.access.readable import ago, duration, milliseconds, next_probe_text, printable, utc
from monitor.store import queries
from monitor.store.status_queries import trouble
from monitor.web import page_values as values
from monitor.web.inbox_requests import SAID
from monitor.web.permissions import RefusedError
from monitor.web.site import VISITOR, root_of, site_of

_HERE = Path(__file__).parent


def _printable(value: Any) -> Any:
    """What is shown: words of servers and names lose what would move other words about."""
    if not isinstance(value, str) or isinstance(value, Markup):
        return value
    return "\n".join(map(printable, value.split("\n")))


@cache
def _templates() -> Environment:
    made = Environment(
        loader=FileSystemLoader(_HERE / "templates"), autoescape=True, undefined=StrictUndefined,
        finalize=_printable, trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    made.filters |= {
        "ago": ago,
        "cadence_adds": values.cadence_adds,
        "counts": values.counts_of,
        "last_answer": values.last_answer,
        "minute": values.minute,
        "ms": milliseconds,
        "next_probe": lambda one, now: next_probe_text(one.next_probe_at, one.held_by, now),
        "query": lambda parts: (
            "?" + urlencode({name: value for name, value in parts.items() if value})
        ),
        "second": values.second,
        "silences_of": values.silences_of,
        "utc": utc,
        "wait": lambda seconds: "-" if seconds is None else duration(seconds),
        "with": lambda chosen, **changes: chosen.address(**changes),
        "words": values.words,
    }
    made.globals |= {"program": __version__, "version": _version()}
    return made


@cache
def _version() -> str:
    """Changes with the static files, so that browsers may keep them."""
    hashed = hashlib.sha256()
    for path in sorted((_HERE / "static").iterdir()):
        hashed.update(path.read_bytes())
    return hashed.hexdigest()[:12]


async def page(
    request: web.Request, template: str, title: str, *, http: int = 200, **shown: Any
) -> web.Response:
    """The page, or only its content where the script asks for that; what shows a snapshot is live."""
    fragment = "fragment" in request.query
    if fragment:
        shown["layout"] = "fragment.html"
    if snapshot := shown.get("snapshot"):
        shown |= {"live": True, "now": snapshot.at, "said": await _said(request)}
        shown["trouble"] = trouble(snapshot.status.daemon, snapshot.at)
    made = _rendered(request, template, title, http, shown)
    if fragment:
        made.headers["X-Title"] = quote(f"{title} · access-monitor")
    return made


def _rendered(
    request: web.Request, template: str, title: str, http: int, shown: Mapping[str, Any]
) -> web.Response:
    usual = {
        "layout": "base.html", "here": None, "live": False, "retry": "", "root": "", "title": title,
        "visitor": request.get(VISITOR), "offer_sign_in": not site_of(request).permissions.open_to_all,
    }  # fmt: skip
    text = _templates().get_template(template).render({**usual, **shown})
    return web.Response(text=text, content_type="text/html", status=http)


def brief_page(request: web.Request, status: int, why: str) -> web.Response:
    """What went wrong, and the way back; a page that asks again by itself when that may help."""
    heading = {
        200: "One moment", 403: "Not allowed", 404: "Not found", 405: "Not possible", 413: "Too large",
        421: "Wrong name", 429: "Too many tries", 503: "Not now",
    }.get(status, "Something went wrong" if status >= 500 else "Not understood")  # fmt: skip
    seconds = {200: "0", 503: "5"}.get(status, "") if request.method == "GET" else ""
    shown = {"why": why, "retry": seconds, "root": root_of(request), "offer_sign_in": False}
    return _rendered(request, "error.html", heading, status, shown)


def problem(status: int, why: str) -> web.Response:
    """An error as RFC 9457 has it."""
    body = {
        "type": "about:blank",
        "title": _TITLES.get(status, "Error"),
        "status": status,
        "detail": why,
    }
    headers = {"WWW-Authenticate": "Bearer"} if status == 401 else {}
    return web.Response(
        text=json.dumps(body),
        status=status,
        content_type="application/problem+json",
        headers=headers,
    )


_TITLES = {
    400: "Bad request", 401: "Unauthorized", 403: "Forbidden", 404: "Not found", 405: "Method not allowed",
    413: "Too large", 421: "Misdirected", 429: "Too many requests", 500: "Internal error",
    503: "Not available",
}  # fmt: skip


_KINDS = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}


@cache
def _static() -> dict[str, Path]:
    """The files by name: what is asked for is never made into a path."""
    return {path.name: path for path in (_HERE / "static").iterdir() if path.suffix in _KINDS}


async def static(request: web.Request) -> web.Response:
    """A style sheet, script or picture of our own."""
    path = _static().get(request.match_info["name"])
    if path is None:
        raise RefusedError(404, "there is no such file")
    return web.Response(
        body=path.read_bytes(), content_type=_KINDS[path.suffix], charset="utf-8",
        headers={"Cache-Control": "public, max-age=31536000, immutable"},
    )  # fmt: skip


async def _said(request: web.Request) -> str:
    """What became of the request that the address names."""
    number = values.whole(request.query.get(SAID, ""))
    found = await site_of(request).reader.ask(queries.request, number) if number else None
    if found is None:
        return ""
    if found["state"] == "waiting":
        return f"{found['kind']}: handed to the daemon, which takes it within 2 s while it runs."
    if error := (found["reply"] or {}).get("error"):
        return f"{found['kind']}: refused by the daemon: {error}."
    return f"{found['kind']}: taken by the daemon."
