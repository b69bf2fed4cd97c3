"""What a scenario says, as values. `scenario_file` makes them from TOML; a test may also make them directly.

All times are seconds of scenario time: since the start, before `time_scale` divides them.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from math import inf

from monitor.simulator.simulated_models import BUILT_IN, SimulatedModel, SimulatedSurface

DIRECT = "direct"
PROVIDER = "provider"

#: Where each contract's keys are taken, unless a key says otherwise.
BASES = {DIRECT: "/v1", PROVIDER: "/relay/v1"}


class ScenarioError(ValueError):
    """A scenario that cannot be played: where, what was found, and what to do."""

    def __init__(self, place: str, found: str, advice: str) -> None:
        super().__init__(f"{place}: {found}; {advice}")
        self.place = place
        self.found = found
        self.advice = advice


@dataclass(frozen=True, slots=True)
class Timeline:
    """Half-open intervals [from, to) in ascending order."""

    spans: tuple[tuple[float, float], ...] = ()

    def __contains__(self, at: float) -> bool:
        return any(begin <= at < end for begin, end in self.spans)


ALWAYS = Timeline(((0.0, inf),))
NEVER = Timeline()


@dataclass(frozen=True, slots=True)
class SimulatedGate:
    """When a gated capability is open, and when it is locked. Locked wins over open."""

    open: Timeline = NEVER
    locked: Timeline = NEVER
    #: The model a text answer claims to come from: a relay that serves another than asked.
    answers_as: str | None = None


@dataclass(frozen=True, slots=True)
class Matching:
    """Which requests something applies to; empty means all."""

    between: Timeline = ALWAYS
    models: frozenset[str] = frozenset()
    surfaces: frozenset[SimulatedSurface] = frozenset()

    def matches(self, at: float, model: str, surface: SimulatedSurface | None) -> bool:
        """Whether a request at this time, for this model on this surface, is meant."""
        return (
            at in self.between
            and (not self.models or model in self.models)
            and (not self.surfaces or surface in self.surfaces)
        )


@dataclass(frozen=True, slots=True)
class Block:
    """A refusal that has nothing to do with the gate: a name of `refusals.REFUSALS`."""

    what: str
    when: Matching = Matching()


@dataclass(frozen=True, slots=True)
class Fault:
    """A technical failure: a name of `faults.FAULTS`."""

    what: str
    when: Matching = Matching()
    #: Only the first so many matching requests; None for all of them.
    first: int | None = None
    probability: float = 1.0
    #: How long it takes: the delay of `slow`, the silence of `timeout`.
    seconds: float = 1.0
    #: What the server asks to wait; None sends no header.
    retry_after: float | None = None


@dataclass(frozen=True, slots=True)
class SimulatedKey:
    """One secret and everything that happens to it."""

    name: str
    secret: str = field(repr=False)
    organization: str
    slug: str
    projects: tuple[str, ...]
    contract: str = DIRECT
    base: str = BASES[DIRECT]
    gate: SimulatedGate = SimulatedGate()
    #: By model and surface; the surface None stands for all gated surfaces of the model.
    capabilities: Mapping[tuple[str, SimulatedSurface | None], SimulatedGate] = field(
        default_factory=dict
    )
    blocks: tuple[Block, ...] = ()
    faults: tuple[Fault, ...] = ()
    #: Models that are missing from the list although calls may work.
    unlisted: frozenset[str] = frozenset()
    #: Calls of image surfaces a minute of the whole organization, failed ones included; None: no limit.
    images_per_minute: int | None = None

    def gate_of(self, model: SimulatedModel, surface: SimulatedSurface) -> SimulatedGate | None:
        """The gate before a capability, or None where there is none: not gated and not scripted."""
        own = self.capabilities.get((model.name, surface))
        if own is not None:
            return own
        if surface not in model.gated:
            return None
        return self.capabilities.get((model.name, None), self.gate)


ALLOW_LIST = "allow_list"
DENY_LIST = "deny_list"


@dataclass(frozen=True, slots=True)
class Admin:
    """An admin key, and what it can read of every project of its organization."""

    secret: str = field(repr=False)
    organization: str
    #: `allow_list` or `deny_list`; None where the projects have no model permissions.
    mode: str | None = None
    models: tuple[str, ...] = ()
    #: The image rate limit that is shown; 0 for a tier without access.
    images_per_minute: int = 5

    def permits(self, model: str) -> bool:
        """Whether the projects may use the model."""
        return self.mode is None or (model in self.models) is (self.mode == ALLOW_LIST)


#: The day on which shutdown dates are judged unless a scenario names one: fixed, so that it plays alike
#: on any day.
TODAY = date(2026, 11, 20)


@dataclass(frozen=True, slots=True)
class Scenario:
    """A name, the keys, and how fast time runs."""

    name: str
    keys: tuple[SimulatedKey, ...]
    about: str = ""
    #: Divides every duration: at 10, what is written as 60 s happens after 6 s.
    time_scale: float = 1.0
    seed: int = 0
    today: date = TODAY
    models: Mapping[str, SimulatedModel] = field(default_factory=lambda: BUILT_IN)
    admins: tuple[Admin, ...] = ()
