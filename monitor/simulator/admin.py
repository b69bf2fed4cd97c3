"""The admin API, as far as it is asked: a project's rate limits and its model permissions, read only."""

from dataclasses import replace

from monitor.simulator.answers import Answer, encode, headers_for, refused
from monitor.simulator.asking import Ask
from monitor.simulator.refusals import INVALID, REFUSALS, Refusal, Stage, masked
from monitor.simulator.scenario import Admin, Scenario
from monitor.simulator.simulated_models import SimulatedModel

_PROJECTS = "/organization/projects/"
_SCOPE = "api.management.read"


def answer(scenario: Scenario, ask: Ask) -> Answer | None:
    """The answer to a request of the admin API; None when it is none."""
    rest = ask.path.removeprefix(ask.base)
    if ask.base != "/v1" or ask.method != "GET" or not rest.startswith(_PROJECTS):
        return None
    project, _, what = rest.removeprefix(_PROJECTS).partition("/")
    if what not in ("rate_limits", "model_permissions"):
        return None
    admin = next((one for one in scenario.admins if one.secret == ask.secret), None)
    if admin is None:
        return refused(ask, None, _stranger(scenario, ask))
    if project not in _projects(scenario, admin):
        return refused(ask, None, _missing(f"No project found with id '{project}'."))
    if what == "rate_limits":
        made = _rate_limits(scenario, admin)
    elif admin.mode is None:
        return refused(ask, None, _missing("No model permissions are set for this project."))
    else:
        made = {
            "object": "project.model_permissions",
            "mode": admin.mode,
            "model_ids": list(admin.models),
        }
    return Answer(what, 200, encode(made), headers=headers_for(ask, None))


def _stranger(scenario: Scenario, ask: Ask) -> Refusal:
    """An ordinary key lacks the scope; any other secret is unknown."""
    secret = ask.secret or ""
    if any(key.secret == secret for key in scenario.keys):
        return replace(REFUSALS["missing_scope"].filled(scope=_SCOPE), status=403)
    return REFUSALS["invalid_api_key"].filled(masked=masked(secret))


def _projects(scenario: Scenario, admin: Admin) -> set[str]:
    keys = (key for key in scenario.keys if key.organization == admin.organization)
    return {project for key in keys for project in key.projects}


def _missing(message: str) -> Refusal:
    return Refusal("not_found", Stage.MODEL, 404, message, INVALID, code="not_found")


def _rate_limits(scenario: Scenario, admin: Admin) -> dict[str, object]:
    rows = [_row(model, admin) for model in scenario.models.values()]
    ends = {"first_id": rows[0]["id"], "last_id": rows[-1]["id"]} if rows else {}
    return {"object": "list", "data": rows, **ends, "has_more": False}


def _row(model: SimulatedModel, admin: Admin) -> dict[str, object]:
    row: dict[str, object] = {
        "object": "project.rate_limit",
        "id": f"rl-{model.name}",
        "model": model.name,
        "max_requests_per_1_minute": 500,
        "max_tokens_per_1_minute": 200_000,
    }
    return row | (
        {"max_images_per_1_minute": admin.images_per_minute} if model.makes_images else {}
    )
