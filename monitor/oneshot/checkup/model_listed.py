"""Is the model listed, shut down or close to it, and asked for at the right endpoint?"""

from datetime import date

from monitor.access.diagnosis import diagnose
from monitor.access.target import Capability
from monitor.access.words import Code, Effect, Owner, ProbeKind, Surface
from monitor.catalog import Model
from monitor.catalog.listing import listed as dates_of
from monitor.oneshot.checkup.checkup_context import CheckupContext, said
from monitor.oneshot.checkup.results import CheckFinding

LISTED, MODEL, ENDPOINT = "listed", "model", "endpoint"


async def check(context: CheckupContext) -> CheckFinding | None:
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
