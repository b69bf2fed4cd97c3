"""Is the key alive, and does it act for the organization and project that were configured?"""

from dataclasses import replace

from monitor.access.diagnosis import read_listing
from monitor.access.observation import Diagnosis, Observation
from monitor.access.words import DEAD_KEY, Code, Effect, ProbeKind
from monitor.oneshot.checkup.checkup_context import CheckupContext, finding_of, said
from monitor.oneshot.checkup.results import CheckFinding

KEY, BELONGING = "key", "organization_and_project"


async def check(context: CheckupContext) -> CheckFinding | None:
    """By the listing; where it was refused for the organization, by another one without naming any."""
    listing = context.listing
    assert listing is not None  # noqa: S101  # `reach` made it
    diagnosis, took = read_listing(listing, context.settings.rules), listing.timings.total
    if diagnosis is None:
        context.ok(KEY, "alive: it may list the models", took)
        return _belongs(context, listing)
    if diagnosis.effect is Effect.INCONCLUSIVE:
        # A restricted key may not list models, and a list may fail while calls work: go on.
        context.skipped(KEY, f"could not be told: {said(diagnosis)}", took)
        context.skipped(BELONGING, "could not be told: the list of models was not given")
        return None
    if diagnosis.code is Code.ORGANIZATION_MISMATCH:
        return await _mismatched(context, diagnosis)
    if diagnosis.code is Code.PROJECT_DENIED:
        context.ok(KEY, "alive: it was recognized", took)
        context.problem(BELONGING, said(diagnosis))
        return finding_of(diagnosis)
    context.problem(KEY, said(diagnosis), took)
    context.skipped(BELONGING, "the key itself was refused")
    return finding_of(diagnosis)


def _belongs(context: CheckupContext, listing: Observation) -> CheckFinding | None:
    target, real = context.plan.target, listing.headers.get("openai-project", "")
    named = [name for name in (target.organization, target.project) if name]
    told = f"; the answer names project {real}" if real else ""
    if target.project and real and real != target.project:
        # The id, unlike the organization's slug, is the real one.
        context.problem(BELONGING, f"configured {target.project}, but the answer is for {real}")
        context.notes.append(f"The key acts for project {real}, not for {target.project}.")
    elif named:
        context.ok(BELONGING, f"accepted for {' and '.join(named)}{told}")
    else:
        context.ok(BELONGING, f"none is configured: the key's own{told}")
    return None


async def _mismatched(context: CheckupContext, diagnosis: Diagnosis) -> CheckFinding:
    """The same request without naming anybody tells a wrong name from a wrong key."""
    bare = replace(context.credentials, organization=None, project=None)
    again = await context.prober.probe(bare, context.plan.target.capability, ProbeKind.LISTING)
    alone = read_listing(again, context.settings.rules)
    finding = finding_of(diagnosis)
    if alone is not None and alone.code in DEAD_KEY:
        context.problem(KEY, said(alone), again.timings.total)
    elif alone is not None:
        context.skipped(KEY, f"could not be told: {said(alone)}", again.timings.total)
    else:
        context.ok(KEY, "alive when no organization is named", again.timings.total)
        real = again.headers.get("openai-project")
        whose = f" It acts for project {real}." if real else ""
        finding = replace(finding, note=f"The key works when neither is named.{whose}")
    context.problem(BELONGING, said(diagnosis))
    return finding
