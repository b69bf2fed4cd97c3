"""Answers as people paste them: curl's output, a traceback, log lines, a chat with typographic quotes.

Pure and total. What is found is only taken apart here, and judged where every other answer is: a part
that had to be cut out of something else can tell of a refusal, and is never taken for a success.
"""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

from monitor.access.diagnosis.envelope import is_error, parse

#: Characters of a paste that are read, parts that are tried, and characters of one part.
PASTE_CAP: Final = 1024 * 1024
PARTS_CAP: Final = 16
PART_CAP: Final = 8_000

#: What colours a terminal.
ANSI = re.compile(r"\x1b\[[0-9;?]{0,20}[a-zA-Z]")
_FENCE = re.compile(r"^ {0,3}(?:```|~~~)[^\n]{0,40}\n?", re.MULTILINE)
#: Before each line: a quotation's mark, or the name that a log collector writes.
_MARK = re.compile(r"^ {0,2}(?:>|[\w.-]{1,60} {1,20}\|) ?", re.MULTILINE)

_STATUS_LINE = re.compile(r"HTTP/\d(?:\.\d)? ([1-5]\d\d)\b[^\n]{0,200}(?:\n|\Z)")
_VERBOSE_STATUS = re.compile(r"^< HTTP/\d(?:\.\d)? ([1-5]\d\d)\b", re.MULTILINE)
_VERBOSE_REQUEST = re.compile(r"^> ([A-Z]{3,7} \S{1,500}) HTTP/", re.MULTILINE)
_HEADER = re.compile(r"([A-Za-z][A-Za-z0-9_-]{0,80}):[ \t]{0,9}([^\n]{0,8000})(?:\n|\Z)")
#: Looks like a header, but begins an event of a stream or a JSON field.
_NO_HEADERS = frozenset(("data", "event", "id", "retry", "error"))
_TRANSFER_METER = re.compile(r"^ {0,3}(?:% Total|Dload|\d{1,3} {1,6}\d).*\n?", re.MULTILINE)

_COMMAND = re.compile(r"(?:[$#%>❯] ?)?(?:sudo )?(?:\S{0,60}/)?curl(?:\.exe)? ")
_URL = re.compile(r"https?://[^\s\"']{1,500}")
_METHOD = re.compile(r"(?:-X|--request)[ =]?[\"']?([A-Z]{3,7})\b")
_MODEL = re.compile(r"\\?\"model\\?\" {0,3}: {0,3}\\?\"([^\"\\]{1,200})\\?\"")

_TRACEBACK = "Traceback (most recent call last)"
_CHAINED = re.compile(r"^(?:During handling of the above|The above exception was)", re.MULTILINE)
_RAISED = re.compile(r"^[A-Za-z_][\w.]{0,160}(?:: |:?$)", re.MULTILINE)
_NODE_FRAME = re.compile(r"^[ \t]{1,20}at [^\n]{0,2000}\n?", re.MULTILINE)
_RECORD = re.compile(
    r"^(?:\[?\d{4}[-/]\d\d[-/]\d\d[T ]\d\d:\d\d|\[?\d\d:\d\d:\d\d|[A-Z][a-z]{2} {1,2}\d{1,2} \d\d:\d\d:\d\d"
    r"|\[?(?:DEBUG|INFO|NOTICE|WARN|WARNING|ERROR|CRITICAL|FATAL)\b|(?:level|time|ts)="
    r"|\{\"(?:level|time|timestamp|ts|msg|severity|event)\")",
    re.MULTILINE,
)
_FRAGMENT = re.compile(
    r"\{\s{0,8}[\"'“‘]?error|\{\s{0,8}[\"'“‘]message|\b\w{1,60}(?:Error|Exception): "
)

#: Characters of a printed Python value that are converted: a refusal is shorter, and no image is printed so.
LITERAL_CAP: Final = 64 * 1024

# A string literal, else a constant. A literal that never ends runs to the end of the text, and nothing is
# given back once taken: so each character is read once.
_LITERAL = re.compile(
    r"(?<!\w)[bBuU]?(?:'((?:[^'\\]|\\.)*+)(?:'|\\?\Z)|\"((?:[^\"\\]|\\.)*+)(?:\"|\\?\Z))"
    r"|\b(None|True|False)\b",
    re.DOTALL,
)
_LITERAL_ESCAPE = re.compile(
    r"\\(?:x([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|(.))", re.DOTALL
)
_BYTES_LITERAL = re.compile(r"b(['\"])(.*)\1", re.DOTALL)
_CONSTANTS = {"None": "null", "True": "true", "False": "false"}
_SIMPLE = {"n": "\n", "t": "\t", "r": "\r", "0": "\0", "b": "\b", "f": "\f", "\n": ""}


@dataclass(frozen=True, slots=True)
class Pasted:
    """A paste taken apart. `parts` are tried in their order until one means something.

    `whole`: the first part is the answer itself, as the server sent it; only then can it be a success.
    `status` is from a status line or a field of its own, and `form` says from where.
    """

    parts: tuple[str, ...]
    whole: bool
    form: str = ""
    status: int | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    endpoint: str = ""
    model: str | None = None


def take_apart(text: str) -> Pasted:
    """Find the answer in a paste."""
    text = text[:PASTE_CAP].replace("\r\n", "\n").strip()
    parsed = parse(text) if text[:1] in ("{", "[") else None
    if parsed is not None and not parsed[1]:
        return _recorded(parsed[0]) or Pasted((text,), whole=True)
    if text.startswith(("<", "data:", "event:")) and not text.startswith("< HTTP/"):
        # A page may quote anything; a stream's events are separated where answers are read.
        return Pasted((text,), whole=True)
    text = _tidy(text)
    endpoint, model, text = _command(text)
    found = _answer(text)
    return replace(found, endpoint=endpoint or found.endpoint, model=model or found.model)


def _answer(text: str) -> Pasted:
    if found := _verbose(text) or _headed(text):
        return found
    literal = as_json(text) or of_bytes(text)
    if literal is not None:
        return Pasted((literal,), whole=True, form="a Python literal")
    if _TRACEBACK in text:
        return Pasted(tuple(_raised(text)), whole=False, form="a traceback")
    if len(_RECORD.findall(text, 0, PART_CAP * 4)) > 1:
        return Pasted(tuple(_records(text)), whole=False, form="log lines")
    plain = _NODE_FRAME.sub("", text)
    return Pasted((plain, *_fragments(plain)), whole=True)


def _tidy(text: str) -> str:
    """Without colours, fences, and the marks before each line."""
    if "\x1b" in text:
        text = ANSI.sub("", text)
    if "```" in text or "~~~" in text:
        text = _FENCE.sub("", text).strip()
    lines = [line for line in text.split("\n", 200)[:200] if line.strip()]
    if lines and all(_MARK.match(line) for line in lines) and not _VERBOSE_REQUEST.search(text):
        text = _MARK.sub("", text).strip()
    return text


def _command(text: str) -> tuple[str, str | None, str]:
    """The endpoint and the model of a curl command before the answer, and the text after it."""
    if not _COMMAND.match(text):
        return "", None, text
    end, quotes = 0, 0
    for line in text.splitlines(keepends=True)[:200]:
        end += len(line)
        quotes += line.count("'")
        if quotes % 2 == 0 and not line.rstrip().endswith(("\\", "`", "^")):
            break
    command = text[:end]
    url, model = _URL.search(command), _MODEL.search(command)
    method = _METHOD.search(command)
    sends = " -d" in command or " --data" in command or " --json" in command or " -F" in command
    verb = method[1] if method else "POST" if sends else "GET"
    rest = text[end:].strip()
    if "% Total" in rest[:400]:
        rest = _TRANSFER_METER.sub("", rest, count=12).strip()
    endpoint = f"{verb} {url[0]}" if url else ""
    return endpoint, model[1] if model else None, rest


def _headed(text: str) -> Pasted | None:
    """`curl -i`: status line, headers, a blank line (often lost), the body."""
    status, place = None, 0
    headers: dict[str, str] = {}
    for _ in range(8):
        # A proxy's, a redirect's and a "100 Continue" stand before the answer's own.
        match = _STATUS_LINE.match(text, place)
        if match is None:
            break
        status, place, headers = int(match[1]), match.end(), {}
        while (header := _HEADER.match(text, place)) and header[1].casefold() not in _NO_HEADERS:
            headers[header[1].casefold()] = header[2].strip()
            place = header.end()
        while text[place : place + 1] in ("\n", " ", "\t"):
            place += 1
    if status is None:
        return None
    return Pasted((text[place:],), True, "the status line", status, headers)


def _verbose(text: str) -> Pasted | None:
    """`curl -v`: lines marked `<` are the answer's head, `>` and `*` are curl's own."""
    statuses = list(_VERBOSE_STATUS.finditer(text, 0, PART_CAP * 8))
    if not statuses:
        return None
    headers: dict[str, str] = {}
    body: list[str] = []
    for line in text[statuses[-1].end() :].split("\n")[1:]:
        if line.startswith("<") and not body:
            if match := _HEADER.match(line[1:].lstrip()):
                headers[match[1].casefold()] = match[2].strip()
        elif not line.startswith(("* ", "> ", "{ [", "} [")):
            body.append(line)
    requests = _VERBOSE_REQUEST.findall(text, 0, PART_CAP * 8)
    return Pasted(
        ("\n".join(body).strip(),),
        True,
        "the status line",
        int(statuses[-1][1]),
        headers,
        requests[-1] if requests else "",
    )


def _recorded(value: Any) -> Pasted | None:
    """An answer that a program recorded: an object with its own status and body."""
    if not isinstance(value, dict) or "body" not in value or is_error(value.get("error")):
        return None
    status = next(
        (value[name] for name in ("status", "status_code", "statusCode") if name in value), None
    )
    if not isinstance(status, int) or isinstance(status, bool) or not 100 <= status <= 599:
        return None
    body, headers = value["body"], value.get("headers")
    endpoint, model = value.get("endpoint"), value.get("model")
    return Pasted(
        (body if isinstance(body, str) else json.dumps(body),),
        True,
        'the field "status"',
        status,
        plain_headers(headers),
        endpoint if isinstance(endpoint, str) else "",
        model if isinstance(model, str) else None,
    )


def plain_headers(value: Any) -> dict[str, str]:
    """Headers as an observation has them, from whatever a JSON has under that name."""
    if not isinstance(value, dict):
        return {}
    return {
        name.casefold(): part
        for name, part in value.items()
        if isinstance(name, str) and isinstance(part, str)
    }


def _raised(text: str) -> Iterator[str]:
    """The exceptions of a traceback, the last first: in a chain the first is often the server's answer."""
    chain = _CHAINED.split(text[-PART_CAP * PARTS_CAP :])
    for piece in reversed(chain[-PARTS_CAP:]):
        _, traced, after = piece.rpartition(_TRACEBACK)
        # The stack's lines are indented; the exception's begins at the margin.
        start = _RAISED.search(after if traced else piece, 1 if traced else 0)
        if start is not None:
            yield start.string[start.start() :].strip()[:PART_CAP]
    yield from _fragments(text)


def _records(text: str) -> Iterator[str]:
    """The log's records, the last first, each with the lines that belong to it."""
    tail = text[-PART_CAP * PARTS_CAP :]
    starts = [match.start() for match in _RECORD.finditer(tail)]
    ends = [*starts[1:], len(tail)]
    for start, end in reversed(list(zip(starts, ends, strict=True))[-PARTS_CAP:]):
        yield tail[start:end].strip()[:PART_CAP]


def _fragments(text: str) -> Iterator[str]:
    """What looks like an error within a text, the last first, then the text's lines from the end."""
    starts = [match.start() for match in _FRAGMENT.finditer(text[-PART_CAP * 8 :])]
    tail = text[-PART_CAP * 8 :]
    for start in reversed(starts[-PARTS_CAP:]):
        yield tail[start : start + PART_CAP]
    for line in reversed(tail.split("\n")[-PARTS_CAP:]):
        if line.strip() and len(line) < len(text):
            yield line.strip()[:PART_CAP]


def as_json(text: str) -> str | None:
    """A dict or a list as Python prints it, as JSON; None when it is none of them.

    Nothing is evaluated, so what was pasted can neither run nor nest too deep.
    """
    if len(text) > LITERAL_CAP or text[:1] not in ("{", "["):
        return None
    turned = from_python(text)
    try:
        json.loads(turned)
    except (ValueError, RecursionError):
        return None
    return turned


def from_python(text: str) -> str:
    """The text with Python's literals as JSON's."""
    return _LITERAL.sub(_turn, text[:LITERAL_CAP])


def of_bytes(text: str) -> str | None:
    """What a bytes literal (`b'…'`, a printed `response.content`) holds; None when it is none."""
    match = _BYTES_LITERAL.fullmatch(text[:LITERAL_CAP])
    if match is None:
        return None
    plain = _literal(match[2])
    try:
        # each escape \xNN is one byte of the UTF-8
        return plain.encode("latin-1").decode("utf-8", "replace")
    except UnicodeEncodeError:
        return plain


def _turn(match: re.Match[str]) -> str:
    if match[3]:
        return _CONSTANTS[match[3]]
    return json.dumps(_literal(match[1] if match[1] is not None else match[2]))


def _literal(text: str) -> str:
    return _LITERAL_ESCAPE.sub(_character, text) if "\\" in text else text


def _character(match: re.Match[str]) -> str:
    number = match[1] or match[2] or match[3]
    if number:
        value = int(number, 16)
        return chr(value) if value <= 0x10FFFF else ""
    return _SIMPLE.get(match[4], match[4])
