"""What an admin key can tell: the project's model permissions and rate limits. Reads only, free.

Paths and fields as in the official Python client 3.51.0 (`admin.organization.projects`). No public API
tells the verification itself.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from monitor.access.diagnosis import diagnose
from monitor.access.observation import Observation
from monitor.access.words import Contract
from monitor.catalog import Catalog
from monitor.config import Settings
from monitor.oneshot.checkup.checkup_context import CheckupContext, said
from monitor.oneshot.checkup.results import CheckFinding
from monitor.probing import Credentials, Prober

PERMISSIONS, LIMITS = "model_permissions", "rate_limits"

_PAGE = 100
#: Pages of rate limits that are read: a project has a row for each model.
_PAGES = 5


@dataclass(frozen=True, slots=True)
class ProjectRules:
    """What an organization's admin key reads of a project, for one model.

    `permissions` is `{"mode", "model_ids"}`, None where the project has none or they could not be read;
    `limit` the model's row, None where there is none. `problem` says what could not be read.
    """

    project: str
    permissions: Mapping[str, Any] | None = None
    limit: Mapping[str, Any] | None = None
    problem: str = ""

    def allows(self, catalog: Catalog, model: str) -> bool:
        """Whether the permissions let the project use the model; True without any."""
        if self.permissions is None:
            return True
        known = catalog.get(model)
        ids = self.permissions["model_ids"]
        named = any(id_ == model or (known and catalog.get(id_) is known) for id_ in ids)
        return named is (self.permissions["mode"] != "deny_list")


async def project_rules(
    settings: Settings, prober: Prober, organization: str | None, project: str | None, model: str
) -> ProjectRules | None:
    """What the organization's admin key reads; None without one, or without a project to ask for."""
    admin = settings.organizations.get(organization or "")
    if admin is None or not project:
        return None
    credentials = Credentials(
        secret=admin.admin_key.reveal(), base_url=settings.routes[admin.route].base_url
    )
    base = f"/organization/projects/{quote(project, safe='')}"
    answer = await prober.get(credentials, f"{base}/model_permissions")
    if answer.status not in (200, 404):  # 404: no policy is set
        return ProjectRules(project, problem=said(diagnose(answer)))
    value = _object(answer)
    ids, mode = value.get("model_ids"), value.get("mode")
    permissions = None
    if isinstance(ids, list) and isinstance(mode, str):
        names = [id_ for id_ in ids if isinstance(id_, str)]
        permissions = {"mode": mode, "model_ids": names}
    limit = await _limit(prober, credentials, base, settings.catalog, model)
    return ProjectRules(project, permissions, limit)


async def _limit(
    prober: Prober, credentials: Credentials, base: str, catalog: Catalog, model: str
) -> Mapping[str, Any] | None:
    after, known = "", catalog.get(model)
    for _ in range(_PAGES):
        page = _object(await prober.get(credentials, f"{base}/rate_limits?limit={_PAGE}{after}"))
        rows = page.get("data")
        for row in rows if isinstance(rows, list) else ():
            name = row.get("model") if isinstance(row, dict) else None
            if isinstance(name, str) and (name == model or (known and catalog.get(name) is known)):
                return row  # type: ignore[no-any-return]
        last = page.get("last_id")
        if not page.get("has_more") or not isinstance(last, str):
            return None
        after = f"&after={quote(last, safe='')}"
    return None


def _object(answer: Observation) -> Mapping[str, Any]:
    try:
        value = json.loads(answer.body)
    except (ValueError, RecursionError):
        return {}
    return value if answer.status == 200 and isinstance(value, dict) else {}


async def check(context: CheckupContext) -> CheckFinding | None:
    """Tells the project's allow-list from a gate that is not open yet. Nothing without an admin key."""
    target, listing = context.plan.target, context.listing
    project = target.project or (listing.headers.get("openai-project") if listing else None)
    if target.contract is not Contract.DIRECT:
        return None
    model = target.capability.model
    rules = await project_rules(
        context.settings, context.prober, target.organization, project, model
    )
    if rules is None:
        if target.organization in context.settings.organizations:
            context.skipped(PERMISSIONS, "no project is configured, and the answers name none")
        return None
    if rules.problem:
        context.skipped(PERMISSIONS, f"could not be read: {rules.problem}")
        context.skipped(LIMITS, "could not be read")
        return None
    context.allowed = rules.allows(context.settings.catalog, model)
    policy = rules.permissions
    what = f"{policy['mode']} of {len(policy['model_ids'])} models" if policy else "none are set"
    if context.allowed:
        context.ok(PERMISSIONS, f"{what}: {rules.project} may use {model}")
    else:
        context.problem(PERMISSIONS, f"{what}: {rules.project} may not use {model}")
    _limits(context, rules.limit)
    return None


def _limits(context: CheckupContext, row: Mapping[str, Any] | None) -> None:
    if row is None:
        context.skipped(LIMITS, "the project has no row for the model")
        return
    figures = {name: value for name, value in row.items() if name.startswith("max_")}
    text = ", ".join(
        f"{name.removeprefix('max_').replace('_', ' ')}: {value}" for name, value in figures.items()
    )
    images = context.plan.target.capability.surface.makes_images
    context.limit_zero = images and row.get("max_images_per_1_minute") == 0
    (context.problem if context.limit_zero else context.ok)(LIMITS, text)
