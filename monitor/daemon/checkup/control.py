"""Is there credit, and does a model without a gate work? One request answers both."""

from monitor.access.words import Code, Effect
from monitor.daemon.checkup.course import Course, finding_of, said
from monitor.daemon.checkup.results import Finding
from monitor.daemon.once import check_all

CREDIT, CONTROL = "credit", "control"

#: What the control says of the whole account: no other model could answer otherwise.
_OF_THE_ACCOUNT = (
    Code.QUOTA_EXHAUSTED,
    Code.INVALID_CREDENTIALS,
    Code.ACCOUNT_DEACTIVATED,
    Code.ORGANIZATION_MISMATCH,
    Code.REGION_BLOCKED,
)


async def check(course: Course) -> Finding | None:
    """Granted: key, project, credit and network are in order, and what else is refused is the model's."""
    target = course.plan.control
    if target is None:
        course.skipped(CREDIT, "told by the target's own probe")
        course.skipped(CONTROL, "the model is the control itself, or none is left in the catalog")
        return None
    (made,) = await check_all(course.settings, [target], course.attempts)
    course.probes.append(made)
    diagnosis, took = made.diagnosis, made.observation.timings.total
    which = str(target.capability)
    if diagnosis.effect is Effect.GRANTED:
        course.ok(CREDIT, f"a request was served: ${made.cost_usd:.6f}")
        course.ok(CONTROL, f"{which} was served", took)
        return None
    if diagnosis.code is Code.QUOTA_EXHAUSTED:
        course.problem(CREDIT, said(diagnosis))
    else:
        course.skipped(CREDIT, "could not be told: the control was not served")
    if diagnosis.code is Code.MODEL_UNAVAILABLE and not course.direct:
        course.skipped(CONTROL, f"{which} is unknown at this provider: no finding", took)
    elif diagnosis.effect is Effect.INCONCLUSIVE:
        course.skipped(CONTROL, f"{which}: {said(diagnosis)}", took)
    else:
        course.problem(CONTROL, f"{which}: {said(diagnosis)}", took)
    return finding_of(diagnosis) if diagnosis.code in _OF_THE_ACCOUNT else None
