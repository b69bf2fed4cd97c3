"""Combine refusals, wordings, carriers, envelopes and accidents; judge what the diagnosis makes of each.

A combination depends on its half, the seed and its index alone. Each thing comes up in turn, so that a
few hundred combinations hold all of them.
"""

import importlib
import re
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from random import Random

from disguises import carrying, saying, succeeding, telling
from disguises.accidents import ACCIDENTS
from disguises.answers import Asked, Body, asked, observe
from disguises.carrying import Carrier
from disguises.saying import Refusal, Wording
from disguises.succeeding import Success
from disguises.telling import Envelope
from monitor.access.diagnosis import diagnose
from monitor.access.observation import Observation
from monitor.access.words import Code, Effect, Surface

#: How a text says that it was cut.
_CUT = re.compile(rb'"(?:length|incomplete)"')
TEXT_AND_PICTURES = tuple(surface for surface in Surface if surface is not Surface.MODELS)


@dataclass(frozen=True)
class Half:
    """What may be combined."""

    refusals: tuple[Refusal, ...] = ()
    wordings: tuple[Wording, ...] = ()
    carriers: tuple[Carrier, ...] = ()
    envelopes: tuple[Envelope, ...] = ()
    successes: tuple[Success, ...] = ()

    def __add__(self, other: "Half") -> "Half":
        return Half(
            self.refusals + other.refusals,
            self.wordings + other.wordings,
            self.carriers + other.carriers,
            self.envelopes + other.envelopes,
            self.successes + other.successes,
        )


def seen() -> Half:
    """The half that was open while the rules were written."""
    return Half(saying.refusals("seen"), saying.SEEN, carrying.SEEN, telling.SEEN, succeeding.SEEN)


def held_out() -> Half:
    """The other half."""
    say, carry, tell, succeed = (
        importlib.import_module(f"disguises.{name}_held_out").HELD_OUT
        for name in ("saying", "carrying", "telling", "succeeding")
    )
    return Half(saying.refusals("held_out"), say, carry, tell, succeed)


@dataclass(frozen=True)
class Combination:
    """One answer, and what must not or must be said of it."""

    name: str
    observation: Observation
    fault: Callable[[Code, Effect], str]


def _not_granted(
    refusal: Refusal, *, gated: bool, cut: bool, doubtful: bool = False
) -> Callable[[Code, Effect], str]:
    """The fault of calling a refusal so, empty where there is none."""

    def fault(code: Code, effect: Effect) -> str:
        if effect is Effect.GRANTED:
            return "" if doubtful else "granted"
        if effect is Effect.LOCKED:
            return "locked"
        if gated and effect is not Effect.GATED:
            return "gate missed"
        # "Verify your organization's IP allowlist" can be cut behind "organization"
        another = refusal.code != Code.VERIFICATION_REQUIRED and not cut
        if effect is Effect.GATED and another:
            return "gated by another's refusal"
        return ""

    return fault


def _granted(code: Code, effect: Effect) -> str:
    return "" if effect is Effect.GRANTED else "a success not granted"


def _of(refusal: Refusal, ask: Asked) -> Refusal:
    """The refusal with the model of this probe in its text."""
    return replace(refusal, text=refusal.text.replace("{model}", ask.model))


def disguised(half: Half, index: int, seed: int) -> Combination:
    """A refusal told by a success."""
    chance = Random(f"disguised:{seed}:{index}")
    carrier = half.carriers[index % len(half.carriers)]
    ask = asked(chance.choice(carrier.surfaces), chance)
    refusal = _of(half.refusals[(index // 3) % len(half.refusals)], ask)
    wording = chance.choice(half.wordings)
    accident = chance.choice(sorted(ACCIDENTS)) if chance.random() < 0.7 else "none"
    pasted = chance.random() < 0.1
    text = ACCIDENTS[accident](wording.say(refusal, chance), chance)
    body = carrier.carry(ask, text, chance)
    # No list of words knows every language. Where one in English letters says that it was cut, or the
    # word stands beside it, or nothing is known of what was asked, nothing shows that it refuses.
    open_end = carrier.answered or pasted or _CUT.search(body.data) is not None
    doubtful = refusal.foreign and open_end
    gated = refusal.gate and wording.error and accident == "none" and not carrier.hides
    paste = ", pasted" if pasted else ""
    name = f"{refusal.id} / {wording.name} / {accident} / {carrier.name} on {ask.surface}{paste}"
    fault = _not_granted(refusal, gated=gated, cut=accident == "cut", doubtful=doubtful)
    return Combination(name, observe(ask, body, pasted=pasted), fault)


def told(half: Half, index: int, seed: int) -> Combination:
    """A refusal told as an error."""
    chance = Random(f"told:{seed}:{index}")
    envelope = half.envelopes[index % len(half.envelopes)]
    ask = asked(chance.choice(TEXT_AND_PICTURES), chance)
    refusal = _of(half.refusals[(index // 2) % len(half.refusals)], ask)
    accident = chance.choice(sorted(ACCIDENTS)) if chance.random() < 0.7 else "none"
    text = ACCIDENTS[accident](refusal.text, chance)
    body = envelope.tell(ask, replace(refusal, text=text), chance)
    pasted = chance.random() < 0.1
    gated = refusal.gate and envelope.gated and accident != "cut"
    name = f"{refusal.id} / {accident} / {envelope.name} as {body.status} on {ask.surface}"
    fault = _not_granted(refusal, gated=gated, cut=accident == "cut")
    return Combination(name, observe(ask, body, pasted=pasted), fault)


def served(half: Half, index: int, seed: int) -> Combination:
    """A real success."""
    chance = Random(f"served:{seed}:{index}")
    success = half.successes[index % len(half.successes)]
    ask = asked(chance.choice(success.surfaces), chance)
    body: Body = success.make(ask, chance)
    return Combination(f"{success.name} on {ask.surface}", observe(ask, body), _granted)


#: Of ten combinations, six are disguised, two told, two served.
KINDS = (
    disguised,
    disguised,
    told,
    disguised,
    served,
    disguised,
    disguised,
    told,
    disguised,
    served,
)


def combination(half: Half, index: int, seed: int = 1) -> Combination:
    """The combination of this index."""
    turn, kind = divmod(index, len(KINDS))
    make = KINDS[kind]
    # which of its kind it is: each kind counts its own combinations
    before = KINDS[:kind].count(make)
    return make(half, turn * KINDS.count(make) + before, seed)


@dataclass
class Found:
    """What a run found: faults by kind, with the index and the name of each."""

    combinations: int = 0
    kinds: Counter[str] = field(default_factory=Counter)
    faults: list[tuple[str, int, str]] = field(default_factory=list)


def run(half: Half, indexes: Iterable[int], seed: int = 1) -> Found:
    """Diagnose each combination once."""
    found = Found()
    for index in indexes:
        case = combination(half, index, seed)
        diagnosis = diagnose(case.observation)
        found.combinations += 1
        found.kinds[KINDS[index % len(KINDS)].__name__] += 1
        if fault := case.fault(diagnosis.code, diagnosis.effect):
            found.faults.append(
                (fault, index, f"{case.name} -> {diagnosis.code} ({diagnosis.rule})")
            )
    return found
