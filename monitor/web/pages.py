"""The pages, as HTML from the server. Each works without JavaScript; all addresses are relative."""

import asyncio
import json
import math
import re
import time
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from functools import wraps
from typing import Any
from urllib.parse import urlencode

from aiohttp import web
from markupsafe import Markup

from monitor.access.databases import Database
from monitor.access.diagnosis.advice import advise
from monitor.access.readable import many
from monitor.access.words import DeclarationKind, State
from monitor.oneshot.evidence_text import markdown
from monitor.store import queries, target_queries
from monitor.store.inbox import DECLARE, END_SILENCE, PROBE, RETRY, SILENCE
from monitor.store.records import NotificationState, RouteOfModel, TargetStatus
from monitor.store.target_queries import TargetRecord, target_record
from monitor.web import page_values as values
from monitor.web.drawings import Drawer
from monitor.web.http_api import COMPARED, DESCRIBED
from monitor.web.inbox_requests import SAID, told
from monitor.web.page_values import Chosen
from monitor.web.permissions import RefusedError
from monitor.web.rendering import page, static
from monitor.web.site import (
    COOKIE,
    UNREADABLE,
    address_of,
    evidence_of,
    is_secure,
    see_other,
    site_of,
    visitor_of,
)
from monitor.web.snapshots import Reader, Snapshot, TargetGroup

_Handler = Callable[[web.Request], Awaitable[web.Response]]

#: Rows of one page: targets, events, notifications, groups of waits, openings.
_TARGETS, _EVENTS, _NOTIFICATIONS, _GROUPS, _OPENINGS = 50, 50, 100, 100, 20
#: The addresses of forms, with the kinds that they have in the inbox, and the pages that they lead back to.
_FORMS = {
    "/declare": (DECLARE, "./"),
    "/probe": (PROBE, "./"),
    "/retry": (RETRY, "notifications"),
    "/silences": (SILENCE, "silences"),
    "/end-silence": (END_SILENCE, "silences"),
}
#: None: a browser then sends the cookie to what lies beside the page only, also below a path of a proxy.
_COOKIE_PATH = ""
#: Pages of one reading of the targets that are kept for others who ask for them.
_PAGES_MOST = 16
#: The narrowest change in a timeline among fifty, in its units: about a pixel.
_COARSE = 2.0


def routes() -> list[web.AbstractRouteDef]:
    """All addresses of pages, of what they are made of, and of their forms."""
    return [
        web.get("/", overview),
        web.get("/target", target),
        web.get("/evidence", evidence),
        web.get("/propagation", propagation),
        web.get("/notifications", notifications),
        web.get("/silences", silences),
        web.get("/api", api_page),
        web.get("/login", login),
        web.post("/login", sign_in),
        web.post("/sign-out", sign_out),
        web.get("/static/{name}", static),
        web.get("/healthz", healthz),
        *(web.post(address, taken) for address in _FORMS),
    ]


# --- pages ---


def _made_once(handler: _Handler) -> _Handler:
    """Give who asks for the same the page that another got, until the targets are read anew."""

    @wraps(handler)
    async def answer(request: web.Request) -> web.Response:
        if SAID in request.query:  # what became of a request changes meanwhile
            return await handler(request)
        snapshot = await site_of(request).reader.snapshot()
        pages = snapshot.pages
        name = (request.path_qs, visitor_of(request))  # who may write gets forms
        async with snapshot.making.setdefault(name, asyncio.Lock()):
            if name not in pages:
                async with snapshot.turns:
                    made = await handler(request)
                if len(pages) < _PAGES_MOST and made.status == 200:
                    pages[name] = made.body, made.headers.copy()
                return made
        body, headers = pages[name]
        return web.Response(body=body, headers=headers)

    return answer


@_made_once
async def overview(request: web.Request) -> web.Response:
    """The answer in one sentence, then every organization with its targets."""
    site, chosen = site_of(request), Chosen.of(request.query)
    snapshot = await site.reader.snapshot()
    found = values.chosen_targets(snapshot, chosen)
    last = max(math.ceil(len(found) / _TARGETS), 1)
    number = min(chosen.page, last)
    shown = found[(number - 1) * _TARGETS : number * _TARGETS]
    names = [one.target for _, one in shown]
    drawer = await _drawer(site.reader, names, chosen, snapshot.at, finest=_COARSE)
    groups: dict[TargetGroup, list[tuple[TargetStatus, Markup]]] = {}
    for group, one in shown:
        groups.setdefault(group, []).append((one, drawer.draw(one)))
    return await page(
        request, "overview.html", values.headline(snapshot), here="Overview", snapshot=snapshot,
        chosen=chosen, groups=groups, pools=() if chosen.pool else snapshot.pools.values(),
        pages={"number": number, "last": last, "count": len(found)}, time_axis=drawer.axis,
        states=[*State, "blocked"],
    )  # fmt: skip


@_made_once
async def target(request: web.Request) -> web.Response:
    """One target: its timeline, what to do now, its answers, its events and who was told."""
    site, chosen = site_of(request), Chosen.of(request.query)
    snapshot = await site.reader.snapshot()
    status = snapshot.by_name.get(chosen.name)
    if status is None and chosen.name not in await site.reader.ask(queries.names):
        raise RefusedError(404, f"no target is named {chosen.name!r}")
    rows = await site.reader.ask(
        queries.history, chosen.name, limit=_EVENTS + 1, before=chosen.before or None
    )
    older = rows[1].event.id if len(rows) > _EVENTS else 0
    shown: dict[str, Any] = {
        "chosen": chosen, "events": list(reversed(rows[-_EVENTS:])), "older": older, "snapshot": snapshot,
        "status": status,
    }  # fmt: skip
    said = f"{chosen.name} left the settings"
    if status:
        said = f"{chosen.name} is {status.state}"
        shown |= await _of_target(request, status, chosen, snapshot)
    return await page(request, "target.html", said, **shown)


async def _of_target(
    request: web.Request, status: TargetStatus, chosen: Chosen, snapshot: Snapshot
) -> dict[str, Any]:
    reader = site_of(request).reader
    drawer = await _drawer(reader, [status.target], chosen, snapshot.at)
    record: TargetRecord = await reader.ask(target_record, status.target, for_support=False)
    compared = await reader.lately(_compared, status.model, str(status.surface))
    code = status.blocker or status.last_diagnosis
    return {
        "advice": advise(code, None, None) if code else None,
        "time_axis": drawer.axis,
        "timeline": drawer.draw(status),
        "record": record,
        "routes": compared,
        "declarations": list(DeclarationKind),
    }


async def _drawer(
    reader: Reader, targets: Sequence[str], chosen: Chosen, now: datetime, *, finest: float = 0.5
) -> Drawer:
    since = now - values.RANGES[chosen.range]
    return Drawer(
        await reader.ask(target_queries.timelines, targets, since), since, now, finest=finest
    )


def _compared(database: Database, model: str, surface: str) -> list[RouteOfModel]:
    since = datetime.now(UTC) - COMPARED
    return queries.routes(database, since=since, of=(model, surface))


async def evidence(request: web.Request) -> web.Response:
    """The bundle for support: to read, or to download."""
    site, name = site_of(request), request.query.get("name", "")[:500]
    made = await evidence_of(site, name)
    how = request.query.get("format", "")
    text = json.dumps(made, indent=2) if how == "json" else markdown(made)
    if how in ("json", "markdown"):
        kind, ending = ("application/json", "json") if how == "json" else ("text/markdown", "md")
        file = "".join(char if char.isalnum() or char in "-." else "_" for char in name)
        return web.Response(
            text=text,
            content_type=kind,
            headers={
                "Content-Disposition": f'attachment; filename="evidence-{file[:100]}.{ending}"'
            },
        )
    return await page(request, "evidence.html", f"Evidence: {name}", name=name, text=text)


async def propagation(request: web.Request) -> web.Response:
    """How long openings took, and where the waiting ones stand."""
    site = site_of(request)
    snapshot = await site.reader.snapshot()
    waits = await site.reader.lately(_waits)
    said = f"{many(waits.openings, 'opening')} recorded"
    return await page(
        request, "propagation.html", f"{said}, {waits.waiting:,} waiting", here="Propagation",
        snapshot=snapshot, waits=waits,
    )  # fmt: skip


def _waits(database: Database) -> values.Waits:
    found = queries.propagation(database, now=datetime.now(UTC))
    return values.waits_of(found, groups=_GROUPS, newest=_OPENINGS)


async def notifications(request: web.Request) -> web.Response:
    """What is pending, dead, silenced or delivered, and why."""
    site = site_of(request)
    wanted = request.query.get("state", "")
    state = (
        NotificationState(wanted) if wanted in set(NotificationState) else NotificationState.PENDING
    )
    before = values.whole(request.query.get("before", "")) or None
    rows = await site.reader.ask(queries.alerts, state, limit=_NOTIFICATIONS + 1, before=before)
    snapshot = await site.reader.snapshot()
    status = snapshot.status
    said = f"{status.pending:,} pending, {status.dead:,} dead notifications"
    if status.silenced:
        said = f"{status.pending:,} pending, {status.dead:,} dead, {status.silenced:,} silenced notifications"
    elif not status.pending and not status.dead:
        said = "Everything was told"
    older = rows[1].id if len(rows) > _NOTIFICATIONS else 0
    return await page(
        request, "notifications.html", said, here="Notifications", snapshot=snapshot,
        rows=list(reversed(rows[-_NOTIFICATIONS:])), older=older, states=list(NotificationState),
        chosen={"state": state},
    )  # fmt: skip


async def silences(request: web.Request) -> web.Response:
    """What is not told at present, by whom and until when; and what ended lately."""
    reader = site_of(request).reader
    snapshot = await reader.snapshot()
    in_force, ended = await reader.ask(queries.silences, datetime.now(UTC))
    said = f"{many(len(in_force), 'silence')} in force" if in_force else "Nothing is silenced"
    return await page(
        request, "silences.html", said, here="Silences", snapshot=snapshot,
        in_force=in_force, ended=ended, pattern=request.query.get("pattern", "")[:500],
    )  # fmt: skip


async def api_page(request: web.Request) -> web.Response:
    """The API, as a page."""
    return await page(request, "api.html", "The API", routes=DESCRIBED)


# --- signing in ---


#: A page of this site and what it is asked for, from its root: no other site can be named so.
_PLACE = re.compile(r"[a-z]{0,20}(\?[!-~]{0,2000})?")


async def login(request: web.Request) -> web.Response:
    """The form for a token; `to` is the page that was asked for, and is shown afterwards."""
    return await _login(request, request.query.get("to", ""))


async def _login(request: web.Request, to: str, why: str = "", http: int = 200) -> web.Response:
    return await page(request, "login.html", "Sign in", to=to, why=why, http=http)


async def sign_in(request: web.Request) -> web.Response:
    """Take a token and begin a session."""
    form = await _form(request)
    to = form.get("to", "")
    permissions, now = site_of(request).permissions, time.monotonic()
    try:
        visitor = permissions.by_token(form.get("token", "").strip(), address_of(request), now)
    except RefusedError:
        return await _login(request, to, "Too many wrong tokens: wait a minute.", 429)
    if visitor is None:
        return await _login(request, to, "No such token.", 403)
    response = see_other("./" + (to if _PLACE.fullmatch(to) else ""))
    response.set_cookie(
        COOKIE,
        permissions.sign_in(visitor, now),
        path=_COOKIE_PATH,
        httponly=True,
        samesite="Strict",
        secure=is_secure(request),
    )
    return response


async def sign_out(request: web.Request) -> web.Response:
    """End the session."""
    site_of(request).permissions.sign_out(request.cookies.get(COOKIE, ""))
    response = see_other("login")
    response.del_cookie(COOKIE, path=_COOKIE_PATH)
    return response


# --- writing ---


async def taken(request: web.Request) -> web.Response:
    """Hand a form to the daemon, and lead back to the page that it came from."""
    form = await _form(request)
    kind, back = _FORMS[request.path]
    number = await told(site_of(request), visitor_of(request), kind, form)
    query = {SAID: str(number)}
    if name := form.get("target"):
        back, query = "target", {"name": name, **query}
    return see_other(f"{back}?{urlencode(query)}")


async def _form(request: web.Request) -> dict[str, str]:
    """The values of a form."""
    try:
        return {name: str(value) for name, value in (await request.post()).items()}
    except UNREADABLE:
        raise RefusedError(400, "the form cannot be read") from None


async def healthz(request: web.Request) -> web.Response:
    """Whether this process can read its database."""
    await site_of(request).reader.snapshot()
    return web.Response(text="ok\n")
