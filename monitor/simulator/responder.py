"""What a request gets: the checks in the API's order, then the gate, then the answer."""

from collections import deque
from collections.abc import Iterator
from dataclasses import replace
from math import ceil

from monitor.simulator import parameters, pictures, texts
from monitor.simulator.answers import Answer, encode, headers_for, limits, refused
from monitor.simulator.asking import LONGEST_NAME, Ask, Endpoint
from monitor.simulator.refusals import (
    LOCKED,
    REFUSALS,
    SCOPES,
    Refusal,
    Stage,
    gate_refusal,
    masked,
    not_found,
    rate_limited,
    wrong_endpoint,
)
from monitor.simulator.scenario import PROVIDER, Admin, Scenario, SimulatedKey
from monitor.simulator.simulated_models import IMAGE_SURFACES, SimulatedModel, SimulatedSurface

#: Seconds of the window in which calls of image surfaces are counted.
_WINDOW = 60.0

#: The admin API: a project's rate limits and its model permissions, read only.
_PROJECTS = "/v1/organization/projects/"

#: What a request for the model list is not held to: it costs nothing and passes no gate.
_NOT_FOR_LISTS = frozenset({Stage.BILLING, Stage.RATE, Stage.GATE, Stage.CONTENT})


class Responder:
    """Answers by a scenario; the time is a parameter. Keeps the windows of the rate limits."""

    def __init__(self, scenario: Scenario) -> None:
        self.scenario = scenario
        #: The base paths that are served.
        self.bases = frozenset({"/v1", *(key.base for key in scenario.keys)})
        self._keys = {key.secret: key for key in scenario.keys}
        models = scenario.models.values()
        self._models = {name: model for model in models for name in (model.snapshot, model.name)}
        self._calls: dict[tuple[str, str], deque[float]] = {}

    def key_of(self, ask: Ask) -> SimulatedKey | None:
        """The key whose secret was sent, on whichever route."""
        return self._keys.get(ask.secret or "")

    def model_of(self, name: object) -> SimulatedModel | None:
        """A model by its name or its snapshot's name."""
        return self._models.get(name) if isinstance(name, str) else None

    def answer(self, ask: Ask, at: float) -> Answer:
        """The answer at this second of scenario time, before any technical failure."""
        project, _, what = ask.path.removeprefix(_PROJECTS).partition("/")
        if (
            ask.method == "GET"
            and ask.path.startswith(_PROJECTS)
            and what in ("rate_limits", "model_permissions")
        ):
            return self._admin_answer(ask, project, what)
        key = self.key_of(ask)
        if key is None or key.base != ask.base:
            refusal = ask.problem if ask.problem and not ask.base else _unknown_key(ask, key)
            return refused(ask, key, refusal)
        found = self._refusal(ask, key, at)
        if found is not None:
            return refused(ask, key, found)
        answer = self._grant(ask, key)
        answer.headers |= headers_for(ask, key)
        if ask.endpoint is not Endpoint.MODELS:
            answer.headers |= limits(ask, key, used=len(self._calls_of(key)) or 1)
        return answer

    def _admin_answer(self, ask: Ask, project: str, what: str) -> Answer:
        admin = next((one for one in self.scenario.admins if one.secret == ask.secret), None)
        if admin is None:
            return refused(ask, None, self._no_admin(ask))
        keys = (key for key in self.scenario.keys if key.organization == admin.organization)
        if not any(project in key.projects for key in keys):
            return refused(ask, None, not_found(f"No project found with id '{project}'."))
        if what == "rate_limits":
            value = _rate_limits(self.scenario, admin)
        elif admin.mode is None:
            return refused(ask, None, not_found("No model permissions are set for this project."))
        else:
            mode, models = admin.mode, list(admin.models)
            value = {"object": "project.model_permissions", "mode": mode, "model_ids": models}
        return Answer(what, 200, encode(value), headers=headers_for(ask, None))

    def _no_admin(self, ask: Ask) -> Refusal:
        """An ordinary key lacks the scope; any other secret is unknown."""
        if self.key_of(ask) is not None:
            scope = "api.management.read"
            return replace(REFUSALS["missing_scope"].filled(scope=scope), status=403)
        return _unknown_key(ask, None)

    def _refusal(self, ask: Ask, key: SimulatedKey, at: float) -> Refusal | None:
        scripted = {
            REFUSALS[block.what].stage: REFUSALS[block.what]
            for block in reversed(key.blocks)
            if block.matches(at, ask.model, ask.surface)
            and _concerns(REFUSALS[block.what].stage, ask, block.surfaces)
        }
        for stage in Stage:
            found = scripted.get(stage)
            if found is not None:
                return found.filled(
                    model=ask.model,
                    masked=masked(key.secret),
                    organization=key.organization,
                    project=ask.project or key.projects[0],
                    scope=SCOPES.get(ask.endpoint or "", "model.request"),
                )
            found = self._natural(stage, ask, key, at)
            if found is not None:
                return found
        return None

    def _natural(self, stage: Stage, ask: Ask, key: SimulatedKey, at: float) -> Refusal | None:
        """Refusals that need no scenario."""
        match stage:
            case Stage.ORGANIZATION:
                return _mismatch(ask, key)
            case Stage.RATE:
                return self._over_limit(ask, key, at)
            case Stage.PARAMETERS:
                return parameters.problem(ask, self.model_of(ask.model))
            case Stage.MODEL:
                return self._model_refusal(ask, key)
            case Stage.GATE:
                return self._gate_refusal(ask, key, at)
            case _:
                return None

    def _over_limit(self, ask: Ask, key: SimulatedKey, at: float) -> Refusal | None:
        """Failed calls count, too: "unsuccessful requests contribute to your per-minute limit"."""
        limit = key.images_per_minute
        if limit is None or ask.surface not in IMAGE_SURFACES:
            return None
        calls = self._calls_of(key)
        while calls and at - calls[0] >= _WINDOW:
            calls.popleft()
        if len(calls) >= limit:
            wait = ceil(_WINDOW - (at - calls[0]))
            return rate_limited(ask.model, key.organization, limit, wait)
        calls.append(at)
        return None

    def _calls_of(self, key: SimulatedKey) -> deque[float]:
        """When the latest calls of image surfaces of the key's organization were, if it has a limit."""
        return self._calls.setdefault((key.base, key.organization), deque())

    def _model_refusal(self, ask: Ask, key: SimulatedKey) -> Refusal | None:
        if ask.endpoint is Endpoint.MODELS:
            hidden = ask.model and not any(model.name == ask.model for model in self._listed(key))
            return REFUSALS["model_not_found"].filled(model=ask.model) if hidden else None
        text_model = str(ask.body["model"])[:LONGEST_NAME]
        for name in (ask.model, text_model) if ask.tool else (ask.model,):
            model = self.model_of(name)
            if model is None:
                return REFUSALS["model_not_found"].filled(model=name)
            if self._dead(model):
                return REFUSALS["model_deprecated"].filled(model=name)
            if not self._permitted(key, model):
                project = ask.project or key.projects[0]
                return REFUSALS["project_denied"].filled(project=project, model=name)
        return self._endpoint_refusal(ask)

    def _endpoint_refusal(self, ask: Ask) -> Refusal | None:
        model, text = self._models[ask.model], self.model_of(ask.body.get("model"))
        if ask.surface in IMAGE_SURFACES and not model.makes_images:
            known = [f"'{name}'" for name in self._models if name.startswith("gpt-image-2")]
            message = f"Invalid value: '{ask.model}'. Supported values are: {', '.join(known)}."
            return wrong_endpoint(message, "tools[0].model" if ask.tool else "model", 400)
        if ask.endpoint is Endpoint.CHAT and SimulatedSurface.CHAT not in model.surfaces:
            message = "This model is only supported in v1/responses and not in v1/chat/completions."
            if model.makes_images:
                message = (
                    "This is not a chat model and thus not supported in the v1/chat/completions"
                    " endpoint. Did you mean to use v1/completions?"
                )
            return wrong_endpoint(message)
        if ask.endpoint is Endpoint.RESPONSES and text is not None and text.makes_images:
            message = f"The model `{ask.body['model']}` is not supported with the Responses API."
            return wrong_endpoint(message, status=400)
        return None

    def _gate_refusal(self, ask: Ask, key: SimulatedKey, at: float) -> Refusal | None:
        if ask.endpoint is Endpoint.MODELS:
            return None
        for surface in ask.surfaces:
            gate = key.gate_of(self._models[ask.model], surface)
            if gate is not None and at in gate.locked:
                return LOCKED
            if gate is not None and at not in gate.open:
                return gate_refusal(surface, ask.model)
        return None

    def _grant(self, ask: Ask, key: SimulatedKey) -> Answer:
        if ask.endpoint is Endpoint.MODELS:
            return self._list(ask, key)
        model = self._models[ask.model]
        if ask.endpoint in (Endpoint.IMAGES, Endpoint.EDITS):
            return pictures.images(ask, model)
        text = self._models[ask.body["model"]]
        gate = key.gate_of(text, ask.surfaces[0])
        reported = (gate and gate.answers_as) or text.snapshot
        tool = model if ask.tool else None
        return texts.answer(ask, text, reported, texts.write(ask, text), tool)

    def _list(self, ask: Ask, key: SimulatedKey) -> Answer:
        if ask.model:
            return Answer("listed", 200, encode(self._models[ask.model].listing()))
        data = [model.listing() for model in self._listed(key)]
        return Answer("listed", 200, encode({"object": "list", "data": data}))

    def _listed(self, key: SimulatedKey) -> Iterator[SimulatedModel]:
        return (
            model
            for model in self.scenario.models.values()
            if model.name not in key.unlisted and not self._dead(model)
        )

    def _permitted(self, key: SimulatedKey, model: SimulatedModel) -> bool:
        admins = (one for one in self.scenario.admins if one.organization == key.organization)
        return key.contract == PROVIDER or all(one.permits(model.name) for one in admins)

    def _dead(self, model: SimulatedModel) -> bool:
        return model.shutdown is not None and model.shutdown <= self.scenario.today


def _unknown_key(ask: Ask, key: SimulatedKey | None) -> Refusal:
    """No secret, one nobody has, or one of a key (given) that belongs to another route."""
    invalid = REFUSALS["invalid_api_key"]
    if ask.secret is None:
        message = (
            "You didn't provide an API key. You need to provide your API key in an Authorization"
            " header using Bearer auth (i.e. Authorization: Bearer YOUR_KEY)."
        )
        return replace(invalid, what="no_api_key", message=message, code=None)
    # Its own name in the ledger: a secret over another's route is what must never happen.
    what = invalid.what if key is None else "foreign_key"
    return replace(invalid, what=what).filled(masked=masked(ask.secret))


def _mismatch(ask: Ask, key: SimulatedKey) -> Refusal | None:
    if ask.organization is not None and ask.organization != key.organization:
        return REFUSALS["mismatched_organization"]
    if ask.project is not None and ask.project not in key.projects:
        return REFUSALS["mismatched_project"]
    return None


def _concerns(stage: Stage, ask: Ask, surfaces: frozenset[SimulatedSurface]) -> bool:
    """Whether a block holds for this kind of request."""
    if ask.endpoint is not Endpoint.MODELS or SimulatedSurface.MODELS in surfaces:
        return True
    return stage not in _NOT_FOR_LISTS and (stage is not Stage.MODEL or bool(ask.model))


def _rate_limits(scenario: Scenario, admin: Admin) -> dict[str, object]:
    rows: list[dict[str, object]] = [
        {
            "object": "project.rate_limit",
            "id": f"rl-{model.name}",
            "model": model.name,
            "max_requests_per_1_minute": 500,
            "max_tokens_per_1_minute": 200_000,
        }
        | ({"max_images_per_1_minute": admin.images_per_minute} if model.makes_images else {})
        for model in scenario.models.values()
    ]
    ends = {"first_id": rows[0]["id"], "last_id": rows[-1]["id"]}
    return {"object": "list", "data": rows, **ends, "has_more": False}
