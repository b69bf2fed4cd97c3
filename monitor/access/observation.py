"""What came back from a probe, and what it means: plain values without behaviour."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from monitor.access.masking import mask_patterns
from monitor.access.words import Code, Effect, Gate, Owner, ProbeKind, Surface

#: Bytes of a text answer that are kept. A refusal is a few hundred; a longer one is cut and marked.
BODY_CAP = 64 * 1024


class Failure(StrEnum):
    """Why there was no answer at all."""

    NAME_RESOLUTION = "name_resolution"
    CONNECT = "connect"
    REFUSED = "refused"
    CONNECT_TIMEOUT = "connect_timeout"
    TLS = "tls"
    CERTIFICATE = "certificate"
    NO_TLS = "no_tls"
    TIMEOUT = "timeout"
    CUT = "cut"
    PROTOCOL = "protocol"
    HEADERS = "headers"
    PROXY = "proxy"
    TRUST = "trust"


@dataclass(frozen=True, slots=True)
class Timings:
    """Milliseconds on the monotonic clock, as far as the transport tells."""

    total: float = 0.0
    connect: float | None = None
    tls: float | None = None
    first_byte: float | None = None
    reused: bool | None = None


@dataclass(frozen=True, slots=True)
class Image:
    """An image of an answer by its own header: sides in pixels, None where the header does not tell.

    What begins as an image and then is none has sides of 0.
    """

    format: str
    width: int | None = None
    height: int | None = None


@dataclass(frozen=True, slots=True)
class Observation:
    """What came back: status, headers that matter (lower-case names), capped body, or the failure.

    `surface` and `model` are what was asked for; None where an answer was pasted by a person.
    """

    status: int | None
    headers: Mapping[str, str] = field(default_factory=dict)
    #: never in a text of ours: it may hold the key, in whatever form
    body: bytes = field(default=b"", repr=False)
    truncated: bool = False
    failure: Failure | None = None
    failure_text: str = ""
    timings: Timings = Timings()
    kind: ProbeKind = ProbeKind.FULL
    surface: Surface | None = None
    model: str | None = None
    #: True once the request may have reached the server: a cut connection may still be billed.
    sent: bool = True
    #: The joined word that this probe asked for, in lower case; empty where none was.
    word: str = ""
    #: The question that it was asked with; empty where none was.
    question: str = ""
    #: The image of the answer, read before the body was made small; None where there was none.
    image: Image | None = None
    #: The host of the route; a link to it needs no TLS to count. Empty where it is not known.
    host: str = ""
    #: hides the secret it was asked with in words of the server: what is shown of them has gone through it
    mask: Callable[[str], str] = field(default=mask_patterns, repr=False, compare=False)


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """What an answer means. `message` is the server's own words: capped, control characters removed."""

    code: Code
    owner: Owner
    rule: str
    gate: Gate | None = None
    message: str = ""
    status: int | None = None
    request_id: str | None = None
    #: Seconds the server asks to wait, from its headers or its words.
    retry_after: float | None = None
    #: A complete answer with nothing suspicious in it that does not say the word our probe asked for, or
    #: the server's word that the model's thoughts left no token for it.
    unproven: bool = False

    @property
    def effect(self) -> Effect:
        """What it does to the state."""
        return self.code.effect
