"""The rules in their order. The message decides before the code, and the code before the status.

Messages are asked from the innermost error outward: what the vendor said counts, not what a gateway
made of it. The order of the rules is their meaning: each stands before those whose words it shares.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from monitor.access.diagnosis import (
    codes,
    envelope,
    rules_account,
    rules_asked,
    rules_gate,
    rules_load,
    rules_money,
)
from monitor.access.diagnosis.answer import Answer, Kind
from monitor.access.diagnosis.envelope import Layer
from monitor.access.diagnosis.rule import Rule
from monitor.access.diagnosis.rules_key import CREDENTIALS
from monitor.access.words import Code, Gate, Owner

RULES: Final[tuple[Rule, ...]] = (
    rules_gate.GATE_STATED,
    rules_gate.GATE_TRANSLATED,
    rules_gate.LOCKED,
    rules_gate.OTHER_VERIFICATION,
    rules_load.RATE_NAMED,
    rules_money.QUOTA,
    rules_account.DEACTIVATED,
    rules_account.REGION,
    rules_account.ORGANIZATION,
    rules_account.SCOPE,
    rules_account.PROJECT,
    rules_asked.NO_CHANNEL,
    rules_load.CAPACITY,
    rules_asked.ENDPOINT,
    rules_gate.GATE_WORDED,
    rules_money.TIER,
    rules_asked.MODEL,
    rules_asked.GONE,
    rules_asked.MODERATION,
    CREDENTIALS,
    rules_load.EDGE,
    rules_load.SERVER,
    rules_load.RATE_WORDED,
)

#: A text longer than this in a 200 is a document that quotes an error, not an error.
QUOTING_CAP: Final = 1_500

#: A message from this length on is read once only, however often it is wrapped; refusals are shorter.
_LONG: Final = 1_000

_ZERO_LIMIT = re.compile(r"\blimit:? {0,2}0(?!\d|[.,]\d)")
_ZERO_LIMIT_WORDS = (
    "rate limit",
    "per min",
    "per day",
    "/min",
    "/1min",
    "quota exceeded for metric",
)
_TEXT_STATUS = re.compile(
    r"(?:^|error code:? |status[ _]?(?:code)?[:= ]{1,3}|http(?:/\d\.\d)?[ :]{1,2}|\[)([45]\d\d)\b"
)
#: Cloudflare's plain text, whatever class wraps it; an SDK's own "Error code: 502 - …" goes on.
_EDGE_CODE = re.compile(
    r"error code: (?:10[0-3]\d|110[1-6]|1200|5(?:0[0-4]|2\d|30))(?=[^\w-]{0,9}(?:\(code: \d{3}\)|$))"
)
#: What says that a limit comes back within the hour, beside a sentence about the quota.
_COMES_BACK = re.compile(r"retry_?delay\W{1,6}(?:seconds: )?\d|please retry in \d")
#: Findings by words that a more specific code overrules: load, and what is merely about verification.
_LOAD = (Code.SERVER_ERROR, Code.MODEL_UNAVAILABLE)
_MONEY = (Code.QUOTA_EXHAUSTED,)
_OTHERS = frozenset(
    (
        Code.QUOTA_EXHAUSTED,
        Code.TIER_UNSUPPORTED,
        Code.ACCOUNT_DEACTIVATED,
        Code.REGION_BLOCKED,
        Code.ORGANIZATION_MISMATCH,
        Code.MISSING_SCOPE,
        Code.MODERATION_BLOCKED,
        Code.RATE_LIMITED,
    )
)
_EDGE_STATUSES = frozenset((502, 504, *range(520, 531)))


@dataclass(frozen=True, slots=True)
class Finding:
    """What an answer was found to mean, and by which rule."""

    code: Code
    rule: str
    owner: Owner
    gate: Gate | None = None


def judge(answer: Answer, folded: Sequence[str], status: int | None) -> Finding:
    """The meaning of a refusal. `folded`: the errors' messages as the rules compare them."""
    inner = _inner_status(answer.errors, folded, status)
    if answer.kind is Kind.HTML:
        return _html(answer.text, inner)
    success = status is None or 200 <= status < 300
    if success and answer.kind is Kind.TEXT and inner is None and len(answer.text) > QUOTING_CAP:
        return _found(Code.UNRECOGNIZED, "long_text_in_a_success")
    return (
        _by_message(answer, folded, inner)
        or _by_code(answer.errors, inner)
        or _by_rules(rules_asked.WEAK, folded, inner)
        or _by_status(answer, folded, inner)
    )


def _found(code: Code, rule: str, owner: Owner | None = None, gate: Gate | None = None) -> Finding:
    return Finding(code, rule, owner or code.owner, gate)


def _inner_status(errors: Sequence[Layer], folded: Sequence[str], status: int | None) -> int | None:
    for layer in errors:
        if layer.status is not None:
            return layer.status
    if status is not None and not 200 <= status < 300:
        return status
    for text in folded:
        if match := _TEXT_STATUS.search(text):
            return int(match[1])
    return None


def _by_message(answer: Answer, folded: Sequence[str], inner: int | None) -> Finding | None:
    if any(envelope.EDGE_WORD in layer.codes for layer in answer.errors):
        return _found(Code.EDGE_ERROR, "edge_says_so")
    if not any(folded):
        return None
    if any(_EDGE_CODE.search(text) for text in folded if "error code: " in text):
        return _found(Code.EDGE_ERROR, "bare_edge_code")
    for text in folded:
        if text and _is_zero_limit(text):
            # A limit of nothing is no limit to wait for: the tier has no access at all.
            return _found(Code.TIER_UNSUPPORTED, "limit_of_zero")
    finding = _by_rules(RULES, folded, inner)
    if finding is None:
        return None
    if finding.code is Code.QUOTA_EXHAUSTED and (
        any(envelope.RETRY_WORD in layer.codes for layer in answer.errors)
        or any(_COMES_BACK.search(text) for text in folded)
    ):
        return _found(Code.RATE_LIMITED, "quota_that_comes_back")
    overruling: Sequence[Code] | frozenset[Code] = ()
    if finding.code in _LOAD and finding.rule in (rules_load.CAPACITY.name, rules_load.SERVER.name):
        overruling = _MONEY
    elif finding.rule == rules_gate.GATE_WORDED.name:
        overruling = _OTHERS
    if overruling and (coded := _by_code(answer.errors, inner)) and coded.code in overruling:
        return coded
    if finding.code is Code.VERIFICATION_REQUIRED:
        return _found(finding.code, finding.rule, gate=gate_of(answer.errors, folded))
    if finding.code is Code.VERIFICATION_LOCKED and answer.kind is Kind.TEXT and inner is None:
        # Prose without any sign of an error may be anything; locked needs a clear answer.
        return _found(Code.UNRECOGNIZED, "locked_only_in_prose")
    return finding


def _by_rules(rules: Sequence[Rule], folded: Sequence[str], inner: int | None) -> Finding | None:
    innermost = ""
    for whole in dict.fromkeys(folded):
        # What wraps a long message repeats it: only what it adds is still to be read.
        text = whole.replace(innermost, " ", 1) if innermost else whole
        for rule in rules if text else ():
            if rule.matches(text, inner):
                return _found(rule.code, rule.name, rule.owner, rule.gate)
        if not innermost and len(whole) > _LONG:
            innermost = whole[:_LONG]
    return None


def _is_zero_limit(text: str) -> bool:
    return (
        "limit" in text
        and any(word in text for word in _ZERO_LIMIT_WORDS)
        and _ZERO_LIMIT.search(text) is not None
        and "credit limit" not in text
    )


def gate_of(errors: Sequence[Layer], folded: Sequence[str]) -> Gate:
    """Which of the three: the message says it; where it does not, the parameter does."""
    for text in folded:
        if "reasoning summar" in text or "推理摘要" in text or "推理总结" in text:
            return Gate.SUMMARY
        if "to stream" in text or "流式" in text or "streaming" in text:
            return Gate.STREAM
        if "to use the model" in text or "to use this model" in text:
            return Gate.MODEL
    for layer in errors:
        if layer.param == "stream":
            return Gate.STREAM
        if layer.param.startswith("reasoning"):
            return Gate.SUMMARY
    return Gate.MODEL


def _by_code(errors: Sequence[Layer], inner: int | None) -> Finding | None:
    for layer in errors:
        for word in layer.codes:
            code = codes.BY_WORD.get(word)
            allowed = codes.ONLY_ON.get(word)
            if code is None or (allowed and inner is not None and inner not in allowed):
                continue
            if code is Code.VERIFICATION_REQUIRED:
                return _found(code, "verification_code", gate=gate_of(errors, ()))
            return _found(code, f"code_{code}")
    return None


def _by_status(answer: Answer, folded: Sequence[str], status: int | None) -> Finding:
    if status is None or status < 300:
        return _found(Code.UNRECOGNIZED, "nothing_known")
    if status < 400:
        # Redirects are not followed; a login page or a canonical host answers so.
        return _found(Code.EDGE_ERROR, "status_3xx")
    prose = answer.kind in (Kind.TEXT, Kind.EMPTY)
    if status >= 500:
        edge = prose and (status in _EDGE_STATUSES or (status == 503 and not answer.text))
        return _found(Code.EDGE_ERROR if edge else Code.SERVER_ERROR, "status_5xx")
    return _by_client_status(answer, folded, status, prose=prose)


def _by_client_status(
    answer: Answer, folded: Sequence[str], status: int, *, prose: bool
) -> Finding:
    relayed = any("bad response status" in text or "openai_error" in text for text in folded)
    if relayed and status not in (402, 429):
        # A relay that hides the upstream's words: whose 401 or 403 it was is unknown.
        return _found(Code.UNRECOGNIZED, "relay_hides_the_answer")
    if status == 404 and any("model" in text for text in folded):
        return _found(Code.MODEL_UNAVAILABLE, "status_404_of_a_model")
    if status == 404 and not prose:
        return _found(Code.UNRECOGNIZED, "status_404_unknown_words")
    if status == 403 and answer.kind is Kind.EMPTY:
        return _found(Code.EDGE_ERROR, "status_403_empty")
    code = _BY_STATUS.get(status, Code.UNRECOGNIZED)
    return _found(code, f"status_{status}" if code is not Code.UNRECOGNIZED else "nothing_known")


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

_EDGE_MARKS = ("cloudflare", "cf-", "captcha", "challenge", "akamai", "access denied", "blocked")


def _html(text: str, status: int | None) -> Finding:
    """A page never tells of the gate, whatever it quotes: an edge, a proxy or a website wrote it."""
    page = text[:4_000].casefold()
    if any(mark in page for mark in _EDGE_MARKS) and status != 405:
        return _found(Code.EDGE_ERROR, "page_of_an_edge")
    if status == 429:
        return _found(Code.RATE_LIMITED, "page_429")
    if status in (404, 405) or "cannot post /" in page or "cannot get /" in page:
        return _found(Code.WRONG_ENDPOINT, "page_not_found")
    if (status is None or status < 300) and ('id="root"' in page or 'id="app"' in page):
        # A relay's own website: the base URL lacks its path, usually /v1.
        return _found(Code.WRONG_ENDPOINT, "page_of_a_website")
    return _found(Code.EDGE_ERROR, "page_instead_of_an_answer")
