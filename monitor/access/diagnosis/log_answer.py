"""One answer in a log: the forms it is printed in, what it says, and where it ends. Pure.

An answer is known by its form: what the official clients raise, an error object as this API and its relays
send it, or the gate's own sentence. Words such as "error", and statuses, are in every log and count for
nothing.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

from monitor.access.diagnosis.envelope import parse
from monitor.access.diagnosis.explaining import explain_part, status_in
from monitor.access.diagnosis.log_lines import ANSWER_LINES, BEFORE, Lines
from monitor.access.diagnosis.pasted import from_python
from monitor.access.diagnosis.text import loose_fields
from monitor.access.observation import Diagnosis, Observation
from monitor.access.words import Code, Effect

#: Lines over which a terminal may break an answer.
_WRAPPED_LINES: Final = 8
#: Characters of words without a form.
_WORDS_CAP: Final = 2_000
#: Characters of each line of a web page that are read.
_PAGE_WIDTH: Final = 200
#: Characters that are counted for words that are explained in vain: it takes as long.
_WORDS_COST: Final = 1_000

_CLASSES: Final = (
    "APIConnectionError|APIError|APIStatusError|APITimeoutError|AuthenticationError|BadRequestError"
    "|ConflictError|InternalServerError|NotFoundError|PermissionDeniedError|RateLimitError"
    "|UnprocessableEntityError"
)
ANCHOR: Final = re.compile(
    # Python's client: the status, and the message, or the body as Python prints it
    rf"(?P<coded>(?P<named>\b(?:{_CLASSES})(?:: |\(['\"]))?"
    r"Error code: (?P<status>[45]\d\d)\b(?P<body> - (?=\S))?)"
    # its other exceptions; not where a program catches them
    rf"|(?<!except )\bopenai\.(?P<raised>{_CLASSES}): (?!Error code: )(?=\S)"
    # Node's client: class, status, words
    rf"|\b(?P<node>(?:{_CLASSES}): [45]\d\d (?![\[{{]))(?=\S)"
    # an error object, in a string of a string perhaps
    r"|(?P<escapes>\\{0,15})(?P<quote>[\"'])error(?P=escapes)(?P=quote)\s{0,8}:\s{0,8}(?P<object>\{)"
    # the object by itself
    r"|(?P<bare>\{)(?=\s{0,8}\\{0,15}[\"'](?:code|message|param|type)\\{0,15}[\"']\s{0,8}:)"
    r"|(?P<gate>\b[Yy]our organization must be verified to (?:use|stream|generate)\b)"
)
#: What most lines lack: each of the above has one of these. With words at its front a search is quick.
_SIGN: Final = re.compile(r"rror(?: code: [45]\d\d|: [45]\d\d |\\{0,15}[\"']\s{0,8}:\s{0,8}\{)")
_SIGNS: Final = ("openai.", "organization must be verified to ")
_BARE: Final = frozenset(("code", "message", "type"))
_BARE_CODE: Final = re.compile(
    r"code\\{0,15}[\"']\s{0,8}:\s{0,8}(?:null|None|\\{0,15}[\"'][a-z]{1,40}_)"
)
#: Where the next answer begins behind one that is cut: the gate's sentence stands within one, an error
#: object within what is raised.
_RAISED: Final = re.compile(r"Error code: [45]\d\d\b|\bopenai\.\w{1,60}Error: ")
_NEXT: Final = re.compile(
    rf"{_RAISED.pattern}|\\{{0,15}}[\"']error\\{{0,15}}[\"']\s{{0,8}}:\s{{0,8}}\{{"
)
#: Fields of errors that are like this API's, and another's: of a payment service, a social network, a
#: search engine, a query language, and of a program's own exceptions.
_OTHERS: Final = frozenset(
    ("doc_url", "request_log_url", "fbtrace_id", "root_cause", "path", "stack", "stack_trace")
)
_KEY: Final = re.compile(r"[\"'](\w{1,40})\\{0,15}[\"'] {0,3}:")
#: A type or a code of this API's, not the class of an exception.
_WORD: Final = re.compile(r"[a-z_-]*")
_ABOUT_MODELS: Final = re.compile(
    r"\bmodels?\b|\bapi[ _-]?key|openai|openrouter|\bcredits\b|\bcredit limit\b|\bgpt-"
    r"|\btokens per min",
    re.IGNORECASE,
)
#: Where the JSON of a line begins, behind what a runner writes before each.
_JSON_PART: Final = re.compile(r"[\"'{}]|(?:^|(?<=\s))\],?\s*$")
#: How a line ends of an object that is printed over lines.
_GOES_ON: Final = tuple(sign + end for sign in "{[,:" for end in ("", " ", "\r", " \r"))
#: A line of an object that is printed over lines.
_FIELD_LINE: Final = re.compile(r"^[\"'](?:code|message|param|type)\\{0,15}[\"'].*", re.MULTILINE)
#: What is read of a value to find its end, a run of backslashes at once.
_MARK: Final = re.compile(r"(\\++)?+[\"']|\\++|[\[{}\]]")
_ESCAPE: Final = re.compile(r"\\(?:u([0-9a-fA-F]{4})|(.))")
_SIMPLE: Final = {"n": "\n", "r": "\r", "t": "\t"}
#: Where a message ends within a line: with the string that holds it, or where the next answer begins.
_AFTER_WORDS: Final = re.compile(r"(?<!\\)[\"'][,})]|\\n|;? \S{0,60} ?Error code: [45]\d\d")
#: What a runner, a test runner or a container's log writes before each line.
_RUNNER: Final = re.compile(
    r"(?:\[?\d{4}-\d\d-\d\d[T ][\d:.,]{5,20}(?:Z|[+-]\d\d:?\d\d)?\]? ?(?:\d\d[OE]\+? ?)?"
    r"|[\w.-]{1,60} {1,20}\| ?|E {3,7})+"
)


@dataclass(frozen=True, slots=True)
class Found:
    """What an answer means, and where it ends: so many lines later, at that place of the line."""

    diagnosis: Diagnosis
    place: int
    later: int = 0


@dataclass(frozen=True, slots=True)
class _Body:
    """A value in a log, None where it is cut or garbled, its text, and where it ends as in `Found`."""

    value: Any
    text: str
    place: int
    later: int


def may_have_answers(text: str) -> bool:
    """False for most lines, quickly."""
    return (
        _SIGN.search(text) is not None
        or any(sign in text for sign in _SIGNS)
        or (all(name in text for name in _BARE) and _BARE_CODE.search(text) is not None)
    )


def answer_at(anchor: re.Match[str], lines: Lines) -> Found | None:
    """The answer that stands there, None when it is none; `lines` are those behind the anchor's own."""
    if anchor["object"] or anchor["bare"]:
        return _object(anchor, lines)
    if anchor["coded"]:
        return _coded(anchor, lines)
    text, end = anchor.string, anchor.end()
    if anchor["raised"] and text[end] in "[{":
        stated = status_in(anchor[0])
        return _with_body(anchor, stated[0] if stated else None, lines)
    # in words: to the end of the line, of which a page has more; what is raised may quote another answer
    after = _RAISED.search(text, end, end + _WORDS_CAP) if anchor["gate"] else None
    words = text[anchor.start() : after.start() if after else end + _WORDS_CAP]
    end = anchor.start() + len(words)
    if anchor["raised"] and text[anchor.end()] == "<":
        for line in lines.ahead(ANSWER_LINES):
            more = line.text[:_PAGE_WIDTH]
            if _NEXT.search(more):
                break
            words += "\n" + more
    return Found(_refused(words, None), end)


def _coded(anchor: re.Match[str], lines: Lines) -> Found | None:
    """What Python's client says: `Error code: 403 - ` and the message or, in older ones, the body."""
    status, end = int(anchor["status"]), anchor.end()
    if not anchor["body"]:
        # no words are told, which is not an answer without words
        return Found(_refused(anchor[0], status), end) if anchor["named"] else None
    body = anchor.string[end : end + lines.cap]
    if body[0] in "[{":
        return _with_body(anchor, status, lines)
    words = _AFTER_WORDS.split(body, maxsplit=1)[0]
    end += len(words)
    if _in_words(words).code is Code.UNRECOGNIZED:
        if not anchor["named"]:
            lines.in_vain(_WORDS_COST)
            return None  # many tools have codes of their own
        words = _longer(words, lines)
    return Found(_refused(_worded(words), status), end)


def _longer(words: str, lines: Lines) -> str:
    """The words with those of a line behind which they mean something: a terminal may break them."""
    for line in lines.ahead(_WRAPPED_LINES):
        if ANCHOR.search(line.text, 0, lines.cap):
            break
        more = f"{words} {line.text[_runner_end(line.text) :][: lines.cap]}"
        if _in_words(more).code is not Code.UNRECOGNIZED:
            return more
        lines.in_vain(_WORDS_COST)
    return words


def _worded(words: str) -> str:
    return json.dumps({"error": {"message": words}})


def _in_words(words: str) -> Diagnosis:
    return _refused(_worded(words), None)


def _with_body(anchor: re.Match[str], status: int | None, lines: Lines) -> Found:
    """What a client raised with the body behind it."""
    body = _body(anchor.string, anchor.end(), lines, raised=True)
    said = body.text if body.value is None else json.dumps(body.value)
    return Found(_refused(said, status), body.place, body.later)


def _object(anchor: re.Match[str], lines: Lines) -> Found | None:
    text, start = anchor.string, anchor.start("object" if anchor["object"] else "bare")
    if not _may_have_message(text, start, lines):
        return None
    body = _body(text, start, lines)
    diagnosis = _named(anchor, body) if anchor["object"] else _bare(body.value)
    if diagnosis:
        return Found(diagnosis, body.place, body.later)
    lines.in_vain(len(body.text))
    return None


def _named(anchor: re.Match[str], body: _Body) -> Diagnosis | None:
    """An error's fields behind its name; a status may stand before."""
    error, said = body.value, f'"error": {body.text}'
    if error is None:
        fields = {name: next(iter(told), None) for name, told in loose_fields(body.text).items()}
        error = dict.fromkeys(_KEY.findall(body.text)) | fields
        if error.keys().isdisjoint(("type", "code", "param")):
            error = None
    elif isinstance(error, dict):
        said = json.dumps({"error": error})
    if not _may_be_ours(error):
        return None
    stated = status_in(anchor.string[max(0, anchor.start() - BEFORE) : anchor.start()])
    diagnosis = _refused(said, stated[0] if stated and stated[0] >= 400 else None)
    return diagnosis if _in_our_form(error) or _about_models(error, diagnosis) else None


def _bare(error: Any) -> Diagnosis | None:
    """An error's fields without a name before them, in one line, with words that are known."""
    if (
        isinstance(error, dict)
        and _BARE <= error.keys() <= _BARE | {"param"}
        and _may_be_ours(error)
        and _is_word(error["type"])
        and _is_word(error["code"])
    ):
        diagnosis = _refused(json.dumps(error), None)
        return diagnosis if diagnosis.code is not Code.UNRECOGNIZED else None
    return None


def _may_have_message(text: str, start: int, lines: Lines) -> bool:
    """False for an object in one line that has none, quickly: many are in ordinary logs."""
    said = text[start : start + lines.cap]
    return "message" in said or (len(text) - start <= lines.cap and said.endswith(_GOES_ON))


def _may_be_ours(error: Any) -> bool:
    message = error.get("message") if isinstance(error, dict) else None
    return isinstance(message, str) and message != "" and _OTHERS.isdisjoint(error)


def _in_our_form(error: Mapping[str, Any]) -> bool:
    return "param" in error or ("type" in error and _is_word(error["type"]))


def _is_word(value: Any) -> bool:
    return value is None or (isinstance(value, str) and _WORD.fullmatch(value) is not None)


def _about_models(error: Mapping[str, Any], diagnosis: Diagnosis) -> bool:
    """Whether an error is of models, by its words: the tools of clouds print the same form."""
    if diagnosis.effect in (Effect.GATED, Effect.LOCKED):
        return True
    known = diagnosis.code not in (Code.UNRECOGNIZED, Code.NETWORK_ERROR)
    return known and _ABOUT_MODELS.search(error["message"]) is not None


@lru_cache(maxsize=256)
def _refused(body: str, status: int | None) -> Diagnosis:
    return explain_part(body, Observation(status)).diagnosis


def _body(text: str, start: int, lines: Lines, *, raised: bool = False) -> _Body:
    """The value that begins there, over further lines perhaps: as it was printed, or by a terminal's width.

    `raised`: it is what a client raised, in which an error object is no further answer.
    """
    said = text[start : start + lines.cap]
    starts = [start]
    following = _RAISED if raised else _NEXT
    end = _closed(said)
    value = _decoded(said[:end]) if end else None
    after = following.search(said, 1) if value is None else None
    printed = said.endswith(_GOES_ON)
    if end is None and after is None and (printed or raised) and len(text) - start <= lines.cap:
        said = _joined(said, starts, lines, printed=printed)
        end = _closed(said)
        value = _decoded(said[:end]) if end else None
        after = following.search(said, 1) if value is None else None
    if value is None:
        lines.in_vain(len(said))
        said = said[: after.start()] if after else said
        end = _end_of_cut(said) if end is None or end > len(said) else end
    later = said.count("\n", 0, end)
    place = starts[later] + (end or 0) - (said.rfind("\n", 0, end) + 1)
    return _Body(value, said[:end], place, later)


def _joined(said: str, starts: list[int], lines: Lines, *, printed: bool) -> str:
    """The text with the next lines, without what a runner writes before each; tells where each starts.

    It goes on until as many brackets are closed as are opened; those in strings may mislead it, and what is
    cut then counts as cut.
    """
    parts, size, depth = [said], len(said), _depth(said)
    cap = lines.cap
    for line in lines.ahead(ANSWER_LINES if printed else _WRAPPED_LINES):
        if printed:
            found = _JSON_PART.search(line.text, 0, cap)
            start = found.start() if found else len(line.text)
        else:
            start = _runner_end(line.text)
        part = line.text[start : start + cap]
        starts.append(start)
        parts.append(part)
        size += len(part) + 1
        depth += _depth(part)
        if depth <= 0 or size > cap:
            break
    return "\n".join(parts)


def _depth(text: str) -> int:
    return text.count("{") + text.count("[") - text.count("}") - text.count("]")


def _end_of_cut(said: str) -> int:
    """Where a value ends that nothing closes: with its line, or the last one that is a field of its own."""
    end = said.find("\n")
    for field in _FIELD_LINE.finditer(said):
        end = max(end, field.end())
    return len(said) if end < 0 else end


def _runner_end(text: str) -> int:
    prefix = _RUNNER.match(text, 0, BEFORE)
    return prefix.end() if prefix else 0


def _closed(text: str) -> int | None:
    """Where the value ends that a text begins with, by the brackets outside of its strings; None when cut.

    A string ends with the quote that it began with, behind as many backslashes, or as many and pairs of
    escaped ones.
    """
    depth, quote, escapes = 0, "", 0
    for mark in _MARK.finditer(text):
        sign = text[mark.end() - 1]
        if sign in "\"'":
            before = len(mark[0]) - 1
            if not quote:
                quote, escapes = sign, before
            elif sign == quote and before % (2 * escapes + 2) == escapes:
                quote = ""
        elif not quote and sign != "\\":
            depth += 1 if sign in "[{" else -1
            if depth <= 0:
                return mark.end()
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
