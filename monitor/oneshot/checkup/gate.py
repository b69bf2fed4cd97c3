"""The gate itself, on each surface of the model."""

from monitor.access.words import Code, Effect
from monitor.oneshot.checkup.checkup_context import CheckupContext, finding_of, said
from monitor.oneshot.checkup.results import CheckFinding
from monitor.oneshot.probe_once import Checked, check_all

GATE = "gate"

#: Answers after which another surface could say nothing else.
_SAME_EVERYWHERE = (
    Code.INVALID_CREDENTIALS,
    Code.ACCOUNT_DEACTIVATED,
    Code.ORGANIZATION_MISMATCH,
    Code.PROJECT_DENIED,
    Code.REGION_BLOCKED,
    Code.QUOTA_EXHAUSTED,
    Code.TIER_UNSUPPORTED,
)


async def check(context: CheckupContext) -> CheckFinding | None:
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
    opened = [str(one.target.capability.surface) for one in rest if _granted(one)]
    shut = [str(one.target.capability.surface) for one in rest if _gated(one)]
    if opened and not _granted(own):
        context.notes.append(f"The same model is open already through: {', '.join(opened)}.")
    if shut and _granted(own):
        context.notes.append(f"The same model is still gated through: {', '.join(shut)}.")
    return finding_of(own.diagnosis)


def _note(context: CheckupContext, made: Checked) -> None:
    context.probes.append(made)
    name, took = _name(made.target.capability.surface), made.observation.timings.total
    if _granted(made):
        context.ok(name, f"{said(made.diagnosis)}, ${made.cost_usd:.5f}", took)
    elif made.diagnosis.effect is Effect.INCONCLUSIVE:
        context.skipped(name, f"could not be told: {said(made.diagnosis)}", took)
    else:
        id_ = made.diagnosis.request_id
        context.problem(name, said(made.diagnosis) + (f" ({id_})" if id_ else ""), took)


def _name(surface: str) -> str:
    return f"{GATE}:{surface}"


def _granted(made: Checked) -> bool:
    return made.diagnosis.effect is Effect.GRANTED


def _gated(made: Checked) -> bool:
    return made.diagnosis.effect is Effect.GATED
