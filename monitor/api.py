"""For programs: what an answer of the API means, such as in the `except` of a client.

    from monitor.api import diagnose

    try:
        client.images.generate(model="gpt-image-2", prompt="a lantern")
    except openai.APIStatusError as error:
        diagnosis = diagnose(error.response)

Nothing is sent, read or kept: these are functions of what they are given, and no answer makes them raise.
They need none of what the daemon needs, and what they do need is loaded by the first call: importing this
module delays no program. What this module has is kept as it is; docs/python.md explains it.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from monitor.access.words import Code, Effect, Gate, Owner, Surface

if TYPE_CHECKING:  # see above
    from monitor.access.observation import Diagnosis as _Found
    from monitor.access.observation import Observation

__all__ = [
    "Answer", "Code", "Diagnosis", "Effect", "Gate", "Owner", "Response", "Surface", "diagnose", "explain",
    "explain_log",
]  # fmt: skip


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """What an answer means: a code, its effect, whose problem it is, and what to do."""

    code: Code
    effect: Effect
    owner: Owner
    gate: Gate | None
    #: the server's own words: at most 500 characters, without control characters and without keys
    message: str
    advice: str
    #: whether the same request can succeed by waiting
    waiting_helps: bool
    #: seconds that the server asks to wait
    retry_after: float | None
    request_id: str | None
    #: the name of the rule that decided; unlike the codes, rules come and go with releases
    rule: str


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer in a log: what it means, how often it is there, and in which lines, counted from 1."""

    diagnosis: Diagnosis
    count: int
    #: where each begins; of very many the first ones
    lines: tuple[int, ...]


#: Headers in which a client sends its key: the official one, and those for Azure, Anthropic and Google.
_KEY_HEADERS = ("authorization", "api-key", "x-api-key", "x-goog-api-key")


@runtime_checkable
class Response(Protocol):
    """A response as httpx, requests and the official client have it."""

    @property
    def status_code(self) -> int:
        """The HTTP status."""

    @property
    def headers(self) -> Mapping[str, str]:
        """The headers of the answer."""


def diagnose(
    status: "int | Response | None",
    headers: Mapping[str, str] | None = None,
    body: bytes | str | Mapping[str, Any] | None = None,
    *,
    model: str | None = None,
    surface: Surface | str | None = None,
) -> Diagnosis:
    """What an answer means.

    Instead of the status it takes a response of httpx or requests, such as `error.response` of the official
    client, and reads from it what is not given; a body that was not read yet counts as empty. `body` is what
    the server sent, or the value of its JSON. `model` and `surface` are what was asked for: they decide
    whether a success counts, and a refusal is understood without. Without a status the body alone decides.

    Raises:
        ValueError: when `surface` is none of `Surface`.
        TypeError: when `status` is neither a number nor a response.

    """
    from monitor.access.diagnosis.explaining import diagnose_sent

    if isinstance(status, Response):
        response, status = status, status.status_code
        headers = response.headers if headers is None else headers
        body = _body_of(response) if body is None else body
        given = replace(_given(status, headers, body, model, surface), mask=_mask_of(response))
        return _diagnosis(diagnose_sent(given, _endpoint_of(response)))
    if status is None or isinstance(status, int):
        return _diagnosis(diagnose_sent(_given(status, headers, body, model, surface), ""))
    raise TypeError(f"status is {status!r}: give a number such as 403, or the client's response")


def explain(
    text: str | bytes,
    *,
    status: int | None = None,
    headers: Mapping[str, str] | None = None,
    model: str | None = None,
    surface: Surface | str | None = None,
) -> Diagnosis:
    """What a pasted answer means: `access-monitor explain` as a function.

    The text may be an answer, what a tool made of it, a traceback with it or some lines of a log; at most 1
    MiB of it is read. Raises ValueError as `diagnose` does.
    """
    from monitor.access.diagnosis.explaining import explain as explain_text

    return _diagnosis(explain_text(_given(status, headers, text, model, surface)).diagnosis)


def explain_log(lines: str | bytes | Iterable[str | bytes]) -> list[Answer]:
    """The answers of the API in the log of a job, in the order in which each is first there.

    `lines` is the log, or its lines, such as a file opened as `open(path, "rb")`: of a large one little is
    held at a time. Bytes are read as UTF-8. A line ends with a newline only: a file opened as text without
    `newline="\\n"` ends one at each step of a progress bar, too. Equal answers are one. A success in a log
    is not looked for.
    """
    from monitor.access.diagnosis.job_log import answers_in

    given = [lines] if isinstance(lines, str | bytes) else lines
    text = (line if isinstance(line, str) else str(line, "utf-8", "replace") for line in given)
    whole = (line if line.endswith("\n") else line + "\n" for line in text)
    found = answers_in(whole).answers
    return [Answer(_diagnosis(one.diagnosis), one.count, tuple(one.lines)) for one in found]


def _given(
    status: int | None,
    headers: Mapping[str, str] | None,
    body: bytes | str | Mapping[str, Any] | None,
    model: str | None,
    surface: Surface | str | None,
) -> "Observation":
    from monitor.access.observation import Observation

    lowered = {str(name).casefold(): str(value) for name, value in (headers or {}).items()}
    where = None if surface is None else Surface(surface)
    return Observation(status, lowered, _bytes(body), surface=where, model=model)


def _bytes(body: bytes | str | Mapping[str, Any] | None) -> bytes:
    import json

    if body is None or isinstance(body, bytes | bytearray):
        return bytes(body or b"")
    text = body if isinstance(body, str) else json.dumps(body, default=str)
    return text.encode("utf-8", "surrogatepass")


def _body_of(response: Response) -> bytes:
    """What was read of it; a stream that was not read, or is closed, has nothing to say."""
    if getattr(response, "_content_consumed", True) is False:
        return b""  # requests would read it from the network now
    try:
        content = getattr(response, "content", b"")
    except Exception:  # noqa: BLE001 - each library has its own, and this runs in somebody's `except`
        return b""
    return bytes(content) if isinstance(content, bytes | bytearray) else b""


def _request_of(response: Response) -> Any:
    """What was asked: a method, a URL and headers. None where that is not known."""
    try:
        request: Any = getattr(response, "request", None)
    except Exception:  # noqa: BLE001 - as above: httpx raises where there is none
        return None
    known = all(hasattr(request, name) for name in ("method", "url", "headers"))
    return request if known else None


def _endpoint_of(response: Response) -> str:
    request = _request_of(response)
    return f"{request.method} {request.url}" if request is not None else ""


def _mask_of(response: Response) -> "Callable[[str], str]":
    """Hides the key that the request was sent with, where the request is known."""
    from monitor.access.masking import Mask, mask_patterns

    request = _request_of(response)
    headers = {} if request is None else request.headers
    sent = (str(headers.get(name) or "").split() for name in _KEY_HEADERS)
    secrets = [words[-1] for words in sent if words]
    return Mask(secrets).text if secrets else mask_patterns


def _diagnosis(found: "_Found") -> Diagnosis:
    from monitor.access.diagnosis.advice import advise_on

    advice = advise_on(found)
    return Diagnosis(
        found.code,
        found.effect,
        found.owner,
        found.gate,
        found.message,
        advice.advice,
        advice.waiting_helps,
        found.retry_after,
        found.request_id,
        found.rule,
    )
