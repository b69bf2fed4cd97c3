"""What a pasted answer means, and what had to be assumed to say so. Pure and total."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

from monitor.access.diagnosis import diagnose
from monitor.access.diagnosis.pasted import Pasted, plain_headers, take_apart
from monitor.access.diagnosis.text import clean, decode
from monitor.access.observation import Diagnosis, Failure, Observation
from monitor.access.words import Code, Effect, Surface

#: Characters in which a status is looked for.
STATED_CAP: Final = 16_000

_REASONS = (
    "Bad Request|Unauthorized|Payment Required|Forbidden|Not Found|Method Not Allowed|"
    "Request Entity Too Large|Unprocessable|Too Many Requests|Internal Server Error|Bad Gateway|"
    "Service Unavailable|Service Temporarily|Gateway Time"
)
_SAID = "returns|returned|gives|gave|got|received|failed|failure|answered|responded|code|error"
# How people and programs write a status, the plainest first. Every repetition is bounded.
_STATUSES: Final = tuple(
    re.compile(pattern, re.IGNORECASE | re.MULTILINE)
    for pattern in (
        r"\berror code:? {0,3}([1-5]\d\d)\b",
        r"\bHTTP/\d(?:\.\d)?[\"']?[ :]{1,2}([1-5]\d\d)\b",
        r"\bhttp(?:[ _-]?(?:status|error|code|response)){0,2}[\"']?[ :=]{1,3}[\"'(]?([1-5]\d\d)\b",
        r"\bstatus(?:[ _-]?code)?\\{0,3}[\"']?[ :=>]{1,4}\\{0,3}[\"'(]?([1-5]\d\d)\b",
        r"[\"']code[\"'] {0,2}: {0,2}[\"']?([45]\d\d)\b",
        r"\b\w{1,60}(?:Error|Exception)[:(] {0,2}(?:Error )?[\[(]?([45]\d\d)\b",
        rf"\b(?:{_SAID})(?: with)?(?: an?)?[ :=]{{1,3}}([45]\d\d)\b",
        rf"(?:^|[\s\[(:>])([45]\d\d)[\])]? (?:{_REASONS})",
        r"(?:^|\s)[\[(]([45]\d\d)[\])]",
        r"\A\W{0,3}([45]\d\d)[ :]",
        r"\n([45]\d\d)\Z",
    )
)
# The official clients name the status by the exception's class.
_EXCEPTIONS: Final = {
    "BadRequestError": 400,
    "AuthenticationError": 401,
    "PermissionDeniedError": 403,
    "NotFoundError": 404,
    "UnprocessableEntityError": 422,
    "RateLimitError": 429,
    "InternalServerError": 500,
}
_EXCEPTION = re.compile(rf"\b({'|'.join(_EXCEPTIONS)})\b")

# In the words of curl, of Python's and Node's clients, and of the resolver; the first that is found counts.
_FAILURES: Final = {
    Failure.NAME_RESOLUTION: "could not resolve host|couldn't resolve host|name or service not known"
    "|nodename nor servname|name resolution|getaddrinfo|enotfound|no such host",
    Failure.PROXY: "proxyerror|proxy connect aborted|from proxy after connect",
    Failure.CERTIFICATE: "certificate verify failed|certificate_verify_failed|certificate has expired"
    "|self-signed certificate|self signed certificate|certificate problem|unknown_ca|x509: "
    "|unable to get local issuer|unable to verify the first certificate",
    Failure.NO_TLS: "wrong version number|wrong_version_number",
    Failure.TLS: "tls handshake|ssl handshake|sslerror|ssl_connect|sslv3_alert",
    Failure.CONNECT_TIMEOUT: "connecttimeout|connection timed out|resolving timed out",
    Failure.TIMEOUT: "apitimeouterror|readtimeout|read timed out|request timed out"
    "|operation timed out|etimedout|deadline exceeded",
    Failure.CUT: "econnreset|connection reset|connection aborted|socket hang up|server disconnected"
    "|remotedisconnected|remoteprotocolerror|incomplete chunked read|empty reply from server"
    "|broken pipe|peer closed connection|unexpectedeof|unexpected eof",
    Failure.REFUSED: "econnrefused|connection refused",
    Failure.CONNECT: "no route to host|network is unreachable"
    "|all connection attempts failed|failed to connect to|couldn't connect to server"
    "|connecterror|apiconnectionerror|connection error|fetch failed|failed to fetch",
}

# Parts of a path and the surfaces they stand for; the first that is found counts.
_PATHS: Final = (
    ("/edits", Surface.EDITS),
    ("/variations", Surface.EDITS),
    ("images/", Surface.IMAGES),
    ("chat/completions", Surface.CHAT),
    ("responses", Surface.RESPONSES),
)

#: A failure stated in words counts when the rules found nothing, or nothing specific.
_MAYBE_NO_ANSWER = frozenset((Code.UNRECOGNIZED, Code.SERVER_ERROR, Code.EDGE_ERROR))


@dataclass(frozen=True, slots=True)
class Explained:
    """A diagnosis, and what was assumed for it, each to be read after \"assumed:\"."""

    diagnosis: Diagnosis
    assumed: tuple[str, ...] = ()


def explain(given: Observation, endpoint: str = "") -> Explained:
    """What a pasted text means, the body: the answer in it is found first, then diagnosed as any other.

    What else is given counts more than what is found. Without a status, one is looked for in the text.
    """
    pasted = take_apart(decode(given.body, given.headers.get("content-type", "")))
    asked, notes = _asked(pasted, given, endpoint)
    if pasted.status is not None and given.status is None:
        notes.insert(0, f"status {pasted.status}, from {pasted.form}")
    first: Explained | None = None
    for place, part in enumerate(pasted.parts or ("",)):
        whole = pasted.whole and place == 0
        found = explain_part(part, asked, whole=whole)
        if not whole and found.diagnosis.effect is Effect.GRANTED:
            # A success that was cut out of a longer text may be a quotation.
            continue
        if not whole:
            where = f" in {pasted.form}" if pasted.form else ""
            begins = f"that the answer begins{where} with {clean(part, 60)!r}"
            found = replace(found, assumed=(begins, *found.assumed))
        first = first or found
        if found.diagnosis.code is not Code.UNRECOGNIZED:
            first = found
            break
    explained = first or explain_part("", asked)
    return replace(explained, assumed=(*notes, *explained.assumed))


def _asked(pasted: Pasted, given: Observation, endpoint: str) -> tuple[Observation, list[str]]:
    """The answer with its surroundings, and a note for each that was taken from the paste."""
    notes = []
    endpoint = endpoint or pasted.endpoint
    surface = given.surface or surface_of(endpoint)
    model = given.model or pasted.model
    if surface is not None and given.surface is None:
        notes.append(f"surface {surface}, from {clean(endpoint, 120)}")
        if surface is Surface.MODELS:
            # Only a request for this surface is about the model's own entry.
            notes.append("that the model list proves nothing of the gate")
            model = None
    if model and not given.model:
        notes.append(f"model {clean(model, 80)}, from the request")
    status = given.status if given.status is not None else pasted.status
    headers = {**pasted.headers, **given.headers}
    return replace(given, status=status, headers=headers, surface=surface, model=model), notes


def explain_part(part: str, asked: Observation, *, whole: bool = False) -> Explained:
    """What a part of a text means; `whole` is what the server sent, and only that can be a success."""
    observation = replace(asked, body=part.encode("utf-8", "surrogatepass"))
    found = diagnose(observation)
    if whole and found.effect is Effect.GRANTED:
        kind = () if asked.surface else ("that a success of this kind was asked for",)
        return Explained(found, kind)
    if asked.status is not None:
        return Explained(found)
    if stated := status_in(part):
        status, words = stated
        if status >= 400:
            found = diagnose(replace(observation, status=status))
        return Explained(found, (f"status {status}, from {clean(words, 80)!r}",))
    if found.code in _MAYBE_NO_ANSWER and (failure := failure_in(part)):
        missing = replace(observation, failure=failure, failure_text=part)
        return Explained(diagnose(missing), (f"that no answer came ({failure}), from the words",))
    return Explained(found, ("nothing of the status: none is given or found",))


def _number(value: object) -> int | None:
    """A status written as a number or as its digits."""
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if isinstance(value, str) and len(value) == 3 and value.isascii() and value.isdigit():
        return int(value)
    return None


def explain_row(row: Mapping[str, object]) -> Diagnosis:
    """The diagnosis of one recorded answer: `status`, `headers`, `body`, `endpoint`, `model`.

    With a status, the body is what the server sent. Without one it is read as people paste it. A field of
    a wrong kind counts as unknown; unknown fields are ignored.
    """
    body, endpoint, model = row.get("body"), row.get("endpoint"), row.get("model")
    text = body if isinstance(body, str) else "" if body is None else json.dumps(body)
    given = Observation(
        _number(row.get("status")),
        plain_headers(row.get("headers")),
        text.encode("utf-8", "surrogatepass"),
        model=model if isinstance(model, str) else None,
    )
    endpoint = endpoint if isinstance(endpoint, str) else ""
    if given.status is None:
        return explain(given, endpoint).diagnosis
    return diagnose_sent(given, endpoint)


def diagnose_sent(given: Observation, endpoint: str) -> Diagnosis:
    """The diagnosis of what a server sent to who asked this endpoint."""
    asked, _ = _asked(Pasted((), whole=True), given, endpoint)
    return diagnose(asked)


def status_in(text: str) -> tuple[int, str] | None:
    """A status that the text states, and the words that stated it."""
    text = text[:STATED_CAP]
    for pattern in _STATUSES:
        # 599 is no server's: some clients write it when there was no answer.
        if (match := pattern.search(text)) and match[1] != "599":
            return int(match[1]), " ".join(match[0].split())
    if match := _EXCEPTION.search(text):
        return _EXCEPTIONS[match[1]], match[1]
    return None


def failure_in(text: str) -> Failure | None:
    """Why there was no answer, where a text that states no status says so."""
    text = text[:STATED_CAP].casefold()
    return next(
        (failure for failure, phrases in _FAILURES.items() if re.search(phrases, text)), None
    )


def surface_of(endpoint: str) -> Surface | None:
    """The surface that an endpoint such as `POST /v1/images/generations` names; None when it names none.

    A word beside it makes it more exact: `stream`, `summary`, `image_generation` (the hosted tool).
    """
    text = endpoint[:2_000].casefold()
    if text.lstrip().startswith("get "):
        return Surface.MODELS if "/models" in text else None
    found = next((surface for part, surface in _PATHS if part in text), None)
    if found is Surface.RESPONSES and ("image_generation" in text or "image tool" in text):
        return Surface.IMAGE_TOOL
    if found in (Surface.RESPONSES, Surface.CHAT) and "stream" in text:
        return Surface.STREAM
    if found is Surface.RESPONSES and "summary" in text:
        return Surface.SUMMARY
    return found
