"""The answers in the log of a job that failed: every refusal among the noise, equal ones once. Pure.

The log is read a piece at a time: what is held does not grow with it.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Final

from monitor.access.diagnosis.envelope import parse
from monitor.access.diagnosis.log_answer import ANCHOR, Found, answer_at, may_have_answers
from monitor.access.diagnosis.log_lines import ANSWER_LINES, Lines
from monitor.access.diagnosis.text import equal_message
from monitor.access.observation import Diagnosis
from monitor.access.words import Code, Gate, Owner

#: Different answers that are kept, and line numbers of each; what is more is counted.
ANSWERS_CAP: Final = 1_000
LINES_CAP: Final = 1_000
#: A text of fewer lines is a paste.
_LOG_LINES: Final = 200
#: Names of models keep their figures where answers are compared.
_FAMILIES: Final = "gpt o dall sora"
#: A message that another begins with is the same one, cut, from so many characters on.
_CUT_FROM: Final = 20
#: What stands before a message where the fields of an exception or an object are printed.
_PRINTED: Final = re.compile(r"message[\"']?:\s{0,20}[\"'`]?$")

#: What equal answers have in common: code, gate and owner, and the words.
_Key = tuple[tuple[Code, Gate | None, Owner], str]


@dataclass(slots=True)
class LogAnswer:
    """Equal answers: how many, and in which lines each begins, the first `LINES_CAP` of them."""

    diagnosis: Diagnosis
    count: int = 0
    lines: list[int] = field(default_factory=list)


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
    for number, diagnosis in _found(Lines(parts), log):
        key = (diagnosis.code, diagnosis.gate, diagnosis.owner), equal_message(diagnosis, _FAMILIES)
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
            whole.count += one.count
            whole.lines = sorted([*whole.lines, *one.lines])[:LINES_CAP]
    return kept


def _found(lines: Lines, log: JobLog) -> Iterator[tuple[int, Diagnosis]]:
    """Each answer, and the line in which it begins."""
    before, reached = "", 0
    worded: tuple[int, Diagnosis] | None = None
    for line in lines:
        place = max(line.begin, reached if line.number == log.lines else 0)
        log.lines = line.number
        anchor = ANCHOR.search(line.text, place) if may_have_answers(line.text) else None
        while anchor and anchor.start() < line.end:
            found = answer_at(anchor, lines)
            place = anchor.end()
            if found:
                place = found.place
                if found.later:
                    lines.skip(found.later, place)
                    place = len(line.text)
                prefix = line.text[: anchor.start()]
                near = worded if worded and line.number - worded[0] <= ANSWER_LINES else None
                if not (
                    anchor["gate"] and near and _repeats(f"{before}\n{prefix}", found, near[1])
                ):
                    opened = anchor["object"] and _opens(before, prefix)
                    yield line.number - bool(opened), found.diagnosis
                if not anchor["object"]:
                    worded = line.number, found.diagnosis
            anchor = ANCHOR.search(line.text, place)
        reached = line.in_next(place)
        before = line.text[-200:]


def _opens(before: str, prefix: str) -> bool:
    """Whether an object that is printed over lines began at the end of the line before."""
    return not re.search(r"[\"'{]", prefix) and before.rstrip().endswith("{")


def _repeats(prefix: str, found: Found, worded: Diagnosis) -> bool:
    """Whether the fields are printed of an exception whose words stand before."""
    return worded.code is found.diagnosis.code and _PRINTED.search(prefix[-40:]) is not None
