"""What a checkup asks, decided and priced before anything is sent, and what its steps share."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from enum import StrEnum
from itertools import groupby

from monitor.access.observation import Diagnosis, Observation
from monitor.access.target import Capability, Target, split_capability
from monitor.access.words import Code, Contract, Gate, Owner, Surface
from monitor.catalog import builtin, open_price
from monitor.catalog.requests import TOOL_DRIVER
from monitor.config import Route, Settings
from monitor.oneshot.probe_once import Attempts, Checked, credentials_of
from monitor.probing import Credentials, Prober

#: Targets of other routes that are probed beside it; more would be costly, and tell no more.
_OTHERS_MOST = 10


@dataclass(frozen=True, slots=True)
class CheckupPlan:
    """The target, its model's other gated surfaces, the control, and the same model over other routes."""

    target: Target
    surfaces: tuple[Target, ...]
    control: Target | None
    others: tuple[Target, ...]
    #: how many more targets of other routes there are than are asked
    left_out: int = 0

    def __iter__(self) -> Iterator[Target]:
        yield self.target
        yield from self.surfaces
        if self.control:
            yield self.control
        yield from self.others


def plan_of(settings: Settings, key: str, model: str | None, today: date) -> CheckupPlan:
    """The plan for a key of the settings and a model: `MODEL` or `MODEL:SURFACE`.

    Without a surface it is the one that the key watches the model on, else the model's usual one;
    without a model the first that the key watches. Raises ValueError with a sentence for people.
    """
    capability = _capability(settings, key, model)
    asked = settings.key(key)
    target = Target(
        key=key,
        capability=capability,
        route=asked.route,
        contract=settings.routes[asked.route].contract,
        organization=asked.organization,
        project=asked.project,
    )
    known = settings.catalog.get(capability.model)
    gated = [one for one in known.surfaces if one in known.gates] if known else []
    others = _others(settings, target)
    return CheckupPlan(
        target=target,
        surfaces=tuple(
            replace(target, capability=replace(capability, surface=surface))
            for surface in gated
            if surface is not capability.surface
        ),
        control=_control(target, today),
        others=others[:_OTHERS_MOST],
        left_out=max(len(others) - _OTHERS_MOST, 0),
    )


def _capability(settings: Settings, key: str, text: str | None) -> Capability:
    watched = settings.key(key).watch
    if text is None:
        return watched[0]
    model, surface = split_capability(text)
    if not model or not model.isprintable() or any(char.isspace() for char in model):
        raise ValueError(f"{text!r} is not MODEL or MODEL:SURFACE")
    if surface:
        return Capability(model, surface)
    if own := next((one for one in watched if one.model == model), None):
        return own
    usual = settings.catalog.usual_surface(model)
    if usual is None:
        near = settings.catalog.nearest(model)
        hint = f"did you mean {near!r}? " if near else ""
        raise ValueError(
            f"the catalog does not know {model!r}; {hint}"
            f"For a model of your own, name the surface: {model}:{Surface.RESPONSES}"
        )
    return Capability(model, usual)


def _control(target: Target, today: date) -> Target | None:
    """A cheap model without a gate: whoever pays may use it, so its answer is of key and account."""
    catalog = builtin()
    prices = {
        name: price
        for name, model in catalog.models.items()
        if not model.gates
        and {Surface.RESPONSES, Surface.CHAT} <= set(model.surfaces)
        and (model.shutdown is None or model.shutdown > today)
        and (price := open_price(catalog, Capability(name, Surface.RESPONSES))) is not None
    }
    chosen = min(prices, key=lambda name: (name != TOOL_DRIVER, prices[name]), default=None)
    if chosen is None or catalog.get(target.capability.model) is catalog.get(chosen):
        return None
    # gateways and relays serve chat completions if they serve anything
    surface = Surface.RESPONSES if target.contract is Contract.DIRECT else Surface.CHAT
    return replace(target, capability=Capability(chosen, surface))


def _others(settings: Settings, target: Target) -> tuple[Target, ...]:
    """What other keys watch of the same model over other routes: the same surface if they have it."""
    found: list[Target] = []
    mine = target.capability.model
    for _, its in groupby(settings.targets(), key=lambda one: one.key):
        same = [
            one
            for one in its
            if one.route != target.route and settings.catalog.same_model(mine, one.capability.model)
        ]
        exact = [one for one in same if one.capability.surface is target.capability.surface]
        found += exact or same
    return tuple(found)


class CheckResult(StrEnum):
    """How a check came out."""

    OK = "ok"
    PROBLEM = "problem"
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True)
class Check:
    """One check: its result, what was seen, and milliseconds where something was waited for."""

    name: str
    result: CheckResult
    evidence: str
    took_ms: float | None = None


@dataclass(frozen=True, slots=True)
class CheckFinding:
    """What decides a checkup. `note` is said before the code's own advice."""

    code: Code
    owner: Owner
    gate: Gate | None = None
    note: str = ""


@dataclass(slots=True)
class CheckupContext:
    """One running checkup. A step adds checks, and returns a finding when later steps are pointless."""

    settings: Settings
    plan: CheckupPlan
    prober: Prober
    environ: Mapping[str, str]
    now: datetime
    attempts: Attempts
    checks: list[Check] = field(default_factory=list)
    probes: list[Checked] = field(default_factory=list)
    #: said in the verdict whatever it is
    notes: list[str] = field(default_factory=list)
    #: the listing, once it was made
    listing: Observation | None = None
    #: by the project's model permissions; None when they were not read
    allowed: bool | None = None
    #: the project's image limit for the model is zero
    limit_zero: bool = False

    @property
    def route(self) -> Route:
        """The route of the key."""
        return self.settings.routes[self.plan.target.route]

    @property
    def direct(self) -> bool:
        """True where the contract is OpenAI's own."""
        return self.plan.target.contract is Contract.DIRECT

    @property
    def credentials(self) -> Credentials:
        """What this key's requests are sent with: over its own route only."""
        return credentials_of(self.settings, self.plan.target)

    def ok(self, name: str, evidence: str, took_ms: float | None = None) -> None:
        """Note that a check is fine."""
        self._note(name, CheckResult.OK, evidence, took_ms)

    def problem(self, name: str, evidence: str, took_ms: float | None = None) -> None:
        """Note that a check found something."""
        self._note(name, CheckResult.PROBLEM, evidence, took_ms)

    def skipped(self, name: str, evidence: str, took_ms: float | None = None) -> None:
        """Note that a check was not made, or was inconclusive."""
        self._note(name, CheckResult.SKIPPED, evidence, took_ms)

    def _note(self, name: str, result: CheckResult, evidence: str, took_ms: float | None) -> None:
        took = None if took_ms is None else round(took_ms, 1)
        self.checks.append(Check(name, result, evidence, took))


def said(diagnosis: Diagnosis) -> str:
    """A diagnosis with its status and the server's words, for evidence."""
    parts = [str(diagnosis.status or ""), str(diagnosis.code), diagnosis.message]
    return ", ".join(part for part in parts if part)


def finding_of(diagnosis: Diagnosis) -> CheckFinding:
    """The finding that follows from an answer."""
    return CheckFinding(diagnosis.code, diagnosis.owner, diagnosis.gate)
