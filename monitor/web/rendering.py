"""How a page is made: its template, what surrounds its content, its files, and the page of an error."""

import hashlib
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

from aiohttp import web
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from monitor import __version__
from monitor.access.readable import ago, duration, milliseconds, printable, utc
from monitor.store import queries
from monitor.store.status_queries import trouble
from monitor.web import page_values as values
from monitor.web.permissions import RefusedError
from monitor.web.requests import SAID
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
        "minute": values.minute,
        "ms": milliseconds,
        "query": lambda parts: (
            "?" + urlencode({name: value for name, value in parts.items() if value})
        ),
        "second": values.second,
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
    request: web.Request,
    template: str,
    here: str | None,
    title: str,
    *,
    http: int = 200,
    live: bool = True,
    **shown: Any,
) -> web.Response:
    """The page, or only its content where the script asks for that."""
    site, fragment = site_of(request), "fragment" in request.query
    snapshot = shown.get("snapshot")
    around: dict[str, Any] = {
        "layout": "fragment.html" if fragment else "base.html",
        "title": title, "headline": title, "here": here, "live": live, "retry": False,
        "visitor": request.get(VISITOR), "offer_sign_in": not site.permissions.open_to_all,
        "said": "", "trouble": None, "now": None, "root": "",
    }  # fmt: skip
    if snapshot:
        around["now"] = snapshot.at
        around["trouble"] = trouble(snapshot.status.daemon, snapshot.at)
        around["said"] = await _said(request)
    text = _templates().get_template(template).render(around | shown)
    headers = {"X-Title": quote(f"{title} · access-monitor")} if fragment else {}
    return web.Response(text=text, content_type="text/html", status=http, headers=headers)


def error_page(request: web.Request, status: int, why: str) -> web.Response:
    """What went wrong, and the way back; a page that asks again by itself when that may help."""
    heading = {
        403: "Not allowed", 404: "Not found", 405: "Not possible", 413: "Too large",
        421: "Wrong name", 429: "Too many tries", 503: "Not now",
    }.get(status, "Something went wrong" if status >= 500 else "Not understood")  # fmt: skip
    text = _templates().get_template("error.html").render(
        layout="base.html", title=heading, heading=heading, why=why, here=None, live=False,
        retry="5" if status == 503 and request.method == "GET" else "", root=root_of(request),
        visitor=request.get(VISITOR), offer_sign_in=False,
    )  # fmt: skip
    return web.Response(text=text, content_type="text/html", status=status)


def own_page(request: web.Request) -> web.Response:
    """A page of this site that asks for the same address anew, now with the session if there is one."""
    text = _templates().get_template("error.html").render(
        layout="base.html", title="One moment", heading="One moment", why="This page is asked for anew.",
        here=None, live=False, retry="0", root=root_of(request), visitor=None, offer_sign_in=False,
    )  # fmt: skip
    return web.Response(text=text, content_type="text/html")


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
