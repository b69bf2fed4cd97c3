"""What an answer means: pure and total, from an observation to a diagnosis."""

from collections.abc import Hashable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from monitor.access.diagnosis import envelope, proof
from monitor.access.diagnosis.advice import NO_ANSWER, Advice, advise, owner_of
from monitor.access.diagnosis.answer import Kind, ParsedAnswer, read, retry_after
from monitor.access.diagnosis.proof import ProofVerdict
from monitor.access.diagnosis.rules import Finding, found, judge, own_finding
from monitor.access.diagnosis.text import MESSAGE_CAP, clean
from monitor.access.observation import Diagnosis, Observation
from monitor.access.words import LISTING_CODES, Code, Owner, ProbeKind

if TYPE_CHECKING:  # it needs pydantic
    from monitor.access.diagnosis.own_rule import OwnRule

__all__ = ["Advice", "DiagnosisCache", "advise", "diagnose", "read_listing"]


def diagnose(observation: Observation, rules: "Sequence[OwnRule]" = ()) -> Diagnosis:
    """What a full probe's answer means. Never raises, whatever came back.

    `rules` are the users' own: tried before the built-in ones, but never over a proven success. A
    listing given to it is read as one: it is never granted, gated or locked.
    """
    if observation.kind is ProbeKind.LISTING:
        return read_listing(observation, rules) or _diagnosis(
            observation, found(Code.UNRECOGNIZED, "listing_is_fine", Owner.REQUEST)
        )
    if observation.failure is not None:
        return _no_answer(observation)
    answer = read(observation)
    if _succeeded(observation) and (answer.kind is Kind.TEXT or not answer.errors):
        verdict, said = proof.judge(answer, observation)
        inner, refusal, texts = answer, None, list(said.texts())
        if texts or said.denials:
            inner = _spoken(texts, said.denials)
            refusal = judge(inner, observation.status)
            if refusal.code is Code.UNRECOGNIZED:
                refusal = None
        if verdict is ProofVerdict.PROVEN and refusal is None:
            return _diagnosis(observation, found(Code.ACCESS_GRANTED, str(verdict)))
        if chosen := own_finding(rules, inner, observation.status) or refusal:
            return _diagnosis(observation, chosen, inner, inner.folded)
        if answer.kind in (Kind.JSON, Kind.STREAM):
            filtered = verdict is ProofVerdict.FILTERED
            code = Code.MODERATION_BLOCKED if filtered else Code.UNRECOGNIZED
            wordless = verdict is ProofVerdict.WORDLESS
            return _diagnosis(observation, found(code, str(verdict)), inner, unproven=wordless)
    return _diagnosis(observation, _judged(rules, answer, observation), answer, answer.folded)


def _judged(rules: "Sequence[OwnRule]", answer: ParsedAnswer, observation: Observation) -> Finding:
    return own_finding(rules, answer, observation.status) or judge(answer, observation.status)


def _spoken(texts: Sequence[str], denials: Sequence[Any]) -> ParsedAnswer:
    """All of a success's text as an answer of its own: what is an error object in it is that error."""
    layers = [layer for denial in denials for layer in envelope.layers(denial)]
    for text in texts:
        layers += envelope.layers(None, text)
    return ParsedAnswer(Kind.TEXT, "\n".join(texts), errors=layers)


def read_listing(observation: Observation, rules: "Sequence[OwnRule]" = ()) -> Diagnosis | None:
    """What a `GET /models` tells: None when key, organization and project are fine.

    Otherwise a blocked or an inconclusive diagnosis; the gate is never told by it, not even by a rule
    of the user's own.
    """
    if observation.failure is not None:
        return _no_answer(observation)
    answer = read(observation)
    if observation.status is not None and _succeeded(observation) and _is_list(observation, answer):
        return None
    finding = _judged(rules, answer, observation)
    effect = finding.code.effect
    if effect.conclusive or (effect == "blocked" and finding.code not in LISTING_CODES):
        finding = found(Code.UNRECOGNIZED, f"listing_{finding.rule}", finding.owner)
    return _diagnosis(observation, finding, answer, answer.folded)


def _is_list(observation: Observation, answer: ParsedAnswer) -> bool:
    if answer.kind is Kind.JSON and isinstance(answer.value, dict):
        return isinstance(answer.value.get("data"), list) and not answer.errors
    # A relay's list can be longer than our cap; its start is enough.
    head = "".join(answer.text[:400].split())
    return (
        observation.truncated
        and answer.kind is Kind.TEXT
        and head.startswith("{")
        and '"data":[{' in head
        and '"error"' not in head
    )


def _succeeded(observation: Observation) -> bool:
    """True for a 2xx, and for a pasted answer without a status: then the payload alone speaks."""
    return observation.status is None or 200 <= observation.status < 300


def _no_answer(observation: Observation) -> Diagnosis:
    failure = observation.failure
    return Diagnosis(
        Code.NETWORK_ERROR,
        owner_of(failure),
        f"{NO_ANSWER}{failure}",
        message=_shown(observation, observation.failure_text) or str(failure).replace("_", " "),
        status=observation.status,
        request_id=request_id_of(observation),
    )


def _diagnosis(
    observation: Observation,
    finding: Finding,
    answer: ParsedAnswer | None = None,
    folded: Sequence[str] = (),
    *,
    unproven: bool = False,
) -> Diagnosis:
    return Diagnosis(
        finding.code,
        finding.owner,
        finding.rule,
        gate=finding.gate,
        message=_shown(observation, _message(answer)) if answer is not None else "",
        status=observation.status,
        request_id=request_id_of(observation),
        retry_after=retry_after(observation.headers, folded),
        unproven=unproven,
    )


def _shown(observation: Observation, text: str) -> str:
    """The text to show: first without the secret that was sent, then cut."""
    return clean(observation.mask(clean(text, 4 * MESSAGE_CAP)))


def _message(answer: ParsedAnswer) -> str:
    if answer.kind is Kind.HTML:
        title, closed, _ = answer.text[:4_000].partition("<title>")[2].partition("</title>")
        return title if closed else "(a web page)"
    return next((layer.message for layer in answer.errors if clean(layer.message)), "")


def request_id_of(observation: Observation) -> str | None:
    """The server's own id of the answer."""
    return clean(observation.headers.get("x-request-id", ""), 120) or None


#: The most answers in the cache, and the most bytes of each: a refusal has a few hundred.
_MOST, _LONGEST = 512, 4096


class DiagnosisCache:
    """`diagnose` or `read_listing` by the kind of probe, with rules of the user's own, equal answers once.

    Most answers are equal to an earlier one, and take 3 µs instead of 40 to 60.

    What an answer means follows from its status, body and content type, from what was asked, and from
    when the server wants to be asked again. An answer that says the last is never remembered, nor is a
    success: it is proven by what was asked this time, and a relay may play the same one again.
    """

    def __init__(self, rules: "Sequence[OwnRule]" = ()) -> None:
        self._rules = rules
        self._read: dict[Hashable, Diagnosis | None] = {}

    def read(self, observation: Observation) -> Diagnosis | None:
        """What the answer means; None for a listing at which nothing is wrong."""
        headers, body = observation.headers, observation.body
        status = observation.status
        if observation.failure or status is None or 200 <= status < 300 or len(body) > _LONGEST \
                or "retry-after" in headers or "retry-after-ms" in headers:  # fmt: skip
            return self._afresh(observation)
        seen = (
            observation.kind,
            observation.status,
            body,
            observation.truncated,
            headers.get("content-type"),
            observation.surface,
            observation.model,
        )
        if seen not in self._read:
            if len(self._read) >= _MOST:
                self._read.clear()
            self._read[seen] = self._afresh(observation)
        diagnosis = self._read[seen]
        return diagnosis and replace(diagnosis, request_id=request_id_of(observation))

    def _afresh(self, observation: Observation) -> Diagnosis | None:
        read = read_listing if observation.kind is ProbeKind.LISTING else diagnose
        return read(observation, self._rules)
