"""What a checkup finds: checks with their evidence, the routes side by side, and a verdict."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from monitor.access.words import Code, Gate, Owner
from monitor.oneshot.probe_once import Checked


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

    key: str
    target: str
    checks: tuple[Check, ...]
    routes: tuple[Checked, ...]
    verdict: Verdict
    #: every full probe that was made
    probes: tuple[Checked, ...]

    @property
    def cost_usd(self) -> float:
        """US dollars that all probes cost."""
        return sum(probe.cost_usd for probe in self.probes)

    def as_json(self) -> dict[str, Any]:
        """The report as JSON values."""
        return {
            "key": self.key,
            "target": self.target,
            "checks": [
                {
                    "name": check.name,
                    "result": str(check.result),
                    "evidence": check.evidence,
                    "took_ms": None if check.took_ms is None else round(check.took_ms, 1),
                }
                for check in self.checks
            ],
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
