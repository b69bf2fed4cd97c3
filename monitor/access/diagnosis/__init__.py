"""What an answer means: pure and total, from an observation to a diagnosis.

A success must prove itself. Else the users' own rules decide, then the table's rules, then what only the
status says. Messages are asked from the innermost error outward: what the vendor said counts, not what a
gateway made of it. The message decides before the code, and the code before the status.
"""

import re
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from monitor.access.diagnosis import envelope, proof
from monitor.access.diagnosis.advice import NO_ANSWER, THOUGHT_AWAY, Advice, advise, owner_of
from monitor.access.diagnosis.answer import Kind, ParsedAnswer, read, retry_after
from monitor.access.diagnosis.envelope import ErrorLayer
from monitor.access.diagnosis.proof import ProofVerdict
from monitor.access.diagnosis.rules import first_rule
from monitor.access.diagnosis.text import MESSAGE_CAP, clean, fold
from monitor.access.masking import origin_of
from monitor.access.observation import Diagnosis, Observation
from monitor.access.words import LISTING_CODES, Code, Gate, Owner, ProbeKind

if TYPE_CHECKING:  # it needs pydantic
    from monitor.access.diagnosis.own_rule import OwnRule

__all__ = ["Advice", "DiagnosisCache", "advise", "diagnose", "read_listing"]


@dataclass(frozen=True, slots=True)
class _Finding:
    """What an answer was found to mean, and by which rule."""

    code: Code
    rule: str
    #: the code's usual one unless it is given
    owner: Owner | None = None
    gate: Gate | None = None


def diagnose(observation: Observation, rules: "Sequence[OwnRule]" = ()) -> Diagnosis:
    """What a full probe's answer means. Never raises, whatever came back.

    `rules` are the users' own: tried before the built-in ones, but never over a proven success. A
    listing given to it is read as one: it is never granted, gated or locked.
    """
    if observation.kind is ProbeKind.LISTING:
        return read_listing(observation, rules) or _diagnosis(
            observation, _Finding(Code.UNRECOGNIZED, "listing_is_fine", Owner.REQUEST)
        )
    if observation.failure is not None:
        return _no_answer(observation)
    answer = read(observation)
    if _succeeded(observation) and (answer.kind is Kind.TEXT or not answer.errors):
        verdict, said = proof.judge(answer, observation)
        inner, refusal, texts = answer, None, list(said.texts())
        if texts or said.denials:
            inner = _spoken(texts, said.denials)
            refusal = _judge(inner, observation.status)
            if refusal.code is Code.UNRECOGNIZED:
                refusal = None
        if verdict is ProofVerdict.PROVEN and refusal is None:
            return _diagnosis(observation, _Finding(Code.ACCESS_GRANTED, str(verdict)))
        if chosen := _own_finding(rules, inner, observation.status) or refusal:
            return _diagnosis(observation, chosen, inner, inner.folded)
        if answer.kind in (Kind.JSON, Kind.STREAM):
            filtered = verdict is ProofVerdict.FILTERED
            code = Code.MODERATION_BLOCKED if filtered else Code.UNRECOGNIZED
            wordless = verdict is ProofVerdict.WORDLESS
            return _diagnosis(observation, _Finding(code, str(verdict)), inner, unproven=wordless)
    found = _judged(rules, answer, observation)
    thought = found.rule == THOUGHT_AWAY
    return _diagnosis(observation, found, answer, answer.folded, unproven=thought)


def _judged(rules: "Sequence[OwnRule]", answer: ParsedAnswer, observation: Observation) -> _Finding:
    return _own_finding(rules, answer, observation.status) or _judge(answer, observation.status)


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
        finding = _Finding(
            Code.UNRECOGNIZED, f"listing_{finding.rule}", finding.owner or finding.code.owner
        )
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
    finding: _Finding,
    answer: ParsedAnswer | None = None,
    folded: Sequence[str] = (),
    *,
    unproven: bool = False,
) -> Diagnosis:
    return Diagnosis(
        finding.code,
        finding.owner or finding.code.owner,
        finding.rule,
        gate=finding.gate,
        message=_shown(observation, _redirect(observation) or (_message(answer) if answer else "")),
        status=observation.status,
        request_id=request_id_of(observation),
        retry_after=retry_after(observation.headers, folded),
        unproven=unproven,
    )


def _shown(observation: Observation, text: str) -> str:
    """The text to show: first without the secret that was sent, then cut."""
    return clean(observation.mask(clean(text, 4 * MESSAGE_CAP)))


def _redirect(observation: Observation) -> str:
    if observation.status is None or not 300 <= observation.status < 400:
        return ""
    if "location" not in observation.headers:
        return ""
    origin = origin_of(observation.headers["location"])
    return f"redirects to {'another path of the same host' if origin == '/' else origin or 'no address'}"


def _message(answer: ParsedAnswer) -> str:
    if answer.kind is Kind.HTML:
        title, closed, _ = answer.text[:4_000].partition("<title>")[2].partition("</title>")
        return title if closed else "(a web page)"
    return next((layer.message for layer in answer.errors if clean(layer.message)), "")


def request_id_of(observation: Observation) -> str | None:
    """The server's own id of the answer."""
    return clean(observation.headers.get("x-request-id", ""), 120) or None


#: A text longer than this in a 200 is a document that quotes an error, not an error.
QUOTING_CAP: Final = 1_500

_TEXT_STATUS = re.compile(
    r"(?:^|error code:? |status[ _]?(?:code)?[:= ]{1,3}|http(?:/\d\.\d)?[ :]{1,2}|\[)([45]\d\d)\b"
)
_EDGE_STATUSES = frozenset((502, 504, *range(520, 531)))

#: The request's own field, as a text repeats it: that says nothing of the model.
_ECHO = re.compile(r"""["'`]?\bmodel["'`]? ?[:=]""")
#: A path of the API that was not found has the word, and is no model.
_PATH_OF_MODELS = re.compile(r"(?<![\w-])((?:https?:/)?/[\w.:/-]{0,200}?)\bmodels?\b")


def _own_finding(
    rules: "Sequence[OwnRule]", answer: ParsedAnswer, status: int | None
) -> _Finding | None:
    """What the first of the users' own rules that matches says."""
    if not rules:
        return None
    layers: Sequence[tuple[ErrorLayer, str]] = list(zip(answer.errors, answer.folded, strict=True))
    if not layers:
        # a page, an empty body, a payload that proves nothing: its text is all there is
        text = answer.text if answer.kind in (Kind.HTML, Kind.TEXT) else ""
        layers = [(ErrorLayer(), fold(text))]
    for number, rule in enumerate(rules, 1):
        if any(rule.matches(layer, message, status) for layer, message in layers):
            code = rule.diagnosis
            return _Finding(code, f"settings_rule_{number}", gate=_gate_of(code, answer))
    return None


def _judge(answer: ParsedAnswer, status: int | None) -> _Finding:
    """The meaning of a refusal."""
    folded = [
        _PATH_OF_MODELS.sub(r"\1listing", text) if "/model" in text else text
        for text in answer.folded
    ]
    inner = _inner_status(answer.errors, folded, status)
    if answer.kind is Kind.HTML:
        return _html(answer.text, inner)
    success = status is None or 200 <= status < 300
    if success and answer.kind is Kind.TEXT and inner is None and len(answer.text) > QUOTING_CAP:
        return _Finding(Code.UNRECOGNIZED, "long_text_in_a_success")
    rule = first_rule(answer.errors, folded, inner)
    if rule is None:
        return _by_status(answer, folded, inner)
    if rule.means is Code.VERIFICATION_LOCKED and answer.kind is Kind.TEXT and inner is None:
        # Prose without any sign of an error may be anything; locked needs a clear answer.
        return _Finding(Code.UNRECOGNIZED, "locked_only_in_prose")
    return _Finding(rule.means, rule.id, rule.owner, _gate_of(rule.means, answer))


def _inner_status(
    errors: Sequence[ErrorLayer], folded: Sequence[str], status: int | None
) -> int | None:
    for layer in errors:
        if layer.status is not None:
            return layer.status
    if status is not None and not 200 <= status < 300:
        return status
    for text in folded:
        if match := _TEXT_STATUS.search(text):
            return int(match[1])
    return None


def _gate_of(code: Code, answer: ParsedAnswer) -> Gate | None:
    """Which of the three gates: the message says it; where it does not, the parameter does."""
    if code is not Code.VERIFICATION_REQUIRED:
        return None
    for text in answer.folded:
        if "reasoning summar" in text or "推理摘要" in text or "推理总结" in text:
            return Gate.SUMMARY
        if "to stream" in text or "流式" in text or "streaming" in text:
            return Gate.STREAM
        if "to use the model" in text or "to use this model" in text:
            return Gate.MODEL
    for layer in answer.errors:
        if layer.param == "stream":
            return Gate.STREAM
        if layer.param.startswith("reasoning"):
            return Gate.SUMMARY
    return Gate.MODEL


def _by_status(answer: ParsedAnswer, folded: Sequence[str], status: int | None) -> _Finding:
    if status is None or status < 300:
        return _Finding(Code.UNRECOGNIZED, "nothing_known")
    if status < 400:
        # Redirects are not followed; a login page or a canonical host sends them.
        return _Finding(Code.EDGE_ERROR, "status_3xx")
    prose = answer.kind in (Kind.TEXT, Kind.EMPTY)
    if status >= 500:
        edge = prose and (status in _EDGE_STATUSES or (status == 503 and not answer.text))
        return _Finding(Code.EDGE_ERROR if edge else Code.SERVER_ERROR, "status_5xx")
    return _by_client_status(answer, folded, status, prose=prose)


def _by_client_status(
    answer: ParsedAnswer, folded: Sequence[str], status: int, *, prose: bool
) -> _Finding:
    named = [_ECHO.sub(" ", text) if prose else text for text in folded]
    if status == 404 and any("model" in text for text in named):
        return _Finding(Code.MODEL_UNAVAILABLE, "status_404_of_a_model")
    if status == 404 and not prose:
        return _Finding(Code.UNRECOGNIZED, "status_404_unknown_words")
    if status == 403 and answer.kind is Kind.EMPTY:
        return _Finding(Code.EDGE_ERROR, "status_403_empty")
    code = _BY_STATUS.get(status, Code.UNRECOGNIZED)
    return _Finding(code, f"status_{status}" if code is not Code.UNRECOGNIZED else "nothing_known")


_BY_STATUS: Final = {
    400: Code.BAD_REQUEST,
    401: Code.INVALID_CREDENTIALS,
    402: Code.QUOTA_EXHAUSTED,
    404: Code.WRONG_ENDPOINT,
    405: Code.WRONG_ENDPOINT,
    407: Code.EDGE_ERROR,  # a proxy's, which wants credentials of its own
    408: Code.SERVER_ERROR,
    410: Code.MODEL_UNAVAILABLE,
    413: Code.BAD_REQUEST,
    415: Code.BAD_REQUEST,
    422: Code.BAD_REQUEST,
    429: Code.RATE_LIMITED,
    451: Code.REGION_BLOCKED,
}

#: A path as a page repeats it in its text: the caller chose its words. What attributes name is the edge's.
_ECHOED_PATH = re.compile(
    r"""(?<![<\w.:/=-])(?<!=["'])(?:https?://[\w.:-]{1,253})?/(?!/)[^\s<>"']*"""
)
_EDGE_MARKS = ("cloudflare", "cf-", "captcha", "challenge", "akamai", "access denied", "blocked")


def _html(text: str, status: int | None) -> _Finding:
    """A page never tells of the gate, whatever it quotes: an edge, a proxy or a website wrote it."""
    page = text[:4_000].casefold()
    said = _ECHOED_PATH.sub(" ", page)
    if any(mark in said for mark in _EDGE_MARKS) and status != 405:
        return _Finding(Code.EDGE_ERROR, "page_of_an_edge")
    if status == 429:
        return _Finding(Code.RATE_LIMITED, "page_429")
    if status in (404, 405) or "cannot post /" in page or "cannot get /" in page:
        return _Finding(Code.WRONG_ENDPOINT, "page_not_found")
    if (status is None or status < 300) and ('id="root"' in page or 'id="app"' in page):
        # A relay's own website: the base URL lacks its path, usually /v1.
        return _Finding(Code.WRONG_ENDPOINT, "page_of_a_website")
    return _Finding(Code.EDGE_ERROR, "page_instead_of_an_answer")


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
            headers.get("location"),
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
