"""What a pasted answer means, and what had to be assumed to say so. Pure and total."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from monitor.access.diagnosis import diagnose
from monitor.access.diagnosis.pasted import Pasted, plain_headers, take_apart
from monitor.access.diagnosis.stated import failure_in, status_in, surface_of
from monitor.access.diagnosis.text import clean, decode
from monitor.access.observation import Diagnosis, Observation
from monitor.access.words import Code, Effect, Surface

#: A failure stated in words counts when the rules found nothing, or nothing specific.
_MAYBE_NO_ANSWER = frozenset((Code.UNRECOGNIZED, Code.SERVER_ERROR, Code.EDGE_ERROR))


@dataclass(frozen=True, slots=True)
class Given:
    """What is known of an answer besides its text. `headers` have lower-case names."""

    status: int | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    surface: Surface | None = None
    model: str | None = None
    endpoint: str = ""


@dataclass(frozen=True, slots=True)
class Explained:
    """A diagnosis, and what was assumed for it, each to be read after \"assumed:\"."""

    diagnosis: Diagnosis
    assumed: tuple[str, ...] = ()


def explain(body: bytes, given: Given) -> Explained:
    """What a pasted text means: the answer in it is found first, then diagnosed as any other.

    What is given counts more than what is found. Without a status, one is looked for in the text.
    """
    text = decode(body, given.headers.get("content-type", ""))
    pasted = take_apart(text)
    asked, notes = _asked(pasted, given)
    if pasted.status is not None and given.status is None:
        notes.insert(0, f"status {pasted.status}, from {pasted.form}")
    first: Explained | None = None
    for place, part in enumerate(pasted.parts or ("",)):
        whole = pasted.whole and place == 0
        found = _part(part, asked, whole=whole)
        if not whole and found.diagnosis.effect is Effect.GRANTED:
            # A success that was cut out of a longer text may be a quotation.
            continue
        if not whole:
            found = replace(found, assumed=(_taken(pasted, part), *found.assumed))
        first = first or found
        if found.diagnosis.code is not Code.UNRECOGNIZED:
            first = found
            break
    explained = first or _part("", asked, whole=False)
    return replace(explained, assumed=(*notes, *explained.assumed))


def _asked(pasted: Pasted, given: Given) -> tuple[Observation, list[str]]:
    """The answer's surroundings, without its body, and a note for each that was taken from the paste."""
    notes = []
    endpoint = given.endpoint or pasted.endpoint
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
    return Observation(status, headers, surface=surface, model=model), notes


def _part(part: str, asked: Observation, *, whole: bool) -> Explained:
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


def _taken(pasted: Pasted, part: str) -> str:
    where = f" in {pasted.form}" if pasted.form else ""
    return f"that the answer begins{where} with {clean(part, 60)!r}"


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
    given = Given(
        _number(row.get("status")),
        plain_headers(row.get("headers")),
        model=model if isinstance(model, str) else None,
        endpoint=endpoint if isinstance(endpoint, str) else "",
    )
    raw = text.encode("utf-8", "surrogatepass")
    if given.status is None:
        return explain(raw, given).diagnosis
    observation, _ = _asked(Pasted((), whole=True), given)
    return diagnose(replace(observation, body=raw))
