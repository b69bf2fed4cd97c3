"""The shapes of the API's JSON, and the description in OpenAPI 3.1 that is made from them.

They are the store's records, as the command line prints them, and the pages around. A test holds every answer
to its shape.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, Literal, Required

from aiohttp.typedefs import Handler
from pydantic import Field, TypeAdapter, with_config
from typing_extensions import TypedDict

from monitor import __version__
from monitor.access.silences import PATTERNS_MOST, REASON_CAP, Silence
from monitor.access.wait_times import OngoingWait, Summary
from monitor.access.words import (
    Code,
    Contract,
    DeclarationKind,
    EventKind,
    Reason,
    State,
    Surface,
)
from monitor.store.records import (
    AlertRow,
    Declaration,
    NotificationRow,
    RouteOfModel,
    Run,
    TargetStatus,
    WorkerStatus,
)

_STRICT = with_config(extra="forbid")
Name = Annotated[str, Field(max_length=500)]


class TargetPage(TypedDict):
    """One target, and its answers since `start`: the declaration in force, else the change to its state."""

    target: TargetStatus
    start: datetime
    declared: bool
    declarations: list[Declaration]
    runs: list[Run]
    runs_left_out: int
    advice: str | None


#: The bundle's own form, which support reads.
Bundle = dict[str, Any]


class CountsShape(TypedDict):
    """The notifications that are not delivered."""

    pending: int
    dead: int
    silenced: int
    oldest_pending_s: float | None


class SilencesPage(TypedDict):
    """The silences in force, the first to end first; and the newest that ended."""

    silences: list[Silence]
    ended: list[Silence]


class StatusPage(TypedDict):
    """The targets, the silences in force, and a fleet's workers; `trouble` says why it is not current."""

    targets: list[TargetStatus]
    notifications: CountsShape
    silences: list[Silence]
    workers: list[WorkerStatus]
    at: datetime
    trouble: str | None
    next: str | None


EventShape = TypedDict(
    "EventShape",
    {
        "id": int,
        "kind": Literal["transition", "event"],
        "event": EventKind,
        "target": str | None,
        "from": State | None,
        "to": State | None,
        "at": datetime,
        "reason": Reason,
        "diagnosis": Code | None,
        "request_id": str | None,
        "notifications": list[NotificationRow],
    },
)


class HistoryPage(TypedDict):
    """Events, oldest first."""

    events: list[EventShape]
    next: int | None


class OpeningShape(TypedDict):
    """The propagation record of an opening."""

    target: str
    contract: Contract
    route: str
    organization: str | None
    scope: str
    model: str
    surface: Surface
    began: str
    declared_at: datetime | None
    started_at: datetime | None
    first_light_at: datetime
    settled_at: datetime
    probes: int
    cost_usd: float
    flickers: int
    wait_s: float | None


class PropagationPage(TypedDict):
    """How long openings took, and who waits."""

    groups: list[Summary]
    openings: list[OpeningShape]
    waiting: list[OngoingWait]


class RoutesPage(TypedDict):
    """The comparison of routes since a time."""

    since: datetime
    routes: list[RouteOfModel]


class NotificationsPage(TypedDict):
    """Notifications, oldest first."""

    notifications: list[AlertRow]
    next: int | None


class RequestState(TypedDict):
    """Something handed to the daemon, and its reply once it was taken."""

    id: int
    kind: str
    state: Literal["waiting", "taken"]
    created_at: datetime
    taken_at: datetime | None
    reply: dict[str, Any] | None


class Handed(TypedDict):
    """It waits in the daemon's inbox; `see` says where its fate is told."""

    id: int
    state: Literal["waiting"]
    see: str


@_STRICT
class DeclareBody(TypedDict, total=False):
    """What became of the verification of an organization or a key; `at` is now without it."""

    kind: Required[DeclarationKind]
    subject: Required[Name]
    at: Name


@_STRICT
class ProbeBody(TypedDict):
    """The target to probe."""

    target: Name


@_STRICT
class RetryBody(TypedDict, total=False):
    """The notifications to retry; all dead ones without."""

    ids: Annotated[list[int], Field(max_length=1000)]


SilenceBody = TypedDict(
    "SilenceBody",
    {
        "patterns": Annotated[list[Name], Field(min_length=1, max_length=PATTERNS_MOST)],
        "for": Annotated[str, Field(max_length=20)],
        "reason": Annotated[str, Field(min_length=1, max_length=REASON_CAP)],
    },
)
_STRICT(SilenceBody)


class ProblemShape(TypedDict):
    """An error, as RFC 9457 has it."""

    type: str
    title: str
    status: int
    detail: str


# --- the description ---

_MODE: Literal["serialization"] = "serialization"


@dataclass(frozen=True, slots=True)
class Parameter:
    """A part of the query or of the path."""

    name: str
    about: str
    schema: Mapping[str, Any]
    place: str = "query"
    needed: bool = False


@dataclass(frozen=True, slots=True)
class Described:
    """One address of the API: what it is for, and the shapes of what comes in and goes out."""

    method: str
    path: str
    about: str
    handler: Handler
    answer: Any
    parameters: Sequence[Parameter] = ()
    body: Any = None

    @property
    def writes(self) -> bool:
        """Whether it needs a token that may write."""
        return self.method != "GET"


def document(described: Sequence[Described]) -> dict[str, Any]:
    """The whole description."""
    shapes = [one.answer for one in described] + [one.body for one in described] + [ProblemShape]
    wanted = list(dict.fromkeys(shape for shape in shapes if shape is not None))
    references, definitions = TypeAdapter.json_schemas(
        [(shape, _MODE, TypeAdapter(shape)) for shape in wanted],
        ref_template="#/components/schemas/{model}",
    )
    schema = {shape: references[shape, _MODE] for shape in wanted}
    paths: dict[str, dict[str, Any]] = {}
    for one in described:
        paths.setdefault(one.path, {})[one.method.lower()] = _operation(one, schema)
    return {
        "openapi": "3.1.0",
        "info": {"title": "access-monitor", "version": __version__},
        "servers": [{"url": "."}],
        "security": [{"token": []}, {}],
        "paths": paths,
        "components": {
            "schemas": definitions.get("$defs", {}),
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
    }


def _operation(one: Described, schema: dict[Any, Any]) -> dict[str, Any]:
    failures = ["400", "401", "403", "404", "429", "503"]
    problem = {"content": {"application/problem+json": {"schema": schema[ProblemShape]}}}
    if one.answer is None:
        good: dict[str, Any] = {"content": {"text/event-stream": {"schema": {"type": "string"}}}}
    else:
        good = {"content": {"application/json": {"schema": schema[one.answer]}}}
    made: dict[str, Any] = {
        "summary": one.about,
        "operationId": one.handler.__name__,
        "responses": {
            "202" if one.writes else "200": {"description": one.about, **good},
            **({} if one.writes else {"304": {"description": "Nothing changed."}}),
            **{status: {"description": "See `detail`.", **problem} for status in failures},
        },
    }
    if one.parameters:
        made["parameters"] = [
            {
                "name": parameter.name, "in": parameter.place, "description": parameter.about,
                "required": parameter.needed or parameter.place == "path", "schema": dict(parameter.schema),
            }
            for parameter in one.parameters
        ]  # fmt: skip
    if one.body is not None:
        made["requestBody"] = {
            "content": {"application/json": {"schema": schema[one.body]}},
            "required": bool(one.body.__required_keys__),
        }
    return made
