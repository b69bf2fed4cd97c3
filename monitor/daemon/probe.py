"""One probe on its way through the pipeline, and what is recorded of its answer."""

import re
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache

from monitor.access.holds import NOTHING, Posting, Reservation
from monitor.access.observation import Diagnosis, Observation
from monitor.access.words import Code, ProbeKind
from monitor.daemon.watches import Watch
from monitor.store.records import AnswerRecord

# What differs between answers that are otherwise equal: ids, and the figures of a rate limit.
_IDS = re.compile(
    r"\b(?:req_\w+|[0-9a-f]{16,}|[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}|\d{12,}\w*)\b"
    r"|\brequest[ _-]?id[:= ]{1,2}[\w-]+",
    re.IGNORECASE,
)
_FIGURES = re.compile(r"\d+(?:\.\d+)?")
_WORDS = re.compile(r"[a-z][\w.-]*|[\d.]+", re.IGNORECASE | re.ASCII)

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
        message=_message(diagnosis, probe.watch.target.capability.model) if diagnosis else "",
        request_id=diagnosis.request_id if diagnosis else None,
        headers=observation.headers,
        latency_ms=observation.timings.total,
        cost_usd=probe.cost,
        connect_ms=observation.timings.connect,
        tls_ms=observation.timings.tls,
        first_byte_ms=observation.timings.first_byte,
        reused=observation.timings.reused,
    )


def _message(diagnosis: Diagnosis, model: str) -> str:
    # A gate's words have no figures but those of models. Why no answer came is in words of our own.
    whole = diagnosis.effect.conclusive or diagnosis.code is Code.NETWORK_ERROR
    return _normal(diagnosis.message, None if whole else model)


@lru_cache(maxsize=512)
def _normal(message: str, model: str | None) -> str:
    """The words without ids, and without figures but those of names like the model's; None keeps them all."""
    normal = _IDS.sub("…", message)
    if model is None:
        return normal
    families = re.findall(r"[a-z]+", model.casefold())

    def shown(match: re.Match[str]) -> str:
        word = match[0]
        family = re.match(r"[a-z]+", word.casefold())  # none for a number or a dot alone
        if family and family[0] in families:
            return word
        return _FIGURES.sub("…", word)

    return _WORDS.sub(shown, normal)
