"""The description of the API in OpenAPI 3.1, made from its table of addresses and their shapes."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from aiohttp import web
from pydantic import TypeAdapter

from monitor import __version__
from monitor.web.shapes import ProblemShape

_MODE: Literal["serialization"] = "serialization"
_PLACE = "#/components/schemas/{model}"


Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


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
        [(shape, _MODE, TypeAdapter(shape)) for shape in wanted], ref_template=_PLACE
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
