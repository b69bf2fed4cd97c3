"""`explain`: what an answer means that somebody pasted, a program recorded, or a job's log holds."""

import codecs
import io
import json
import sys
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, BinaryIO, NoReturn

import typer

from monitor.access.readable import many, printable
from monitor.access.words import Code, Surface
from monitor.cli.common import FormatOption, as_json, diagnosis_json, fail, note, print_json
from monitor.cli.streams import redact_output, redactor

if TYPE_CHECKING:
    from monitor.access.diagnosis.job_log import JobLog, LogAnswer
    from monitor.access.observation import Diagnosis

#: Bytes of an answer that are read, and of one line of a `--jsonl` file that are accepted.
READ_CAP = 1024 * 1024
_LINE_CAP = 8 * READ_CAP
#: Bytes of a log that are read at once.
_PART = 64 * 1024
#: Line numbers of one answer that are printed as text.
_LINES_SHOWN = 8


def explain(
    file: Annotated[
        str | None, typer.Argument(metavar="[FILE|-]", help="The answer. Default: standard input.")
    ] = None,
    *,
    status: Annotated[
        int | None,
        typer.Option(min=100, max=599, metavar="N", help="The HTTP status, if the text lacks it."),
    ] = None,
    header: Annotated[
        list[str] | None, typer.Option(metavar="'K: V'", help="A header of the answer; repeatable.")
    ] = None,
    model: Annotated[str | None, typer.Option(help="The model that was asked for.")] = None,
    surface: Annotated[Surface | None, typer.Option(help="Where it was asked for.")] = None,
    jsonl: Annotated[
        str | None,
        typer.Option(
            metavar="FILE",
            help="Many answers: a JSON object a line with id, status, headers, body, endpoint, model.",
        ),
    ] = None,
    log: Annotated[
        bool | None,
        typer.Option(
            "--log/--no-log",
            help="Find every answer in the log of a job. Default: for a text of 200 lines or more.",
        ),
    ] = None,
    output: FormatOption = "text",
) -> None:
    """Say what an answer means, whose problem it is, and what to do.

    Takes an answer as people paste it: curl's output, a traceback, log lines, JSON, a web page. In the log of
    a job it finds every answer, and says in which lines.
    """
    from monitor.access.diagnosis.explaining import explain as explain_text
    from monitor.access.diagnosis.job_log import answers_in, is_log
    from monitor.access.diagnosis.text import decode
    from monitor.access.observation import Observation

    redact_output()
    given = header or model or status is not None or surface is not None
    if jsonl is not None:
        if file or given or log is not None:
            fail("--jsonl takes everything from its lines: leave the other options and FILE out")
        _explain_lines(jsonl)
        return
    if log and given:
        fail(
            "a log has answers to many requests: leave --status, --header, --model and --surface out"
        )
    headers = _headers(header or [])
    optional = status is not None or bool(headers)
    if file is None and sys.stdin.isatty() and not optional:
        note("Paste the answer, then press Ctrl-D on a line of its own.")
    try:
        with _open(file, optional=optional) as source:
            body = source.read(READ_CAP + 1)
            cut = len(body) > READ_CAP
            searched = log or (log is None and not given and is_log(decode(body), cut=cut))
            if searched:
                found = answers_in(_parts(body, source))
                # a long paste of one answer may have none of a log's forms
                if log or found.answers or cut:
                    _print_found(found, output)
                    return
    except OSError as error:
        fail(f"{printable(str(file or '-'))}: {error.strerror or error}")
    if cut:
        note(f"the answer is longer than {READ_CAP} bytes; the rest was not read")
    if not body.strip() and not optional:
        fail("there is nothing to explain: the answer is empty, and no --status is given")
    explained = explain_text(
        Observation(status, headers, body[:READ_CAP], surface=surface, model=model)
    )
    if searched:
        one = "that it is one answer: as the log of a job it has none"
        explained = replace(explained, assumed=(one, *explained.assumed))
    if output == "json":
        for text in explained.assumed:
            note(f"assumed: {printable(_hidden(text))}")
        print_json(_as_json(explained.diagnosis))
    else:
        assumed = [("assumed", _hidden(text)) for text in explained.assumed]
        _print_rows([*_rows(explained.diagnosis), *assumed])


def _headers(given: list[str]) -> dict[str, str]:
    headers = {}
    for text in given:
        name, colon, value = text.partition(":")
        if not colon or not name.strip():
            fail(f"--header {printable(name[:40])!r} is not written as 'Name: value'")
        headers[name.strip().casefold()] = value.strip()
    return headers


def _print_found(found: "JobLog", output: str) -> None:
    if output == "json":
        print_json(
            [
                _as_json(one.diagnosis) | {"count": one.count, "lines": one.lines}
                for one in found.answers
            ]
        )
    else:
        _print_log(found)
    if found.left_out:
        note(f"{found.left_out} answers of further kinds are not shown")


def _parts(head: bytes, source: BinaryIO) -> Iterator[str]:
    """The text of a log of which `head` was read, a part at a time."""
    # PowerShell writes UTF-16
    utf16 = head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    decoder = codecs.getincrementaldecoder("utf-16" if utf16 else "utf-8")("replace")
    for start in range(0, len(head), _PART):
        yield decoder.decode(head[start : start + _PART])
    while part := source.read(_PART):
        yield decoder.decode(part)
    yield decoder.decode(b"", final=True)


def _print_log(found: "JobLog") -> None:
    for one in found.answers:
        _print_rows([("found", _places(one)), *_rows(one.diagnosis)])
        print()
    times = sum(one.count for one in found.answers)
    kinds = (
        f"{many(len(found.answers), 'answer')}, {many(times, 'time')}," if times else "no answer"
    )
    print(f"{kinds} in {many(found.lines, 'line')}")


def _places(one: "LogAnswer") -> str:
    shown = [str(line) for line in one.lines[:_LINES_SHOWN]]
    more = one.count - len(shown)
    lines = f"{'line' if one.count == 1 else 'lines'} {', '.join(shown)}"
    return f"{many(one.count, 'time')}: {lines}" + (f" and {more} more" if more else "")


def _open(file: str | None, *, optional: bool = False) -> BinaryIO:
    """The file, else standard input; on a terminal, options alone are enough."""
    if optional and file is None and sys.stdin.isatty():
        return io.BytesIO()
    if file in (None, "-"):
        return open(sys.stdin.fileno(), "rb", closefd=False)
    return Path(str(file)).open("rb")


def _explain_lines(file: str) -> None:
    """One object in and one out per line. A bad line ends the command before anything is printed."""
    from monitor.access.diagnosis.explaining import explain_row

    answers = []
    try:
        with _open(file) as source:
            lines = iter(lambda: source.readline(_LINE_CAP + 1), b"")
            for number, line in enumerate(lines, start=1):
                if line.strip():
                    row = _row(line, f"{printable(file)}: line {number}")
                    answers.append({"id": row.get("id"), **_as_json(explain_row(row))})
    except OSError as error:
        fail(f"{printable(file)}: {error.strerror or error}")
    for answer in answers:
        # ASCII: what a program reads back must not depend on the terminal's encoding
        print(as_json(answer))


def _row(line: bytes, place: str) -> Mapping[str, Any]:
    if len(line) > _LINE_CAP:
        fail(f"{place} is longer than {_LINE_CAP} bytes")
    try:
        row = json.loads(line, parse_constant=_no_number)
    except (ValueError, RecursionError) as error:
        fail(f"{place} is not JSON: {error}")
    if not isinstance(row, dict):
        fail(f"{place} is not a JSON object")
    return row


def _no_number(word: str) -> NoReturn:
    raise ValueError(f"{word} is no number of JSON")


def _as_json(diagnosis: "Diagnosis") -> dict[str, Any]:
    return diagnosis_json(diagnosis) | {"message": _hidden(diagnosis.message)}


def _hidden(text: str) -> str:
    """The server's words without keys: a paste may hold the request, too."""
    return redactor().text(text)


def _rows(diagnosis: "Diagnosis") -> list[tuple[str, str]]:
    """What is printed of an answer, what to do first; a row without text is left out."""
    from monitor.access.diagnosis import advise
    from monitor.access.diagnosis.advice import advise_on

    advice = advise_on(diagnosis)
    # of the code, as the cause has a row of its own
    meaning = advise(diagnosis.code, diagnosis.gate, diagnosis.owner).meaning
    gate = f", the gate of the {diagnosis.gate}" if diagnosis.gate else ""
    asked = "" if diagnosis.retry_after is None else f", {diagnosis.retry_after:g} s are asked for"
    return [
        ("what to do", advice.advice),
        ("whose problem", str(diagnosis.owner)),
        ("diagnosis", f"{diagnosis.code} ({diagnosis.effect}{gate}): {meaning}"),
        (
            "the cause" if diagnosis.code is Code.NETWORK_ERROR else "the answer says",
            _hidden(diagnosis.message) or "(no words)",
        ),
        ("waiting helps", ("yes" if advice.waiting_helps else "no") + asked),
        ("background", advice.background),
        ("request", diagnosis.request_id or ""),
        ("rule", diagnosis.rule),
    ]


def _print_rows(rows: list[tuple[str, str]]) -> None:
    import shutil
    import textwrap

    width = min(shutil.get_terminal_size().columns, 110) if sys.stdout.isatty() else 110
    for name, text in rows:
        if text:
            lines = textwrap.wrap(printable(text), max(width - 17, 30), break_on_hyphens=False)
            print(f"{name:16} " + ("\n" + " " * 17).join(lines or [""]))
