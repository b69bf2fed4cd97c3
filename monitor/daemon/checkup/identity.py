"""Is the key alive, and does it act for the organization and project that were configured?"""

from dataclasses import replace

from monitor.access.diagnosis import read_listing
from monitor.access.observation import Diagnosis, Observation
from monitor.access.words import Code, Effect, ProbeKind
from monitor.daemon.checkup.course import Course, finding_of, said
from monitor.daemon.checkup.results import Finding

KEY, BELONGING = "key", "organization_and_project"

_OF_THE_KEY = (Code.INVALID_CREDENTIALS, Code.ACCOUNT_DEACTIVATED)


async def check(course: Course) -> Finding | None:
    """By the listing; where it was refused for the organization, by another one without naming any."""
    listing = course.listing
    assert listing is not None  # noqa: S101  # `reach` made it
    diagnosis, took = read_listing(listing, course.settings.rules), listing.timings.total
    if diagnosis is None:
        course.ok(KEY, "alive: it may list the models", took)
        return _belongs(course, listing)
    if diagnosis.effect is Effect.INCONCLUSIVE:
        # A restricted key may not list models, and a list may fail while calls work: go on.
        course.skipped(KEY, f"could not be told: {said(diagnosis)}", took)
        course.skipped(BELONGING, "could not be told: the list of models was not given")
        return None
    if diagnosis.code is Code.ORGANIZATION_MISMATCH:
        return await _mismatched(course, diagnosis)
    if diagnosis.code is Code.PROJECT_DENIED:
        course.ok(KEY, "alive: it was recognized", took)
        course.problem(BELONGING, said(diagnosis))
        return finding_of(diagnosis)
    course.problem(KEY, said(diagnosis), took)
    course.skipped(BELONGING, "the key itself was refused")
    return finding_of(diagnosis)


def _belongs(course: Course, listing: Observation) -> Finding | None:
    target, real = course.plan.target, listing.headers.get("openai-project", "")
    named = [name for name in (target.organization, target.project) if name]
    told = f"; the answer names project {real}" if real else ""
    if target.project and real and real != target.project:
        # The id, unlike the organization's slug, is the real one.
        course.problem(BELONGING, f"configured {target.project}, but the answer is for {real}")
        course.notes.append(f"The key acts for project {real}, not for {target.project}.")
    elif named:
        course.ok(BELONGING, f"accepted for {' and '.join(named)}{told}")
    else:
        course.ok(BELONGING, f"none is configured: the key's own{told}")
    return None


async def _mismatched(course: Course, diagnosis: Diagnosis) -> Finding:
    """The same request without naming anybody tells a wrong name from a wrong key."""
    bare = replace(course.credentials, organization=None, project=None)
    again = await course.prober.probe(bare, course.plan.target.capability, ProbeKind.LISTING)
    alone = read_listing(again, course.settings.rules)
    finding = finding_of(diagnosis)
    if alone is not None and alone.code in _OF_THE_KEY:
        course.problem(KEY, said(alone), again.timings.total)
    elif alone is not None:
        course.skipped(KEY, f"could not be told: {said(alone)}", again.timings.total)
    else:
        course.ok(KEY, "alive when no organization is named", again.timings.total)
        real = again.headers.get("openai-project")
        whose = f" It acts for project {real}." if real else ""
        finding = replace(finding, note=f"The key works when neither is named.{whose}")
    course.problem(BELONGING, said(diagnosis))
    return finding
