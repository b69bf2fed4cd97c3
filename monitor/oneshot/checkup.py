"""The self-help list of the threads, run as checks of one key and one model."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from monitor.access.diagnosis import advise
from monitor.access.target import Target
from monitor.access.words import Code, Contract, Effect, Owner
from monitor.config import Settings
from monitor.oneshot import key_checks as key
from monitor.oneshot import model_checks as model
from monitor.oneshot.checkup_plan import (
    Check,
    CheckFinding,
    CheckResult,
    CheckupContext,
    CheckupPlan,
)
from monitor.oneshot.probe_once import Attempts, Checked, check_all
from monitor.probing import Prober


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whose problem it is, what to do, and what not to bother doing."""

    owner: Owner
    diagnosis: Code
    #: paragraphs
    steps: tuple[str, ...]
    not_worth: tuple[str, ...]

    @property
    def advice(self) -> str:
        """What to do, as one text."""
        return " ".join(self.steps)


@dataclass(frozen=True, slots=True)
class Report:
    """A checkup's outcome. `routes` are the target and the same model over other routes, each its own."""

    target: Target
    checks: tuple[Check, ...]
    routes: tuple[Checked, ...]
    verdict: Verdict
    #: US dollars that all probes cost
    cost_usd: float

    def as_json(self) -> dict[str, Any]:
        """The report as JSON values."""
        return {
            "key": self.target.key,
            "target": self.target.name,
            "checks": [asdict(check) for check in self.checks],
            "routes": [_route(checked) for checked in self.routes],
            "verdict": {
                "owner": str(self.verdict.owner),
                "diagnosis": str(self.verdict.diagnosis),
                "advice": self.verdict.advice,
                "not_worth": list(self.verdict.not_worth),
            },
            "cost_usd": self.cost_usd,
        }


def _route(checked: Checked) -> dict[str, Any]:
    target, timings = checked.target, checked.observation.timings
    first = timings.first_byte
    return {
        "target": target.name,
        "route": target.route,
        "contract": str(target.contract),
        "diagnosis": str(checked.diagnosis.code),
        "effect": str(checked.diagnosis.effect),
        "status": checked.observation.status,
        "message": checked.diagnosis.message,
        "request_id": checked.diagnosis.request_id,
        "latency_ms": round(timings.total, 1),
        "first_byte_ms": None if first is None else round(first, 1),
        "cost_usd": checked.cost_usd,
        "cost_estimated": checked.estimated,
    }


_Step = Callable[[CheckupContext], Awaitable[CheckFinding | None]]

#: The steps in order, with the names of the checks each one makes; a new one is a function and a line here.
#: Those of the project are made only where there is an admin key.
_STEPS: tuple[tuple[_Step, tuple[str, ...]], ...] = (
    (key.check_secret, (key.SECRET,)),
    (key.check_variables, (key.VARIABLES,)),
    (key.check_reach, (key.NAME, key.CONNECTION, key.TLS, key.FIRST_BYTE)),
    (key.check_identity, (key.KEY, key.BELONGING)),
    (model.check_listed, (model.LISTED, model.MODEL)),
    (model.check_endpoint, (model.ENDPOINT,)),
    (model.check_project, ()),
    (model.check_control, (model.CREDIT, model.CONTROL)),
    (model.check_gate, (model.GATE,)),
)


async def checkup(
    settings: Settings,
    plan: CheckupPlan,
    environ: Mapping[str, str],
    now: datetime,
    attempts: Attempts,
) -> Report:
    """Run the plan. Other keys' routes are asked at the same time, each with its own secret.

    `environ` is searched for stale variables; `now` (UTC) judges dates; `attempts` learns at once what
    becomes of each probe. Never raises for what the network or a server does.
    """
    prober = Prober(catalog=settings.catalog, limit_in_flight=8)
    context = CheckupContext(settings, plan, prober, environ, now, attempts)
    try:
        finding, others = await asyncio.gather(
            _run(context), check_all(settings, plan.others, attempts)
        )
    finally:
        await prober.aclose()
    own = [probe for probe in context.probes if probe.target == plan.target]
    return Report(
        target=plan.target,
        checks=tuple(context.checks),
        routes=(*own, *others),
        verdict=verdict_of(context, finding, others),
        cost_usd=sum(probe.cost_usd for probe in (*context.probes, *others)),
    )


async def _run(context: CheckupContext) -> CheckFinding:
    """The steps until one decides; those after it are named as skipped."""
    finding: CheckFinding | None = None
    decided = ""
    for step, names in _STEPS:
        if finding:
            for name in names:
                context.skipped(name, f"not needed: {decided} decides")
        elif finding := await step(context):
            problems = [one.name for one in context.checks if one.result is CheckResult.PROBLEM]
            decided = problems[-1] if problems else context.checks[-1].name
    return finding or CheckFinding(Code.UNRECOGNIZED, Owner.ROUTE)


#: A gateway's or relay's access is another contract; these four decide whether it is the same thing.
_PROVIDER_QUESTIONS = (
    "Mapping: which model, version and size settings stand behind the name, and who changes that?",
    "Billing and limits: what does a request cost, failed ones included, and which limits hold?",
    "Data: who sees the prompts and pictures, where are they kept, and for how long?",
    "Shape: are the request, the answer and the errors the same, streaming and usage included?",
)

_VERIFY = "Verifying or declaring a verification: the gate was not what refused."
_AGAIN = "Trying again in a loop: the answer stays the same until something is changed."
_NEW_KEY = "A new key: it would be answered the same."
#: Where a code has no line of its own: a verification and a new key.
_NOT_WORTH: dict[Code, tuple[str, ...]] = {
    Code.ACCESS_GRANTED: (),
    Code.VERIFICATION_REQUIRED: (
        "A higher usage tier, more credit or `service_tier`: they do not open this gate.",
        "Another key of the same organization: it stands before the same gate.",
        "Trying faster: refused requests count toward the rate limit, and the monitor probes already.",
        "Verifying a second time while the first one may still be taking effect.",
    ),
    Code.VERIFICATION_LOCKED: (
        "Waiting: a lock does not open by itself.",
        "A new key or project: the lock is the organization's.",
    ),
    Code.INVALID_CREDENTIALS: (_VERIFY, _AGAIN, "Adding credit: the key was not accepted."),
    Code.ACCOUNT_DEACTIVATED: (_VERIFY, _AGAIN, _NEW_KEY),
    Code.ORGANIZATION_MISMATCH: (_VERIFY, _AGAIN, "A new key, before the settings name its owner."),
    Code.MISSING_SCOPE: (_VERIFY, _AGAIN),
    Code.PROJECT_DENIED: (_VERIFY, _AGAIN, "A new key in the same project."),
    Code.MODEL_UNAVAILABLE: (
        _AGAIN,
        "Verifying for a model that is misspelt or gone: it never opens.",
    ),
    Code.QUOTA_EXHAUSTED: (_VERIFY, _AGAIN, _NEW_KEY),
    Code.TIER_UNSUPPORTED: (_VERIFY, _AGAIN, _NEW_KEY),
    Code.WRONG_ENDPOINT: (_VERIFY, _AGAIN, _NEW_KEY),
    Code.RATE_LIMITED: (_VERIFY, "Trying faster: refused requests count, too.", _NEW_KEY),
    Code.NETWORK_ERROR: (_VERIFY, _NEW_KEY, "Adding credit: nothing was reached."),
}


def verdict_of(
    context: CheckupContext, finding: CheckFinding, others: Sequence[Checked]
) -> Verdict:
    """The verdict on the target; `others` are the same model over other routes, never merged with it."""
    finding = _weighed(context, finding)
    advice = advise(finding.code, finding.gate, finding.owner)
    granted = finding.code is Code.ACCESS_GRANTED
    steps = [finding.note, advice.meaning, *context.notes, advice.advice]
    if finding.code is Code.VERIFICATION_REQUIRED:
        steps.append(_declared(context))
    if granted and not context.direct:
        steps.append("This is provider access: it says nothing of an OpenAI organization.")
    if context.direct and not granted:
        steps += _elsewhere(others)
    return Verdict(
        owner=finding.owner,
        diagnosis=finding.code,
        steps=tuple(step for step in steps if step),
        not_worth=_NOT_WORTH.get(finding.code, (_VERIFY, _NEW_KEY)),
    )


def _weighed(context: CheckupContext, finding: CheckFinding) -> CheckFinding:
    """The target's own answer, read in the light of what an admin key told."""
    if finding.code is Code.MODEL_UNAVAILABLE and context.allowed is False:
        note = (
            "The project's model permissions leave the model out: it is the project's allow-list."
        )
        return replace(finding, code=Code.PROJECT_DENIED, owner=Owner.PROJECT, note=note)
    if finding.code is Code.MODEL_UNAVAILABLE and context.allowed and not finding.note:
        note = (
            "The project's model permissions allow the model: it is not the project's allow-list."
        )
        return replace(finding, note=f"{note} It may not be open or visible yet.")
    if finding.code is Code.RATE_LIMITED and context.limit_zero:
        note = "The project's limit for images of this model is zero."
        return replace(finding, code=Code.TIER_UNSUPPORTED, owner=Owner.BILLING, note=note)
    return finding


def _declared(context: CheckupContext) -> str:
    at = context.settings.key(context.plan.target.key).verified_at
    if at is None:
        return ""
    waited = context.now - at
    late = waited > timedelta(hours=24)
    return f"The verification was declared at {at:%Y-%m-%dT%H:%M:%SZ}" + (
        ", more than a day ago: write to support with the evidence." if late else ": wait."
    )


def _elsewhere(others: Sequence[Checked]) -> Sequence[str]:
    opened = [
        one.target.name
        for one in others
        if one.target.contract is Contract.PROVIDER and one.diagnosis.effect is Effect.GRANTED
    ]
    if not opened:
        return ()
    step = (
        f"Meanwhile the model is open at a provider: {', '.join(opened)}. That is provider access under"
        " another contract. Before production uses it, ask the provider:"
    )
    return step, *_PROVIDER_QUESTIONS
