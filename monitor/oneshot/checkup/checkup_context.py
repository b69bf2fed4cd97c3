"""What the steps of a checkup share."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from monitor.access.observation import Diagnosis, Observation
from monitor.access.words import Contract
from monitor.config import Route, Settings
from monitor.oneshot.checkup.plan import CheckupPlan
from monitor.oneshot.checkup.results import Check, CheckFinding, CheckResult
from monitor.oneshot.probe_once import Attempts, Checked
from monitor.probing import Credentials, Prober


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
        target = self.plan.target
        return Credentials(
            secret=self.settings.key(target.key).secret.reveal(),
            organization=target.organization,
            project=target.project,
            base_url=self.route.base_url,
        )

    def ok(self, name: str, evidence: str, took_ms: float | None = None) -> None:
        """Note that a check is fine."""
        self.checks.append(Check(name, CheckResult.OK, evidence, took_ms))

    def problem(self, name: str, evidence: str, took_ms: float | None = None) -> None:
        """Note that a check found something."""
        self.checks.append(Check(name, CheckResult.PROBLEM, evidence, took_ms))

    def skipped(self, name: str, evidence: str, took_ms: float | None = None) -> None:
        """Note that a check was not made, or was inconclusive."""
        self.checks.append(Check(name, CheckResult.SKIPPED, evidence, took_ms))


def said(diagnosis: Diagnosis) -> str:
    """A diagnosis with its status and the server's words, for evidence."""
    parts = [str(diagnosis.status or ""), str(diagnosis.code), diagnosis.message]
    return ", ".join(part for part in parts if part)


def finding_of(diagnosis: Diagnosis) -> CheckFinding:
    """The finding that follows from an answer."""
    return CheckFinding(diagnosis.code, diagnosis.owner, diagnosis.gate)
