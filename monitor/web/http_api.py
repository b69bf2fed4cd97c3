"""The API: every page's data as JSON, in the shapes of the command line, and the metrics.

Writes go to the daemon's inbox.
"""

import asyncio
import hashlib
import json
from collections import deque
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from aiohttp import web

from monitor.access.databases import Database
from monitor.access.diagnosis.advice import advise
from monitor.access.readable import utc
from monitor.access.wait_times import Opening, Samples
from monitor.access.words import State
from monitor.config.problems import suggestion
from monitor.store import queries
from monitor.store.inbox import DECLARE, END_SILENCE, PROBE, RETRY, SILENCE
from monitor.store.record_forms import as_json
from monitor.store.records import NotificationState
from monitor.store.status_queries import figures, trouble
from monitor.store.target_queries import target_record
from monitor.web import page_values as values
from monitor.web import shapes
from monitor.web.inbox_requests import told
from monitor.web.permissions import RefusedError
from monitor.web.shapes import Described, Parameter, document
from monitor.web.site import UNREADABLE, evidence_of, site_of, target_named, visitor_of

BASE = "/api/v1"
#: Rows of one answer, unless fewer are asked for.
LIMIT = 500
#: The time over which routes are compared.
COMPARED = timedelta(days=7)


def _one_of(*words: str) -> dict[str, Any]:
    """One of these words; nothing means all, as a form sends it."""
    return {"type": "string", "enum": [*words, ""]}


_TEXT = {"type": "string", "maxLength": 500, "pattern": "^[^\\x00]*$"}
_ID = {"type": "integer", "minimum": 1, "maximum": values.WHOLE_MOST}
_NAME = Parameter("name", "a target's name, in full", _TEXT, needed=True)
_CURSOR = Parameter("before", "only rows before this id: the `next` of the page before", _ID)
_PAGE = Parameter("limit", f"at most so many rows, {LIMIT} without", {**_ID, "maximum": LIMIT})


def routes() -> list[web.AbstractRouteDef]:
    """The addresses of the API and of the metrics."""
    return [
        *(web.route(one.method, BASE + one.path, one.handler) for one in DESCRIBED),
        web.get(f"{BASE}/openapi.json", openapi),
        web.get("/metrics", metrics),
    ]


# --- reading ---


async def status(request: web.Request) -> web.Response:
    """The targets by name, from the one after `after` on."""
    snapshot = await site_of(request).reader.snapshot()
    wanted, after, limit = _text(request, "state"), _text(request, "after"), _limit(request)
    if wanted and wanted not in (*State, "blocked"):
        raise RefusedError(400, f"state is none of {', '.join(State)}, blocked")
    organization = _text(request, "organization")
    found = [
        one
        for one in snapshot.status.targets
        if one.target > after
        and (not wanted or values.in_state(one, wanted))
        and (not organization or one.organization == organization)
    ]
    made = as_json(replace(snapshot.status, targets=tuple(found[:limit])))
    made["next"] = found[limit - 1].target if len(found) > limit else None
    made["at"] = utc(snapshot.at)
    made["trouble"] = trouble(snapshot.status.daemon, snapshot.at)
    return answer(request, made)


async def history(request: web.Request) -> web.Response:
    """Events, oldest first: the newest, or those before a cursor."""
    since, limit = _time(request, "since"), _limit(request)
    rows = await site_of(request).reader.ask(
        queries.history, _text(request, "target") or None, since=since, limit=limit + 1,
        before=_number(request, "before"),
    )  # fmt: skip
    more = len(rows) > limit
    rows = rows[-limit:]
    return answer(request, {"events": rows, "next": rows[0].event.id if more else None})


async def propagation(request: web.Request) -> web.Response:
    """How long openings took, and who waits."""
    return answer_with(request, await site_of(request).reader.lately(_propagation))


def _propagation(database: Database) -> bytes:
    """In a thread: thousands of groups and openings take longer than other answers may wait."""
    samples, newest, waiting = Samples(), deque[Opening](maxlen=LIMIT), []
    for one in queries.propagation(database, now=datetime.now(UTC)):
        samples.add(one)
        if isinstance(one, Opening):
            newest.append(one)
        else:
            waiting.append(text_of(one))
    # text by text: as one value it would take ten times the memory of its text
    groups = [text_of(group) for group in samples.summaries()]
    openings = [text_of(as_json(one) | {"wait_s": one.wait_s}) for one in newest]
    named = {"groups": groups, "openings": openings, "waiting": waiting}
    lists = (f'"{name}":[{",".join(texts)}]' for name, texts in named.items())
    return f"{{{','.join(lists)}}}".encode()


async def compared(request: web.Request) -> web.Response:
    """The routes to each model, of 7 days."""
    return answer_with(request, await site_of(request).reader.lately(_routes))


def _routes(database: Database) -> bytes:
    """In a thread, and kept: the runs of a week of thousands of targets take most of a second."""
    since = datetime.now(UTC) - COMPARED
    made = {"since": since, "routes": queries.routes(database, since=since)}
    return text_of(made).encode()


async def notifications(request: web.Request) -> web.Response:
    """Notifications, oldest first: the newest, or those before a cursor."""
    wanted, limit = _text(request, "state"), _limit(request)
    if wanted and wanted not in set(NotificationState):
        raise RefusedError(400, f"state is none of {', '.join(NotificationState)}")
    rows = await site_of(request).reader.ask(
        queries.alerts, NotificationState(wanted) if wanted else None, limit=limit + 1,
        before=_number(request, "before"),
    )  # fmt: skip
    more = len(rows) > limit
    rows = rows[-limit:]
    return answer(request, {"notifications": rows, "next": rows[0].id if more else None})


async def target(request: web.Request) -> web.Response:
    """A target's answers and declarations since it is in its state, and what to do."""
    site = site_of(request)
    status = await target_named(site, _text(request, "name"))
    record = await site.reader.ask(target_record, status.target, for_support=False)
    code = status.blocker or status.last_diagnosis
    advice = advise(code, None, None) if code else None
    made: dict[str, Any] = {
        "target": status,
        "start": record.start,
        "declared": record.memory.declared_at is not None,
        "declarations": record.declarations,
        "runs": record.runs,
        "runs_left_out": record.runs_left_out,
        "advice": advice.advice if advice else None,
    }
    return answer(request, made)


async def evidence(request: web.Request) -> web.Response:
    """The bundle for support."""
    return answer(request, await evidence_of(site_of(request), _text(request, "name")))


async def silences(request: web.Request) -> web.Response:
    """The silences in force, and the newest that ended."""
    in_force, ended = await site_of(request).reader.ask(queries.silences, datetime.now(UTC))
    return answer(request, {"silences": in_force, "ended": ended})


async def events(request: web.Request) -> web.StreamResponse:
    """The stream of events."""
    return await site_of(request).live.stream(request)


async def request_of(request: web.Request) -> web.Response:
    """What became of something that was handed to the daemon."""
    number = values.whole(request.match_info["id"])
    found = await site_of(request).reader.ask(queries.request, number)
    if found is None:
        raise RefusedError(404, "there is no such request")
    return answer(request, found)


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


# --- writing ---


def _write(
    method: str, path: str, about: str, kind: str, body: Any = None, *parameters: Parameter
) -> Described:
    """An address that hands what it is given to the daemon, by its kind in the inbox."""
    known = body.__annotations__ if body else {}

    async def handed(request: web.Request) -> web.Response:
        given = await _body(request)
        for name in given.keys() - known.keys():
            raise RefusedError(400, f"the body has no {name[:200]!r}; {suggestion(name, known)}")
        values = {**given, **request.match_info}
        number = await told(site_of(request), visitor_of(request), kind, values)
        # relative: it holds below any path of a proxy
        place = "../" * (request.path.count("/") - 3) + f"requests/{number}"
        return web.json_response(
            {"id": number, "state": "waiting", "see": place},
            status=202,
            headers={"Location": place},
        )

    handed.__name__ = kind.replace("-", "_")  # as the description names it
    return Described(method, path, about, handed, shapes.Handed, parameters, body)


async def _body(request: web.Request) -> Mapping[str, Any]:
    if not request.can_read_body:
        return {}
    try:
        found = json.loads(await request.text())
    except UNREADABLE:
        raise RefusedError(400, "the body is not JSON") from None
    if not isinstance(found, dict):
        raise RefusedError(400, "the body is not a JSON object")
    return found


# --- answers, and parts of addresses ---


def answer(request: web.Request, value: Any) -> web.Response:
    """JSON with an ETag: who has it already gets 304."""
    return answer_with(request, text_of(value).encode())


def text_of(value: Any) -> str:
    """A value as JSON, short."""
    return json.dumps(as_json(value), separators=(",", ":"), allow_nan=False)


def answer_with(request: web.Request, body: bytes) -> web.Response:
    """The same, of JSON that was made already."""
    tag = hashlib.sha256(body).hexdigest()[:32]
    response = web.Response(
        body=body,
        content_type="application/json",
        charset="utf-8",
        headers={"Cache-Control": "no-cache"},
    )
    response.etag = tag
    given = request.if_none_match
    if given and any(one.value in (tag, "*") for one in given):
        return web.Response(status=304, headers={"ETag": f'"{tag}"', "Cache-Control": "no-cache"})
    return response


def _text(request: web.Request, name: str) -> str:
    text = request.query.get(name, "")
    if len(text) > 500 or "\0" in text:
        raise RefusedError(400, f"{name} is too long, or holds a control character")
    return text


def _number(request: web.Request, name: str) -> int | None:
    text = request.query.get(name)
    if text is None:
        return None
    if number := values.whole(text):
        return number
    raise RefusedError(400, f"{name} must be a whole number above 0")


def _limit(request: web.Request) -> int:
    number = _number(request, "limit") or LIMIT
    if number > LIMIT:
        raise RefusedError(400, f"limit is at most {LIMIT}")
    return number


def _time(request: web.Request, name: str) -> datetime | None:
    text = request.query.get(name)
    if text is None:
        return None
    try:
        at = datetime.fromisoformat(text)
        if at.tzinfo is not None:
            return at.astimezone(UTC)
    except (ValueError, OverflowError):
        pass
    raise RefusedError(
        400, f"{name} must be an RFC 3339 time with its zone, such as 2026-11-20T14:05:00Z"
    )


DESCRIBED = (
    Described(
        "GET", "/status", "The targets and their states, as `status --format json` prints them.", status,
        shapes.StatusPage,
        (
            Parameter("state", "only targets in this state, or `blocked`", _one_of(*State, "blocked")),
            Parameter("organization", "only targets of this organization", _TEXT),
            Parameter("after", "only targets after this name: the `next` of the page before", _TEXT),
            _PAGE,
        ),
    ),
    Described(
        "GET", "/history", "What happened, and who was told, as `history --format json` prints it.", history,
        shapes.HistoryPage,
        (
            Parameter("target", "a target's name, or a pattern with `*` and `?`", _TEXT),
            Parameter("since", "only events since this time", {"type": "string", "format": "date-time"}),
            _CURSOR, _PAGE,
        ),
    ),
    Described(
        "GET", "/propagation", f"How long openings took (the newest {LIMIT}), and who waits.",
        propagation, shapes.PropagationPage,
    ),
    Described(
        "GET", "/target", "One target: its answers and declarations since it is in its state.", target,
        shapes.TargetPage, (_NAME,),
    ),
    Described(
        "GET", "/evidence", "The bundle for support, as `evidence --format json` prints it.", evidence,
        shapes.Bundle, (_NAME,),
    ),
    Described("GET", "/routes", "The routes to each model, of 7 days.", compared, shapes.RoutesPage),
    Described(
        "GET", "/notifications",
        "Notifications and where they stand, as `alerts list --format json` prints them.",
        notifications, shapes.NotificationsPage,
        (
            Parameter("state", "only those in this state", _one_of(*NotificationState)),
            _CURSOR, _PAGE,
        ),
    ),
    Described(
        "GET", "/silences", "The silences in force, and the newest that ended.", silences,
        shapes.SilencesPage,
    ),
    Described(
        "GET", "/events", "Events as they are recorded, as a stream (SSE) that resumes by `Last-Event-ID`.",
        events, None,
    ),
    Described(
        "GET", "/requests/{id}", "What became of something handed to the daemon.", request_of,
        shapes.RequestState,
        (Parameter("id", "the request's number", _ID, "path"),),
    ),
    _write(
        "POST", "/declarations", "Tell what became of a verification.", DECLARE, shapes.DeclareBody,
    ),
    _write(
        "POST", "/probes", "Probe a target as soon as limits and budget allow.", PROBE, shapes.ProbeBody,
    ),
    _write(
        "POST", "/retries", "Try dead notifications once more: these, or all.", RETRY, shapes.RetryBody,
    ),
    _write("POST", "/silences", "Keep something from being told for a time.", SILENCE, shapes.SilenceBody),
    _write(
        "DELETE", "/silences/{id}", "End a silence: what it hid is told.", END_SILENCE, None,
        Parameter("id", "the silence's number", {"type": "integer", "minimum": 1}, "path"),
    ),
)  # fmt: skip


async def openapi(request: web.Request) -> web.Response:
    """The description of all this."""
    return answer(request, document(DESCRIBED))
