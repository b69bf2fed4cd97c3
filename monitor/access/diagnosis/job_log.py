"""The answers in the log of a job that failed: every refusal among the noise, equal ones once. Pure.

An answer is known by its form: what the official clients raise, an error object as this API and its relays
send it, or the gate's own sentence. Words such as "error", and statuses, are in every log and count for
nothing. The log is read a piece at a time: what is held does not grow with it.
"""

import json
import re
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import islice
from typing import Any, Final

from monitor.access.diagnosis.envelope import parse
from monitor.access.diagnosis.equal_words import equal_words
from monitor.access.diagnosis.explaining import explain_part, status_in
from monitor.access.diagnosis.pasted import ANSI, from_python
from monitor.access.diagnosis.text import loose_fields
from monitor.access.observation import Diagnosis, Observation
from monitor.access.words import Code, Effect, Gate, Owner

#: Characters of a line that are read at once, and of an answer; a longer line is read in overlapping pieces.
PIECE: Final = 64 * 1024
ANSWER_CAP: Final = 8_000
#: Lines over which one answer may be printed.
ANSWER_LINES: Final = 60
#: Lines over which a terminal may break one.
_WRAPPED_LINES: Final = 8
#: Different answers that are kept, and line numbers of each; what is more is counted.
ANSWERS_CAP: Final = 1_000
LINES_CAP: Final = 1_000
#: A text of fewer lines is a paste.
_LOG_LINES: Final = 200

_CLASSES: Final = (
    "APIConnectionError|APIError|APIStatusError|APITimeoutError|AuthenticationError|BadRequestError"
    "|ConflictError|InternalServerError|NotFoundError|PermissionDeniedError|RateLimitError"
    "|UnprocessableEntityError"
)
_ANCHOR: Final = re.compile(
    # Python's client: the status, and the message, or the body as Python prints it
    r"(?P<coded>(?P<named>\b\w{1,60}Error(?:: |\(['\"]))?"
    r"Error code: (?P<status>[45]\d\d)\b(?P<body> - (?=\S))?)"
    # its other exceptions; not where a program catches them
    rf"|(?<!except )\bopenai\.(?P<raised>{_CLASSES}): (?!Error code: )(?=\S)"
    # Node's client: class, status, words
    rf"|\b(?P<node>(?:{_CLASSES}): [45]\d\d (?![\[{{]))(?=\S)"
    # an error object, in a string of a string perhaps
    r"|(?P<escapes>\\{0,15})(?P<quote>[\"'])error(?P=escapes)(?P=quote)\s{0,8}:\s{0,8}(?P<object>\{)"
    r"|(?P<gate>\b[Yy]our organization must be verified to (?:use|stream|generate)\b)"
)
#: What most lines lack: each of the above has one of these. With words at its front a search is quick.
_SIGN: Final = re.compile(r"rror(?: code: [45]\d\d|: [45]\d\d |\\{0,15}[\"']\s{0,8}:\s{0,8}\{)")
_SIGNS: Final = ("openai.", "organization must be verified to ")
#: Fields of errors that are like this API's, and another's: of a payment service, of a social network.
_OTHERS: Final = frozenset(("doc_url", "request_log_url", "fbtrace_id", "root_cause"))
_ABOUT_MODELS: Final = re.compile(r"\bmodels?\b|\bapi[ _-]?key", re.IGNORECASE)
#: Where the JSON of a line begins, behind what a runner writes before each.
_JSON_PART: Final = re.compile(r"[\"'{}]|(?:^|(?<=\s))\],?\s*$")
_ESCAPE: Final = re.compile(r"\\(?:u([0-9a-fA-F]{4})|(.))")
_SIMPLE: Final = {"n": "\n", "r": "\r", "t": "\t"}
#: Names of models keep their figures where answers are compared.
_FAMILIES: Final = "gpt o dall sora"
#: A message that another begins with is the same one, cut, from so many characters on.
_CUT_FROM: Final = 20
#: Where a message ends within a line: with the string that holds it, or where the next answer begins.
_AFTER_WORDS: Final = re.compile(r"(?<!\\)[\"'][,})]|\\n|;? \S{0,60} ?Error code: [45]\d\d")
#: What a runner, a test runner or a container's log writes before each line.
_RUNNER: Final = re.compile(
    r"(?:\[?\d{4}-\d\d-\d\d[T ][\d:.,]{5,20}(?:Z|[+-]\d\d:?\d\d)?\]? ?(?:\d\d[OE]\+? ?)?"
    r"|[\w.-]{1,60} {1,20}\| ?|E {3,7})+"
)

#: What equal answers have in common: code, gate and owner, and the words.
_Key = tuple[tuple[Code, Gate | None, Owner], str]


@dataclass(slots=True)
class LogAnswer:
    """Equal answers: how many, and in which lines each begins, the first `LINES_CAP` of them."""

    diagnosis: Diagnosis
    count: int = 0
    lines: list[int] = field(default_factory=list)

    def add(self, count: int, lines: Iterable[int]) -> None:
        """Count more of them."""
        self.count += count
        self.lines = sorted([*self.lines, *lines])[:LINES_CAP]


@dataclass(slots=True)
class JobLog:
    """What is in a log. `left_out` is how many answers were not kept, as there were too many kinds."""

    answers: list[LogAnswer]
    lines: int
    left_out: int = 0


def is_log(text: str, *, cut: bool = False) -> bool:
    """True for a text of many lines that is no answer by itself; `cut`: it is only a beginning."""
    text = text.lstrip("\ufeff \t\r\n")
    first = text.partition("\n")[0]
    if text.count("\n") < _LOG_LINES or re.match(
        r"HTTP/|<[!?a-zA-Z]|data:|event:|\S* ?curl ", first
    ):
        return False
    if first[0] not in "{[":
        return True
    # a value and more text is a log that begins with it; what does not end here may be one value
    value = parse(text)
    return bool(value[1]) if value else first[0] == "[" or not cut


def answers_in(parts: Iterable[str]) -> JobLog:
    """Find the answers in a log, which comes in parts: a line's end is the end of a line, a part's is not."""
    found: dict[_Key, LogAnswer] = {}
    log = JobLog([], 0)
    for number, diagnosis in _found(_Lines(parts), log):
        key = (diagnosis.code, diagnosis.gate, diagnosis.owner), _words(diagnosis)
        if key not in found and len(found) >= ANSWERS_CAP:
            log.left_out += 1
            continue
        one = found.setdefault(key, LogAnswer(diagnosis))
        one.count += 1
        if len(one.lines) < LINES_CAP:
            one.lines.append(number)
    kept = _whole(found)
    log.answers = [one for key, one in found.items() if key in kept]
    log.answers.sort(key=lambda one: one.lines[0])
    return log


def _words(diagnosis: Diagnosis) -> str:
    whole = diagnosis.effect.conclusive or diagnosis.code is Code.NETWORK_ERROR
    return equal_words(diagnosis.message, None if whole else _FAMILIES)


def _whole(found: dict[_Key, LogAnswer]) -> dict[_Key, LogAnswer]:
    """The answers, those whose words were cut counted with those that have the whole."""
    kept: dict[_Key, LogAnswer] = {}
    for key, one in sorted(found.items(), key=lambda item: -len(item[0][1])):
        same, words = key
        start = words.rstrip(" .…'\"")
        whole = None
        if len(start) >= _CUT_FROM:
            undecided = one.diagnosis.code is Code.UNRECOGNIZED
            whole = next(
                (
                    other
                    for (like, longer), other in kept.items()
                    if longer.startswith(start) and (undecided or like == same)
                ),
                None,
            )
        if whole is None:
            kept[key] = one
        else:
            whole.add(one.count, one.lines)
    return kept


@dataclass(frozen=True, slots=True)
class _Line:
    """A line or a piece of one; an answer that begins behind `until` is in the next piece, too."""

    number: int
    text: str
    until: int


class _Lines:
    """The lines of a log, some of which may be looked at before their turn."""

    def __init__(self, parts: Iterable[str]) -> None:
        self._source = _pieces(parts)
        self._ahead: deque[_Line] = deque()

    def __iter__(self) -> Iterator[_Line]:
        while True:
            if self._ahead:
                yield self._ahead.popleft()
            elif (line := next(self._source, None)) is not None:
                yield line
            else:
                return

    def ahead(self) -> Iterator[_Line]:
        """The next lines, which stay."""
        for place in range(ANSWER_LINES):
            if place == len(self._ahead):
                self._ahead.extend(islice(self._source, 1))
            if place == len(self._ahead):
                return
            yield self._ahead[place]

    def skip(self, count: int) -> None:
        """Leave the next ones out: they were looked at."""
        for _ in range(min(count, len(self._ahead))):
            self._ahead.popleft()


def _pieces(parts: Iterable[str]) -> Iterator[_Line]:
    number, rest = 1, ""
    for part in parts:
        text = rest + part
        rest = ""
        ended = text.endswith("\n")
        while len(text) > PIECE:
            yield _Line(number, text[:PIECE], PIECE - ANSWER_CAP)
            text = text[PIECE - ANSWER_CAP :]
        if ended:
            yield _Line(number, text[:-1], PIECE)
            number += 1
        else:
            rest = text
    if rest:
        yield _Line(number, rest, PIECE)


def _found(lines: _Lines, log: JobLog) -> Iterator[tuple[int, Diagnosis]]:
    """Each answer, and the line in which it begins."""
    before = ""
    node: tuple[int, Diagnosis] | None = None
    for line in lines:
        log.lines = line.number
        text = ANSI.sub("", line.text) if "\x1b" in line.text else line.text
        if _SIGN.search(text) or any(sign in text for sign in _SIGNS):
            done = 0
            for anchor in _ANCHOR.finditer(text):
                if anchor.start() < done or anchor.start() >= line.until:
                    continue
                answer = _answer(anchor, text, lines)
                if answer is None:
                    continue
                diagnosis, done = answer
                if anchor["gate"] and node and _repeats(anchor, line.number, diagnosis, node):
                    continue
                if anchor["node"]:
                    node = line.number, diagnosis
                opened = anchor["object"] and _opens(before, text[: anchor.start()])
                yield line.number - bool(opened), diagnosis
        before = line.text[-200:]


def _opens(before: str, prefix: str) -> bool:
    """Whether an object that is printed over lines began at the end of the line before."""
    return not re.search(r"[\"'{]", prefix) and ANSI.sub("", before).rstrip().endswith("{")


def _repeats(
    anchor: re.Match[str], number: int, diagnosis: Diagnosis, node: tuple[int, Diagnosis]
) -> bool:
    """Whether Node prints the fields of an exception that it has just named."""
    line, said = node
    printed = anchor.string[: anchor.start()].rstrip("'\"`").endswith("message: ")
    return printed and number - line <= ANSWER_LINES and said.code is diagnosis.code


def _answer(anchor: re.Match[str], text: str, lines: _Lines) -> tuple[Diagnosis, int] | None:
    """What an answer means that stands there, and where in the text it ends; None when it is none."""
    if anchor["object"]:
        return _error_object(anchor, text, lines)
    if anchor["coded"]:
        return _coded(anchor, text, lines)
    # in words: to the end of the line, of which a page has more
    words = text[anchor.start() : anchor.start() + 2_000]
    end = anchor.start() + len(words)
    if anchor["raised"] and text[anchor.end() : anchor.end() + 1] == "<":
        words = "\n".join([words, *(one.text[:200] for one in lines.ahead())])
    return explain_part(words, Observation(None)).diagnosis, end


def _coded(anchor: re.Match[str], text: str, lines: _Lines) -> tuple[Diagnosis, int] | None:
    """What Python's client says: `Error code: 403 - ` and the message or, in older ones, the body."""
    status, end = int(anchor["status"]), anchor.end()
    if not anchor["body"]:
        return (_refused("", status), end) if anchor["named"] else None
    body = text[end : end + ANSWER_CAP]
    if body[0] in "[{":
        value = _decoded(body) or _wrapped(body, lines)
        said = body if value is None else json.dumps(value)
        return _refused(said, status), end + _length(body)
    words = _AFTER_WORDS.split(body, maxsplit=1)[0]
    end += len(words)
    for line in islice(lines.ahead(), _WRAPPED_LINES if anchor["named"] else 0):
        if _in_words(words).code is not Code.UNRECOGNIZED or _ANCHOR.search(line.text):
            break
        more = f"{words} {_without_runner(line.text)}"
        if _in_words(more).code is not Code.UNRECOGNIZED:
            words = more
    if not anchor["named"] and _in_words(words).code is Code.UNRECOGNIZED:
        return None  # many tools have codes of their own
    return _refused(json.dumps({"error": {"message": words}}), status), end


def _in_words(words: str) -> Diagnosis:
    return _refused(json.dumps({"error": {"message": words}}), None)


def _without_runner(text: str) -> str:
    text = ANSI.sub("", text[:ANSWER_CAP])
    prefix = _RUNNER.match(text)
    return text[prefix.end() if prefix else 0 :]


def _error_object(anchor: re.Match[str], text: str, lines: _Lines) -> tuple[Diagnosis, int] | None:
    start = anchor.start("object")
    said = text[start : start + ANSWER_CAP]
    value, over = _decoded(said), 0
    if value is None and said.rstrip(" \r").endswith(("{", ",", "[", ":")):
        value, said, over = _over_lines(said, lines)
    stated = status_in(text[max(0, anchor.start() - 160) : anchor.start()])
    status = stated[0] if stated and stated[0] >= 400 else None
    if value is None:
        fields = loose_fields(said)
        known = "message" in fields and not fields.keys().isdisjoint(("type", "code", "param"))
        return (_refused(f'"error": {said}', status), len(text)) if known else None
    if not _may_be_ours(value):
        return None
    diagnosis = _refused(json.dumps({"error": value}), status)
    if not ("type" in value or "param" in value or _about_models(value, diagnosis)):
        return None
    lines.skip(over)
    return diagnosis, len(text) if over else start + _length(said)


def _may_be_ours(error: Any) -> bool:
    message = error.get("message") if isinstance(error, dict) else None
    return isinstance(message, str) and message != "" and _OTHERS.isdisjoint(error)


def _about_models(error: Mapping[str, Any], diagnosis: Diagnosis) -> bool:
    """Whether an error is another vendor's, behind a relay: the tools of clouds print the same form."""
    if diagnosis.effect is Effect.BLOCKED:
        return bool(_ABOUT_MODELS.search(error["message"]))
    return diagnosis.effect in (Effect.GATED, Effect.LOCKED)


@lru_cache(maxsize=256)
def _refused(body: str, status: int | None) -> Diagnosis:
    return explain_part(body, Observation(status)).diagnosis


def _over_lines(said: str, lines: _Lines) -> tuple[Any, str, int]:
    """An object that is printed over several lines: its value, its text, and how many lines more it has."""
    parts = [said]
    depth = said.count("{") - said.count("}")
    for count, line in enumerate(lines.ahead(), 1):
        text = ANSI.sub("", line.text[:ANSWER_CAP])
        part = _JSON_PART.search(text)
        parts.append(text[part.start() :] if part else "")
        if sum(map(len, parts)) > ANSWER_CAP:
            break
        depth += parts[-1].count("{") - parts[-1].count("}")
        if depth <= 0 and (value := _decoded("\n".join(parts))) is not None:
            return value, "\n".join(parts), count
    return None, "\n".join(parts)[:ANSWER_CAP], 0


def _wrapped(said: str, lines: _Lines) -> Any:
    """The value of a text that a terminal's width has broken over a few lines."""
    for line in islice(lines.ahead(), _WRAPPED_LINES):
        said += "\n" + _without_runner(line.text)
        if "}" in line.text and (value := _decoded(said)) is not None:
            return value
    return None


def _decoded(text: str) -> Any:
    """The value that a text begins with: JSON, what Python prints, or one of them escaped; None for none."""
    for _ in range(4):
        for form in (text, from_python(text)) if "'" in text else (text,):
            parsed = parse(form)
            if parsed is not None and isinstance(parsed[0], dict | list):
                return parsed[0]
        if "\\" not in text:
            return None
        text = _ESCAPE.sub(_unescaped, text)
    return None


def _unescaped(match: re.Match[str]) -> str:
    return chr(int(match[1], 16)) if match[1] else _SIMPLE.get(match[2], match[2])


def _length(text: str) -> int:
    """How far the braces go with which a text begins."""
    depth = 0
    for match in re.finditer(r"[\[{}\]]", text):
        depth += 1 if match[0] in "[{" else -1
        if depth == 0:
            return match.end()
    return len(text)
