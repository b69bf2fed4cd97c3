"""Is there credit, and does a model without a gate work? One request answers both."""

from monitor.access.words import Code, Effect
from monitor.oneshot.checkup.checkup_context import CheckupContext, finding_of, said
from monitor.oneshot.checkup.results import CheckFinding
from monitor.oneshot.probe_once import check_all

CREDIT, CONTROL = "credit", "control"

#: What the control says of the whole account: no other model could answer otherwise.
_OF_THE_ACCOUNT = (
    Code.QUOTA_EXHAUSTED,
    Code.INVALID_CREDENTIALS,
    Code.ACCOUNT_DEACTIVATED,
    Code.ORGANIZATION_MISMATCH,
    Code.REGION_BLOCKED,
)


async def check(context: CheckupContext) -> CheckFinding | None:
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
