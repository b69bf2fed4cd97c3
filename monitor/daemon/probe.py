"""One probe on its way through the pipeline, and what is recorded of its answer."""

from dataclasses import dataclass
from datetime import datetime

from monitor.access.diagnosis.text import equal_message
from monitor.access.holds import NOTHING, Posting, Reservation
from monitor.access.observation import Diagnosis, Observation
from monitor.access.words import Code, ProbeKind
from monitor.daemon.watches import Watch
from monitor.store.records import AnswerRecord
from monitor.store.tally import Tally

_NOTHING_YET = Observation(None)


@dataclass(slots=True, eq=False)
class Probe:
    """One probe of a target. Each step of the pipeline adds what it found."""

    watch: Watch
    kind: ProbeKind
    #: the price that is reserved for it
    hold: Reservation | None = None
    #: a listing, because the budget had no room
    over_budget: bool = False
    #: a full probe with the last of the budget, because the server has answered
    tries: bool = False
    #: when it was sent, in even seconds
    asked_at: float = 0.0
    #: the target's secret was replaced while the probe was in flight
    outdated: bool = False
    observation: Observation = _NOTHING_YET
    #: None for a listing that found nothing wrong
    diagnosis: Diagnosis | None = None
    #: what it cost in US dollars, and what it changes in the ledger
    cost: float = 0.0
    posting: Posting = NOTHING
    #: the cost by the answer's own usage, if that exceeds what was left
    claimed: float = 0.0
    #: a listing that was answered and is followed by a full probe at once
    brings: bool = False

    @property
    def code(self) -> Code | None:
        """The code of its diagnosis."""
        return self.diagnosis.code if self.diagnosis else None


def not_evaluated(observation: Observation) -> Diagnosis:
    """The diagnosis of an answer that could not be read."""
    code = Code.UNRECOGNIZED
    return Diagnosis(code, code.owner, "not_evaluated", status=observation.status)


def answer_of(probe: Probe, now: datetime) -> AnswerRecord:
    """What is recorded of an answer: equal ones are equal without their ids and figures."""
    diagnosis, observation = probe.diagnosis, probe.observation
    return AnswerRecord(
        kind=probe.kind,
        diagnosis=diagnosis.code if diagnosis else None,
        status=observation.status,
        at=now,
        gate=diagnosis.gate if diagnosis else None,
        message=equal_message(diagnosis, probe.watch.target.capability.model) if diagnosis else "",
        request_id=diagnosis.request_id if diagnosis else None,
        headers=observation.headers,
        latency_ms=observation.timings.total,
        cost_usd=probe.cost,
        connect_ms=observation.timings.connect,
        tls_ms=observation.timings.tls,
        first_byte_ms=observation.timings.first_byte,
        reused=observation.timings.reused,
    )


def count(tally: Tally, probe: Probe) -> None:
    """Count a probe for the metrics; a listing that tells nothing of the key has no diagnosis."""
    took = probe.observation.timings
    tally.probed(
        probe.watch.target.route,
        probe.code or "none",
        probe.watch.late,
        {
            "connect": took.connect,
            "tls": took.tls,
            "first_byte": took.first_byte,
            "total": took.total,
        },
    )
