"""The steps of a checkup that tell of the model: its listing, its project's rules, credit, the gate."""

import json
from collections.abc import Mapping
from datetime import date
from typing import Any
from urllib.parse import quote

from monitor.access.diagnosis import diagnose
from monitor.access.observation import Observation
from monitor.access.target import Capability
from monitor.access.words import Code, Effect, Owner, ProbeKind, Surface
from monitor.catalog import Catalog, Model
from monitor.config import Settings
from monitor.oneshot.checkup_plan import CheckFinding, CheckupContext, finding_of, said
from monitor.oneshot.evidence_bundle import ProjectRules
from monitor.oneshot.probe_once import Checked, check_all
from monitor.probing import Credentials, Prober
from monitor.probing.received import listed as dates_of

#: The checks' names.
LISTED, MODEL, ENDPOINT = "listed", "model", "endpoint"
PERMISSIONS, LIMITS = "model_permissions", "rate_limits"
CREDIT, CONTROL, GATE = "credit", "control", "gate"


async def check_listed(context: CheckupContext) -> CheckFinding | None:
    """A model that is gone never opens: the checkup ends there, unless the API still lists it."""
    target = context.plan.target
    name = target.capability.model
    seen = await context.prober.probe(
        context.credentials, Capability(name, Surface.MODELS), ProbeKind.FULL
    )
    answer, took = diagnose(seen, context.settings.rules), seen.timings.total
    listed = answer.effect is Effect.GRANTED
    if listed:
        context.ok(LISTED, f"GET /models/{name}; this proves nothing of the gate", took)
    elif answer.effect is Effect.BLOCKED:
        context.problem(LISTED, f"{said(answer)}; this alone proves nothing of the gate", took)
    else:
        context.skipped(LISTED, f"could not be told: {said(answer)}", took)
    known = context.settings.catalog.get(name)
    # the date that the API itself sends wins over the catalog's
    told = dates_of(context.listing.body).get(name) if context.listing else None
    return _dated(context, known, told or (known.shutdown if known else None), listed=listed)


def _dated(
    context: CheckupContext, known: Model | None, shutdown: date | None, *, listed: bool
) -> CheckFinding | None:
    name, today = context.plan.target.capability.model, context.now.date()
    if not context.direct:
        context.skipped(MODEL, "what a provider serves under a name, and until when, is its own")
    elif shutdown and shutdown <= today and not listed:
        context.problem(MODEL, f"{name} was shut down on {shutdown}")
        return CheckFinding(
            Code.MODEL_UNAVAILABLE, Owner.MODEL, note=f"{name} was shut down on {shutdown}."
        )
    elif shutdown and shutdown - today <= context.settings.deadlines.retiring:
        context.problem(MODEL, f"{name} will be shut down on {shutdown}")
        context.notes.append(f"{name} will be shut down on {shutdown}: plan for its successor.")
    elif known is None:
        near = context.settings.catalog.nearest(name)
        context.skipped(
            MODEL, "the catalog does not know it" + (f"; it knows {near}" if near else "")
        )
    else:
        context.ok(MODEL, f"in service{f' until {shutdown}' if shutdown else ''}")
    return None


async def check_endpoint(context: CheckupContext) -> CheckFinding | None:
    """By the catalog; a provider may serve a model where it likes."""
    capability = context.plan.target.capability
    known = context.settings.catalog.get(capability.model)
    if known is None or not context.direct:
        why = "the catalog does not know the model" if known is None else "the provider's own"
        context.skipped(ENDPOINT, f"could not be told: {why}")
    elif capability.surface not in known.surfaces and capability.surface is not Surface.MODELS:
        usual = ", ".join(surface for surface in known.surfaces if surface is not Surface.MODELS)
        context.problem(ENDPOINT, f"{capability.model} is not used through {capability.surface}")
        return CheckFinding(
            Code.WRONG_ENDPOINT,
            Owner.REQUEST,
            note=f"{capability.model} is not used through {capability.surface}; it has: {usual}.",
        )
    else:
        context.ok(ENDPOINT, f"{capability.surface} is one of the model's")
    return None


_PAGE = 100
#: Pages of rate limits that are read: a project has a row for each model.
_PAGES = 5


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
    after = ""
    for _ in range(_PAGES):
        page = _object(await prober.get(credentials, f"{base}/rate_limits?limit={_PAGE}{after}"))
        rows = page.get("data")
        for row in rows if isinstance(rows, list) else ():
            name = row.get("model") if isinstance(row, dict) else None
            if isinstance(name, str) and catalog.same_model(model, name):
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


async def check_project(context: CheckupContext) -> CheckFinding | None:
    """Tells the project's allow-list from a gate that is not open yet. Nothing without an admin key."""
    target, listing = context.plan.target, context.listing
    if not context.direct:
        return None
    project = target.project or (listing.headers.get("openai-project") if listing else None)
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
    text = ", ".join(
        f"{name.removeprefix('max_').replace('_', ' ')}: {value}"
        for name, value in row.items()
        if name.startswith("max_")
    )
    images = context.plan.target.capability.surface.makes_images
    context.limit_zero = images and row.get("max_images_per_1_minute") == 0
    (context.problem if context.limit_zero else context.ok)(LIMITS, text)


#: What the control says of the whole account: no other model could answer otherwise.
_OF_THE_ACCOUNT = (
    Code.QUOTA_EXHAUSTED,
    Code.INVALID_CREDENTIALS,
    Code.ACCOUNT_DEACTIVATED,
    Code.ORGANIZATION_MISMATCH,
    Code.REGION_BLOCKED,
)
#: Answers after which another surface could say nothing else.
_SAME_EVERYWHERE = (*_OF_THE_ACCOUNT, Code.PROJECT_DENIED, Code.TIER_UNSUPPORTED)


async def check_control(context: CheckupContext) -> CheckFinding | None:
    """Granted: key, project, credit and network are in order, and what else is refused is the model's."""
    target = context.plan.control
    if target is None:
        context.skipped(CREDIT, "told by the target's own probe")
        context.skipped(CONTROL, "the model is the control itself, or none is left in the catalog")
        return None
    (made,) = await check_all(context.settings, [target], context.attempts)
    context.probes.append(made)
    diagnosis, took = made.diagnosis, made.observation.timings.total
    which = str(target.capability)
    if diagnosis.effect is Effect.GRANTED:
        context.ok(CREDIT, f"a request was served: ${made.cost_usd:.6f}")
        context.ok(CONTROL, f"{which} was served", took)
        return None
    if diagnosis.code is Code.QUOTA_EXHAUSTED:
        context.problem(CREDIT, said(diagnosis))
    else:
        context.skipped(CREDIT, "could not be told: the control was not served")
    if diagnosis.code is Code.MODEL_UNAVAILABLE and not context.direct:
        context.skipped(CONTROL, f"{which} is unknown at this provider: no finding", took)
    elif diagnosis.effect is Effect.INCONCLUSIVE:
        context.skipped(CONTROL, f"{which}: {said(diagnosis)}", took)
    else:
        context.problem(CONTROL, f"{which}: {said(diagnosis)}", took)
    return finding_of(diagnosis) if diagnosis.code in _OF_THE_ACCOUNT else None


async def check_gate(context: CheckupContext) -> CheckFinding | None:
    """The target's own answer decides; the other surfaces are shown, for they have been seen to differ."""
    target = context.plan.target
    (own,) = await check_all(context.settings, [target], context.attempts)
    _note(context, own)
    why = ""
    if own.diagnosis.code in _SAME_EVERYWHERE:
        why = "would be answered the same"
    elif own.diagnosis.effect is Effect.INCONCLUSIVE:
        why = "not while such answers come: they use up limits, and may be billed"
    if why:
        for other in context.plan.surfaces:
            context.skipped(_name(other.capability.surface), why)
        return finding_of(own.diagnosis)
    sent = int(target.capability.surface.makes_images)
    rest = await check_all(
        context.settings, context.plan.surfaces, context.attempts, images_sent=sent
    )
    for made in rest:
        _note(context, made)
    granted = own.diagnosis.effect is Effect.GRANTED
    unlike, words = (Effect.GATED, "still gated") if granted else (Effect.GRANTED, "open already")
    found = [one.target.capability.surface for one in rest if one.diagnosis.effect is unlike]
    if found:
        context.notes.append(f"The same model is {words} through: {', '.join(found)}.")
    return finding_of(own.diagnosis)


def _note(context: CheckupContext, made: Checked) -> None:
    context.probes.append(made)
    name, took = _name(made.target.capability.surface), made.observation.timings.total
    if made.diagnosis.effect is Effect.GRANTED:
        context.ok(name, f"{said(made.diagnosis)}, ${made.cost_usd:.5f}", took)
    elif made.diagnosis.effect is Effect.INCONCLUSIVE:
        context.skipped(name, f"could not be told: {said(made.diagnosis)}", took)
    else:
        id_ = made.diagnosis.request_id
        context.problem(name, said(made.diagnosis) + (f" ({id_})" if id_ else ""), took)


def _name(surface: str) -> str:
    return f"{GATE}:{surface}"
