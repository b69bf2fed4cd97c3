"""What a scenario says, as values. `scenario_file` reads them from TOML, with the known words as the context.

All times are seconds of scenario time: since the start, before `time_scale` divides them.
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from datetime import date
from difflib import get_close_matches
from math import inf
from typing import Annotated, Any, Literal, Self, cast

from pydantic import (
    AfterValidator,
    BaseModel,
    Field,
    PlainValidator,
    Strict,
    ValidationInfo,
    model_validator,
)
from pydantic_core import PydanticCustomError

from monitor.simulator.simulated_models import BUILT_IN, SimulatedModel, SimulatedSurface

DIRECT = "direct"
PROVIDER = "provider"

#: Where each contract's keys are taken, unless a key says otherwise.
BASES = {DIRECT: "/v1", PROVIDER: "/relay/v1"}

#: The longest delay or silence a fault may state, in seconds: waits are bounded.
LONGEST_FAULT = 600

#: No interval begins later: a greater number is a mistake.
_LATEST = 10**12


@dataclass(frozen=True, slots=True)
class Timeline:
    """Half-open intervals [from, to) in ascending order."""

    spans: tuple[tuple[float, float], ...] = ()

    def __contains__(self, at: float) -> bool:
        return any(begin <= at < end for begin, end in self.spans)


ALWAYS = Timeline(((0.0, inf),))
NEVER = Timeline()


def nearest(word: str, known: Collection[str]) -> str:
    """What to write instead of a word that is not known: the nearest one, or any of them."""
    near = get_close_matches(word, known, 1)
    return f"did you mean {near[0]}?" if near else f"give one of: {', '.join(sorted(known))}"


def _refused(advice: str, **context: str) -> PydanticCustomError:
    return PydanticCustomError("refused", "{advice}", {"advice": advice, **context})


def _that(holds: Callable[[str], bool], advice: str) -> AfterValidator:
    """A text of which this holds."""

    def check(value: str) -> str:
        if not holds(value):
            raise _refused(advice)
        return value

    return AfterValidator(check)


def _context(info: ValidationInfo) -> dict[str, Any]:
    """The known words by their kind: `models`, `blocks` and `faults`."""
    return cast("dict[str, Any]", info.context)


def _known(kind: str) -> AfterValidator:
    """A word of this kind."""

    def check(word: str, info: ValidationInfo) -> str:
        known = _context(info)[kind]
        if word not in known:
            raise _refused(nearest(word, known))
        return word

    return AfterValidator(check)


def _timeline(value: Any) -> Timeline:
    """`"always"`, `"never"`, a number of seconds from which on, or a list of intervals."""
    if value in ("always", "never"):
        return ALWAYS if value == "always" else NEVER
    spans = value if isinstance(value, list) else [[value, inf]]
    last = 0.0
    for span in spans:
        if not (
            isinstance(span, list)
            and len(span) == 2
            and all(type(second) in (int, float) for second in span)
        ):
            raise _refused(
                'give "always", "never", the second it begins, or intervals such as [[9, 10], [12, inf]]'
            )
        if not last <= span[0] < min(span[1], _LATEST):
            raise _refused("give intervals from 0 on, in ascending order")
        last = span[1]
    return Timeline(tuple((begin, end) for begin, end in spans))


def _capability(text: str, info: ValidationInfo) -> tuple[str, SimulatedSurface | None]:
    """`MODEL` or `MODEL:SURFACE`."""
    models = _context(info)["models"]
    if text in models:
        return text, None
    model, _, surface = text.rpartition(":")
    if model not in models:
        raise _refused(nearest(model or text, models))
    known = set(SimulatedSurface) - {SimulatedSurface.MODELS}
    if surface not in known:
        raise _refused(nearest(surface, known))
    return model, SimulatedSurface(surface)


# Nothing is converted but lists to tuples and sets, and whole numbers to others.
_Text = Annotated[str, Strict(), Field(min_length=1)]
_Whole = Annotated[int, Strict()]
_Number = Annotated[float, Strict(), Field(allow_inf_nan=False)]
_Seconds = Annotated[_Number, Field(ge=0, le=LONGEST_FAULT)]
_Day = Annotated[date, Strict()]
_Times = Annotated[Timeline, PlainValidator(_timeline)]
_Model = Annotated[_Text, _known("models")]
_Secret = Annotated[
    _Text,
    Field(repr=False),
    _that(
        lambda secret: secret.isascii() and secret.isprintable() and " " not in secret,
        "give printable ASCII without spaces",
    ),
]


class ScenarioTable(BaseModel, frozen=True):
    """A table of a scenario; a word that is not known is an error, never ignored."""

    @model_validator(mode="before")
    @classmethod
    def _all_known(cls, table: Any) -> Any:
        for word in table if isinstance(table, dict) else ():
            if word not in cls.model_fields:
                raise _refused(nearest(word, cls.model_fields), unknown=word)
        return table


class SimulatedGate(ScenarioTable, frozen=True):
    """When a gated capability is open, and when it is locked. Locked wins over open."""

    open: _Times = NEVER
    locked: _Times = NEVER
    #: The model a text answer claims to come from: a relay that serves another than asked.
    answers_as: _Text | None = None


class Matching(ScenarioTable, frozen=True):
    """Which requests something applies to; empty means all."""

    between: _Times = ALWAYS
    models: frozenset[_Model] = frozenset()
    surfaces: frozenset[SimulatedSurface] = frozenset()

    def matches(self, at: float, model: str, surface: SimulatedSurface | None) -> bool:
        """Whether a request at this time, for this model on this surface, is meant."""
        return (
            at in self.between
            and (not self.models or model in self.models)
            and (not self.surfaces or surface in self.surfaces)
        )


class Block(Matching, frozen=True):
    """A refusal that has nothing to do with the gate: a name of `refusals.REFUSALS`."""

    what: Annotated[_Text, _known("blocks")]


class Fault(Matching, frozen=True):
    """A technical failure: a name of `faults.FAULTS`."""

    what: Annotated[_Text, _known("faults")]
    #: Only the first so many matching requests; None for all of them.
    first: Annotated[_Whole, Field(ge=1)] | None = None
    probability: Annotated[_Number, Field(ge=0, le=1)] = 1.0
    #: How long it takes: the delay of `slow`, the silence of `timeout`.
    seconds: _Seconds = 1.0
    #: What the server asks to wait; None sends no header.
    retry_after: _Seconds | None = None


class SimulatedKey(ScenarioTable, frozen=True):
    """One secret and everything that happens to it."""

    name: _Text
    secret: _Secret
    organization: _Text = Field(default_factory=lambda known: f"org-{known['name']}")
    slug: _Text = Field(default_factory=lambda known: f"user-{known['name']}")
    projects: Annotated[tuple[_Text, ...], Field(min_length=1)] = Field(
        default_factory=lambda known: (f"proj_{known['name']}",)
    )
    contract: Literal["direct", "provider"] = "direct"
    base: Annotated[
        _Text,
        _that(
            lambda base: base.startswith("/") and not base.endswith("/"),
            "give a path such as /relay/v1",
        ),
    ] = Field(default_factory=lambda known: BASES[known["contract"]])
    gate: SimulatedGate = SimulatedGate()
    #: By model and surface; the surface None stands for all gated surfaces of the model.
    capabilities: dict[
        Annotated[tuple[str, SimulatedSurface | None], PlainValidator(_capability)], SimulatedGate
    ] = {}
    blocks: tuple[Block, ...] = ()
    faults: tuple[Fault, ...] = ()
    #: Models that are missing from the list although calls may work.
    unlisted: frozenset[_Text] = frozenset()
    #: Calls of image surfaces a minute of the whole organization, failed ones included; None: no limit.
    images_per_minute: Annotated[_Whole, Field(ge=1)] | None = None

    def gate_of(self, model: SimulatedModel, surface: SimulatedSurface) -> SimulatedGate | None:
        """The gate before a capability, or None where there is none: not gated and not scripted."""
        own = self.capabilities.get((model.name, surface))
        if own is not None:
            return own
        if surface not in model.gated:
            return None
        return self.capabilities.get((model.name, None), self.gate)


class Admin(ScenarioTable, frozen=True):
    """An admin key, and what it can read of every project of its organization."""

    secret: Annotated[_Text, Field(repr=False)]
    organization: _Text
    #: None where the projects have no model permissions.
    mode: Literal["allow_list", "deny_list"] | None = None
    models: tuple[_Text, ...] = ()
    #: The image rate limit that is shown; 0 for a tier without access.
    images_per_minute: _Whole = 5

    def permits(self, model: str) -> bool:
        """Whether the projects may use the model."""
        return self.mode is None or (model in self.models) is (self.mode == "allow_list")


class OwnModel(ScenarioTable, frozen=True):
    """A model of the scenario's own, like another but for its name and shutdown date."""

    name: _Text
    like: _Model
    shutdown: _Day | None = None

    @model_validator(mode="after")
    def _join(self, info: ValidationInfo) -> Self:
        """The keys below may name it, and the next model may be like it."""
        models = _context(info)["models"]
        models[self.name] = replace(
            models[self.like], name=self.name, snapshot=self.name, shutdown=self.shutdown
        )
        return self


class OwnModels(BaseModel, frozen=True):
    """What is read of a scenario first: reading it adds the models to the context's."""

    models: tuple[OwnModel, ...] = ()


class Scenario(ScenarioTable, frozen=True):
    """A name, the keys, and how fast time runs."""

    name: _Text
    about: _Text = ""
    #: Divides every duration: at 10, what is written as 60 s happens after 6 s.
    time_scale: Annotated[_Number, Field(ge=0.001, le=1_000_000)] = 1.0
    seed: _Whole = 0
    #: The day on which shutdown dates are judged: fixed, so that a scenario plays alike on any day.
    today: _Day = date(2026, 11, 20)
    models: Mapping[str, SimulatedModel] = BUILT_IN
    keys: tuple[SimulatedKey, ...] = ()
    admins: tuple[Admin, ...] = ()
