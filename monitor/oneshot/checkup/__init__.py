"""The self-help list of the threads, run as checks of one key and one model."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime

from monitor.access.words import Code, Owner
from monitor.config import Settings
from monitor.oneshot.checkup import (
    control,
    gate,
    identity,
    model_listed,
    project_check,
    reach,
    secret,
    variables,
)
from monitor.oneshot.checkup.checkup_context import CheckupContext
from monitor.oneshot.checkup.plan import CheckupPlan, cost, plan_of
from monitor.oneshot.checkup.project_check import ProjectRules, project_rules
from monitor.oneshot.checkup.results import Check, CheckFinding, CheckResult, Report, Verdict
from monitor.oneshot.checkup.verdict import verdict_of
from monitor.oneshot.probe_once import Attempts, check_all
from monitor.probing import Prober

__all__ = [
    "Check",
    "CheckResult",
    "CheckupPlan",
    "ProjectRules",
    "Report",
    "Verdict",
    "checkup",
    "cost",
    "plan_of",
    "project_rules",
]

_Step = Callable[[CheckupContext], Awaitable[CheckFinding | None]]

#: The steps in order, with the names of the checks each one makes; a new one is a file and a line here.
#: Those of `project_check` are made only where there is an admin key.
_STEPS: tuple[tuple[_Step, tuple[str, ...]], ...] = (
    (secret.check, (secret.SECRET,)),
    (variables.check, (variables.VARIABLES,)),
    (reach.check, (reach.NAME, reach.CONNECTION, reach.TLS, reach.FIRST_BYTE)),
    (identity.check, (identity.KEY, identity.BELONGING)),
    (model_listed.check, (model_listed.LISTED, model_listed.MODEL)),
    (model_listed.check_endpoint, (model_listed.ENDPOINT,)),
    (project_check.check, ()),
    (control.check, (control.CREDIT, control.CONTROL)),
    (gate.check, (gate.GATE,)),
)


async def checkup(
    settings: Settings,
    plan: CheckupPlan,
    environ: Mapping[str, str],
    now: datetime,
    attempts: Attempts | None = None,
) -> Report:
    """Run the plan. Other keys' routes are asked at the same time, each with its own secret.

    `environ` is searched for stale variables; `now` (UTC) judges dates; `attempts` learns at once what
    becomes of each probe. Never raises for what the
    network or a server does.
    """
    prober = Prober(catalog=settings.catalog, limit_in_flight=8)
    attempts = attempts or Attempts()
    context = CheckupContext(settings, plan, prober, environ, now, attempts)
    try:
        finding, others = await asyncio.gather(
            _run(context), check_all(settings, plan.others, attempts)
        )
    finally:
        await prober.aclose()
    own = [probe for probe in context.probes if probe.target == plan.target]
    return Report(
        key=plan.target.key,
        target=plan.target.name,
        checks=tuple(context.checks),
        routes=(*own, *others),
        verdict=verdict_of(context, finding, others),
        probes=(*context.probes, *others),
    )


async def _run(context: CheckupContext) -> CheckFinding:
    """The steps until one decides; those after it are named as skipped."""
    finding: CheckFinding | None = None
    decided = ""
    for step, names in _STEPS:
        if finding:
            for name in names:
                context.skipped(name, f"not needed: {decided} decides")
            continue
        finding = await step(context)
        if finding:
            problems = [
                check.name for check in context.checks if check.result is CheckResult.PROBLEM
            ]
            decided = problems[-1] if problems else context.checks[-1].name
    return finding or CheckFinding(Code.UNRECOGNIZED, Owner.ROUTE)
