"""What an answer means: the users' own rules, the table's rules, then what only the status says.

Messages are asked from the innermost error outward: what the vendor said counts, not what a gateway made
of it. The message decides before the code, and the code before the status.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Final

from monitor.access.diagnosis.answer import Kind, ParsedAnswer
from monitor.access.diagnosis.envelope import ErrorLayer
from monitor.access.diagnosis.rule import Rule, read_rules, squeezed
from monitor.access.diagnosis.text import fold
from monitor.access.words import Code, Gate, Owner

if TYPE_CHECKING:  # it needs pydantic
    from monitor.access.diagnosis.own_rule import OwnRule

#: The built-in rules, in order.
RULES: Final = tuple(read_rules(Path(__file__).with_name("rules.toml").read_text(encoding="utf-8")))
#: Neighbours of one kind: rules on messages, or words of errors with the rule of each.
_STAGES: Final[tuple[Sequence[Rule] | Mapping[str, Rule], ...]] = tuple(
    {word: rule for rule in rules for word in rule.words} if of_words else tuple(rules)
    for of_words, rules in groupby(RULES, key=lambda rule: bool(rule.words))
)

#: A text longer than this in a 200 is a document that quotes an error, not an error.
QUOTING_CAP: Final = 1_500

#: A message from this length on is read once only, however often it is wrapped; refusals are shorter.
_LONG: Final = 1_000

_TEXT_STATUS = re.compile(
    r"(?:^|error code:? |status[ _]?(?:code)?[:= ]{1,3}|http(?:/\d\.\d)?[ :]{1,2}|\[)([45]\d\d)\b"
)
_EDGE_STATUSES = frozenset((502, 504, *range(520, 531)))


#: The request's own field, as a text repeats it: that says nothing of the model.
_ECHO = re.compile(r"""["'`]?\bmodel["'`]? ?[:=]""")
#: A path of the API that was not found has the word, and is no model.
_PATH_OF_MODELS = re.compile(r"(?<![\w-])((?:https?:/)?/[\w.:/-]{0,200}?)\bmodels?\b")


@dataclass(frozen=True, slots=True)
class Finding:
    """What an answer was found to mean, and by which rule."""

    code: Code
    rule: str
    owner: Owner
    gate: Gate | None = None


def found(code: Code, rule: str, owner: Owner | None = None, gate: Gate | None = None) -> Finding:
    """A finding; its owner is the code's usual one unless it is given."""
    return Finding(code, rule, owner or code.owner, gate)


def own_finding(
    rules: "Sequence[OwnRule]", answer: ParsedAnswer, status: int | None
) -> Finding | None:
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
            return found(code, f"settings_rule_{number}", gate=_gate_of(code, answer))
    return None


def judge(answer: ParsedAnswer, status: int | None) -> Finding:
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
        return found(Code.UNRECOGNIZED, "long_text_in_a_success")
    rule = _first_rule(answer.errors, folded, inner)
    if rule is None:
        return _by_status(answer, folded, inner)
    if rule.means is Code.VERIFICATION_LOCKED and answer.kind is Kind.TEXT and inner is None:
        # Prose without any sign of an error may be anything; locked needs a clear answer.
        return found(Code.UNRECOGNIZED, "locked_only_in_prose")
    return found(rule.means, rule.id, rule.owner, _gate_of(rule.means, answer))


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


def _first_rule(
    errors: Sequence[ErrorLayer], folded: Sequence[str], inner: int | None
) -> Rule | None:
    for stage in _STAGES:
        if isinstance(stage, Mapping):
            rule = next(_by_words(stage, errors, inner), None)
        else:
            rule = _by_message(stage, errors, folded, inner)
        if rule is not None:
            return rule
    return None


def _by_message(
    rules: Sequence[Rule], errors: Sequence[ErrorLayer], folded: Sequence[str], inner: int | None
) -> Rule | None:
    innermost = ""
    seen = set()
    for whole in folded:
        # What wraps a long message repeats it: only what it adds is still to be read.
        text = whole.replace(innermost, " ", 1) if innermost else whole
        if not text or whole in seen:
            continue
        seen.add(whole)
        for rule in rules:
            if (
                rule.matches(text, inner)
                and (not rule.beside or any(rule.beside in each.codes for each in errors))
                and not (rule.alone and len(seen) > 1)
            ):
                return _yielding(rule, errors, inner)
        if not innermost and len(whole) > _LONG:
            innermost = whole[:_LONG]
    return None


def _yielding(rule: Rule, errors: Sequence[ErrorLayer], inner: int | None) -> Rule:
    """The rule itself, or that of a more specific code of the same answer."""
    if not rule.yields_to:
        return rule
    tables = (stage for stage in _STAGES if isinstance(stage, Mapping))
    others = (other for table in tables for other in _by_words(table, errors, inner))
    return next((other for other in others if other.id in rule.yields_to), rule)


def _by_words(
    stage: Mapping[str, Rule], errors: Sequence[ErrorLayer], inner: int | None
) -> Iterator[Rule]:
    for layer in errors:
        for word in layer.codes:
            rule = stage.get(squeezed(word))
            if rule is not None and rule.may_be_on(inner):
                yield rule


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


def _by_status(answer: ParsedAnswer, folded: Sequence[str], status: int | None) -> Finding:
    if status is None or status < 300:
        return found(Code.UNRECOGNIZED, "nothing_known")
    if status < 400:
        # Redirects are not followed; a login page or a canonical host sends them.
        return found(Code.EDGE_ERROR, "status_3xx")
    prose = answer.kind in (Kind.TEXT, Kind.EMPTY)
    if status >= 500:
        edge = prose and (status in _EDGE_STATUSES or (status == 503 and not answer.text))
        return found(Code.EDGE_ERROR if edge else Code.SERVER_ERROR, "status_5xx")
    return _by_client_status(answer, folded, status, prose=prose)


def _by_client_status(
    answer: ParsedAnswer, folded: Sequence[str], status: int, *, prose: bool
) -> Finding:
    named = [_ECHO.sub(" ", text) if prose else text for text in folded]
    if status == 404 and any("model" in text for text in named):
        return found(Code.MODEL_UNAVAILABLE, "status_404_of_a_model")
    if status == 404 and not prose:
        return found(Code.UNRECOGNIZED, "status_404_unknown_words")
    if status == 403 and answer.kind is Kind.EMPTY:
        return found(Code.EDGE_ERROR, "status_403_empty")
    code = _BY_STATUS.get(status, Code.UNRECOGNIZED)
    return found(code, f"status_{status}" if code is not Code.UNRECOGNIZED else "nothing_known")


_BY_STATUS: Final = {
    400: Code.BAD_REQUEST,
    401: Code.INVALID_CREDENTIALS,
    402: Code.QUOTA_EXHAUSTED,
    404: Code.WRONG_ENDPOINT,
    405: Code.WRONG_ENDPOINT,
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


def _html(text: str, status: int | None) -> Finding:
    """A page never tells of the gate, whatever it quotes: an edge, a proxy or a website wrote it."""
    page = text[:4_000].casefold()
    said = _ECHOED_PATH.sub(" ", page)
    if any(mark in said for mark in _EDGE_MARKS) and status != 405:
        return found(Code.EDGE_ERROR, "page_of_an_edge")
    if status == 429:
        return found(Code.RATE_LIMITED, "page_429")
    if status in (404, 405) or "cannot post /" in page or "cannot get /" in page:
        return found(Code.WRONG_ENDPOINT, "page_not_found")
    if (status is None or status < 300) and ('id="root"' in page or 'id="app"' in page):
        # A relay's own website: the base URL lacks its path, usually /v1.
        return found(Code.WRONG_ENDPOINT, "page_of_a_website")
    return found(Code.EDGE_ERROR, "page_instead_of_an_answer")
