"""A parsed request: endpoint, surface, model, parameters. Checks nothing."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from aiohttp import web
from aiohttp.web_request import FileField

from monitor.simulator.refusals import Refusal, bad_parameter
from monitor.simulator.simulated_models import SimulatedSurface


class Endpoint(StrEnum):
    """The paths below a base URL."""

    MODELS = "/models"
    IMAGES = "/images/generations"
    EDITS = "/images/edits"
    RESPONSES = "/responses"
    CHAT = "/chat/completions"


#: The parameters of a form that are numbers; a form has only texts.
_NUMBERS = ("n", "output_compression")

#: Longer texts of a client are cut before they are quoted or kept.
LONGEST_NAME = 100


@dataclass(slots=True)
class Ask:
    """What is asked, by whom. `surfaces` are all whose gates stand before it, the first its own."""

    method: str
    base: str
    path: str
    secret: str | None
    organization: str | None
    project: str | None
    endpoint: Endpoint | None = None
    surfaces: tuple[SimulatedSurface, ...] = ()
    model: str = ""
    body: Mapping[str, Any] = field(default_factory=dict)
    #: Bytes of the first image of an edit.
    image: bytes = b""
    problem: Refusal | None = None

    @property
    def surface(self) -> SimulatedSurface | None:
        """The surface it is counted under."""
        return self.surfaces[0] if self.surfaces else None

    @property
    def stream(self) -> bool:
        """Whether the answer is to come as events."""
        return self.body.get("stream") is True

    @property
    def tool(self) -> Mapping[str, Any]:
        """The hosted image tool, empty when it is not asked for."""
        tools = self.body.get("tools") if self.endpoint is Endpoint.RESPONSES else None
        for tool in tools if isinstance(tools, list) else ():
            if isinstance(tool, dict) and tool.get("type") == "image_generation":
                return tool
        return {}

    @property
    def effort(self) -> str | None:
        """The reasoning effort asked for, if any."""
        if self.endpoint is Endpoint.CHAT:
            effort = self.body.get("reasoning_effort")
        else:
            effort = _reasoning(self.body).get("effort")
        return effort if isinstance(effort, str) else None


async def read(request: web.BaseRequest, bases: frozenset[str]) -> Ask:
    """Read a request to the end. Raises web.HTTPRequestEntityTooLarge for a body over the cap."""
    path = request.path
    base = next((base for base in bases if path.startswith(f"{base}/")), "")
    headers = request.headers
    scheme, _, secret = headers.get("Authorization", "").partition(" ")
    ask = Ask(
        method=request.method,
        base=base,
        path=path[:LONGEST_NAME],
        secret=secret.strip() if scheme.lower() == "bearer" and secret.strip() else None,
        organization=headers.get("OpenAI-Organization"),
        project=headers.get("OpenAI-Project"),
    )
    await _dispatch(ask, request, path.removeprefix(base) if base else "")
    return ask


async def _dispatch(ask: Ask, request: web.BaseRequest, rest: str) -> None:
    if rest == Endpoint.MODELS or rest.startswith("/models/"):
        ask.endpoint, ask.surfaces = Endpoint.MODELS, (SimulatedSurface.MODELS,)
        ask.model = rest.removeprefix("/models").removeprefix("/")[:LONGEST_NAME]
    elif rest in set(Endpoint):
        ask.endpoint = Endpoint(rest)
    expected = "GET" if ask.endpoint is Endpoint.MODELS else "POST"
    if ask.endpoint is None or ask.method != expected:
        ask.endpoint = None
        message = f"Invalid URL ({ask.method} {ask.path})"
        ask.problem = bad_parameter(message, status=404)
        return
    if expected == "GET":
        return
    if ask.endpoint is Endpoint.EDITS:
        await _read_form(ask, request)
    else:
        _read_json(ask, await request.read())
    model = (ask.tool or ask.body).get("model", "")
    ask.model = model[:LONGEST_NAME] if isinstance(model, str) else ""
    if ask.tool and not ask.model:
        ask.model = "gpt-image-2"
    ask.surfaces = _surfaces(ask)


def _read_json(ask: Ask, content: bytes) -> None:
    try:
        body = json.loads(content)
    except (ValueError, RecursionError):
        body = None
    if isinstance(body, dict):
        # The API takes null for absent.
        ask.body = {name: value for name, value in body.items() if value is not None}
    else:
        message = "We could not parse the JSON body of your request. The API expects a JSON object."
        ask.problem = bad_parameter(message)


async def _read_form(ask: Ask, request: web.BaseRequest) -> None:
    try:
        form = await request.post()
    except (ValueError, AssertionError, LookupError):
        form = None
    if not form:
        ask.problem = bad_parameter("Could not parse multipart form.")
        return
    body: dict[str, Any] = {}
    for name, value in form.items():
        plain = name.removesuffix("[]")
        if isinstance(value, FileField):
            if plain == "image" and not ask.image:
                ask.image = value.file.read()
            value.file.close()
            body[plain] = "(file)"
        elif isinstance(value, str):
            number = plain in _NUMBERS and value.isascii() and value.isdigit() and len(value) < 10
            body[plain] = int(value) if number else value
    ask.body = body


def _reasoning(body: Mapping[str, Any]) -> Mapping[str, Any]:
    reasoning = body.get("reasoning")
    return reasoning if isinstance(reasoning, dict) else {}


def _surfaces(ask: Ask) -> tuple[SimulatedSurface, ...]:
    if ask.endpoint is Endpoint.IMAGES:
        return (SimulatedSurface.IMAGES,)
    if ask.endpoint is Endpoint.EDITS:
        return (SimulatedSurface.EDITS,)
    if ask.tool:
        return (SimulatedSurface.IMAGE_TOOL,)
    wanted = []
    if ask.endpoint is Endpoint.RESPONSES and _reasoning(ask.body).get("summary"):
        wanted.append(SimulatedSurface.SUMMARY)
    if ask.stream:
        wanted.append(SimulatedSurface.STREAM)
    plain = SimulatedSurface.CHAT if ask.endpoint is Endpoint.CHAT else SimulatedSurface.RESPONSES
    return tuple(wanted) or (plain,)
