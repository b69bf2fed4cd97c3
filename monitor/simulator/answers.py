"""What is sent back: the answer as a value, its headers, and the envelope of each contract."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from itertools import count
from math import ceil
from uuid import uuid4

from monitor.simulator.asking import Ask
from monitor.simulator.refusals import Refusal, Stage
from monitor.simulator.scenario import PROVIDER, SimulatedKey
from monitor.simulator.simulated_models import IMAGE_SURFACES


class Ending(Enum):
    """How the connection ends."""

    COMPLETE = "complete"
    #: Half of the body, then a reset.
    CUT = "cut"
    #: A reset before the first byte.
    RESET = "reset"
    #: Nothing for `Answer.silence` seconds, then a reset.
    SILENCE = "silence"
    #: The body byte by byte, `Answer.silence` seconds between two.
    DRIP = "drip"
    #: The body again and again, until the client leaves.
    ENDLESS = "endless"
    #: `Answer.before` and the body as they are, and no HTTP around them.
    RAW = "raw"
    #: The same, with the body again and again.
    FLOOD = "flood"


@dataclass(frozen=True, slots=True)
class Charge:
    """What one answer costs for one model, in billionths of a dollar."""

    model: str
    nano_dollars: int


@dataclass(slots=True)
class Answer:
    """One answer; `what` is its name in the ledger, `frames` the events of a stream."""

    what: str
    status: int
    body: bytes = b""
    frames: tuple[bytes, ...] = ()
    content_type: str = "application/json"
    headers: dict[str, str] = field(default_factory=dict)
    charges: tuple[Charge, ...] = ()
    ending: Ending = Ending.COMPLETE
    #: What goes before everything else, as it is: interim answers, or the beginning of no HTTP.
    before: bytes = b""
    #: Seconds of scenario time before the first byte, and of silence: before the end, or between bytes.
    delay: float = 0.0
    silence: float = 0.0
    #: Seconds of scenario time the client is asked to wait.
    retry_after: float | None = None
    refusal: Refusal | None = None


#: Requests a minute that are announced where there is no limit.
_UNLIMITED = 30_000

#: Make each `x-request-id` unique among all servers.
_numbers = count(1)
_prefix = uuid4().hex[:16]


def encode(value: object) -> bytes:
    """Compact JSON; half of a surrogate pair, which a client may send, becomes a question mark."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode(errors="replace")


def refused(ask: Ask, key: SimulatedKey | None, refusal: Refusal) -> Answer:
    """The error in the envelope of the key's contract."""
    provider = _relayed(ask, key)
    headers = headers_for(ask, key, early=refusal.stage <= Stage.ORGANIZATION)
    error = error_of(refusal, provider=provider)
    # Relays tell a gate's refusal as an ordinary bad request.
    status = 400 if provider and refusal.stage is Stage.GATE else refusal.status
    body = encode({"error": error})
    wait = refusal.retry_after
    return Answer(refusal.what, status, body, headers=headers, refusal=refusal, retry_after=wait)


def _relayed(ask: Ask, key: SimulatedKey | None) -> bool:
    """Whether a relay answers; for a key that nobody has, the path tells."""
    return ask.base != "/v1" if key is None else key.contract == PROVIDER


def error_of(refusal: Refusal, *, provider: bool) -> Mapping[str, str | None]:
    """The error object; a relay empties what is null and adds a translation."""
    error = refusal.error()
    if not provider:
        return error
    plain = {name: value or "" for name, value in error.items()}
    message = f"{refusal.message} (request id: {uuid4().hex[:20]})"
    return plain | {"message": message, "localized_message": "Unknown error"}


def retry_after(seconds: float) -> dict[str, str]:
    """Both headers of real seconds: whole ones rounded up, and milliseconds."""
    return {"retry-after": str(ceil(seconds)), "retry-after-ms": str(ceil(seconds * 1000))}


def headers_for(ask: Ask, key: SimulatedKey | None, *, early: bool = False) -> dict[str, str]:
    """The headers of every answer; an early refusal does not know the organization yet."""
    if _relayed(ask, key):
        return {"x-oneapi-request-id": uuid4().hex, "server": "nginx"}
    identity = f"req_{_prefix}{next(_numbers):016x}"
    headers = {
        "x-request-id": identity,
        "cf-ray": f"{identity[-16:]}-SIM",
        "server": "cloudflare",
        "openai-version": "2020-10-01",
    }
    if key is not None and not early:
        headers |= {
            "openai-organization": key.slug,
            "openai-project": ask.project or key.projects[0],
            "openai-processing-ms": "12",
        }
    return headers


def limits(ask: Ask, key: SimulatedKey, used: int) -> Mapping[str, str]:
    """The rate limits that a granted answer announces; a relay announces none.

    Where the scenario sets no limit a high one is told, for a client may hold itself to it.
    """
    if key.contract == PROVIDER:
        return {}
    limit = key.images_per_minute if ask.surface in IMAGE_SURFACES else None
    limit = limit or _UNLIMITED
    return {
        "x-ratelimit-limit-requests": str(limit),
        "x-ratelimit-remaining-requests": str(limit - used),
        "x-ratelimit-reset-requests": f"{60 / limit:.3g}s",
    }
