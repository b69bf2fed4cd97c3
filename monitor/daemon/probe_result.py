"""The result of a probe, and what is recorded of it."""

import re
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache

from monitor.access.holds import NOTHING, Posting
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


@dataclass(frozen=True, slots=True)
class ProbeResult:
    """The result of one probe: what came back, what it means, and what it cost in US dollars."""

    watch: Watch
    kind: ProbeKind
    observation: Observation
    diagnosis: Diagnosis | None
    cost: float = 0.0
    #: what it changes in the ledger
    posting: Posting = NOTHING
    #: a listing, because the budget had no room
    over_budget: bool = False
    #: a listing that was answered and is followed by a full probe at once
    brings: bool = False
    #: the target's secret was replaced while the probe was in flight
    outdated: bool = False
    #: when it was sent, in even seconds
    asked_at: float = 0.0


def answer_of(result: ProbeResult, now: datetime) -> AnswerRecord:
    """What is recorded of an answer: equal ones are equal without their ids and figures."""
    diagnosis, observation = result.diagnosis, result.observation
    return AnswerRecord(
        kind=result.kind,
        diagnosis=diagnosis.code if diagnosis else None,
        status=observation.status,
        at=now,
        gate=diagnosis.gate if diagnosis else None,
        message=_message(diagnosis, result.watch.target.capability.model) if diagnosis else "",
        request_id=diagnosis.request_id if diagnosis else None,
        headers=observation.headers,
        latency_ms=observation.timings.total,
        cost_usd=result.cost,
        connect_ms=observation.timings.connect,
        tls_ms=observation.timings.tls,
        first_byte_ms=observation.timings.first_byte,
        reused=observation.timings.reused,
    )


def _message(diagnosis: Diagnosis, model: str) -> str:
    # the gate's words have no figures but of models, and why no answer came is in words of our own
    whole = diagnosis.effect.conclusive or diagnosis.code is Code.NETWORK_ERROR
    return _normal(diagnosis.message, None if whole else model)


@lru_cache(maxsize=512)
def _normal(message: str, model: str | None) -> str:
    """The words without ids, and without figures but those of names like the model's; None leaves all."""
    normal = _IDS.sub("…", message)
    if model is None:
        return normal
    families = re.findall(r"[a-z]+", model.casefold())

    def shown(match: re.Match[str]) -> str:
        word = match[0]
        family = re.match(r"[a-z]+", word.casefold())  # none, of a figure or of a stop alone
        if family and family[0] in families:
            return word
        return _FIGURES.sub("…", word)

    return _WORDS.sub(shown, normal)
