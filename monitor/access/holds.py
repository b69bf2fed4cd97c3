"""The terms of spending: a price that is held, what an answer costs, what becomes of doubts.

See `spending` for how they are kept. Money is in US dollars, days are UTC.
"""

from dataclasses import dataclass
from datetime import date
from enum import Enum, auto

from monitor.access.words import Code, Effect

#: Reserved for a probe whose price is not known: a high guess until its usage is seen.
UNKNOWN_PRICE = 0.02

#: Errors of a server or an edge that may come after the work was done, and is billed.
DOUBTFUL = frozenset({408, 499, 502, 504, 520, 524})


class Need(Enum):
    """What a probe is for: it decides how much must be left after it for the targets that wait.

    That is so many `prices` of theirs, and of a month at most this `share`.
    """

    #: a target waits for its opening
    WAITING = 2, 0.5
    #: the same, and the server was just heard from: all that is left may be used
    ANSWERED = 0, 0.0
    #: an open target is probed again
    RECHECK = 3, 0.75

    def __init__(self, prices: int, share: float) -> None:
        self.prices = prices
        self.share = share


class Fate(Enum):
    """What an answer does to the doubts of its target."""

    KEPT = auto()
    GIVEN_BACK = auto()
    BOOKED = auto()


@dataclass(frozen=True, slots=True)
class Reservation:
    """A price that is held: for which account, and on which day its probe was sent.

    An account stands for one target as it is: with another route or organization it is another one.
    """

    id: int
    account: str
    key: str
    day: date
    usd: float


@dataclass(frozen=True, slots=True)
class Spend:
    """What is added to a key's spending on a day. `probes` counts those that cost something."""

    key: str
    day: date
    usd: float
    probes: int = 0
    estimated: bool = False


@dataclass(frozen=True, slots=True)
class Posting:
    """What is to be written of the ledger, together: what is booked, newly held, and held no more."""

    spends: tuple[Spend, ...] = ()
    held: tuple[Reservation, ...] = ()
    freed: tuple[int, ...] = ()
    #: whether there is room or not
    over: bool = False

    def __bool__(self) -> bool:
        return bool(self.spends or self.held or self.freed)


NOTHING = Posting()


@dataclass(frozen=True, slots=True)
class Settled:
    """What an answer cost, what is to be written of that, and whether a bound cut what it claimed."""

    usd: float
    posting: Posting
    cut: bool = False


def cost_of(
    code: Code, status: int | None, *, sent: bool, billed: float | None, price: float
) -> float | None:
    """What a full probe's answer costs in US dollars; None when that is in doubt.

    `billed` is from the usage of a 2xx: what it says was made is paid for, whatever else stands there.
    Otherwise a refusal costs nothing, nor does an error answer of a server or an edge, but for those of
    which it may come after the work was done.
    """
    if billed is not None:
        return billed
    if code.effect is Effect.GRANTED:
        return price
    if not sent or code.effect is not Effect.INCONCLUSIVE:
        return 0.0
    if status is None:  # nothing came back, or not all of it
        return None
    return None if 200 <= status < 300 or status in DOUBTFUL else 0.0


def fate_of(code: Code, *, granted_before: bool) -> Fate:
    """What an answer does to the doubts of its target that came before it.

    Locked is a refusal like gated: the gate was shut before and is shut now.
    """
    if not code.effect.conclusive:
        return Fate.KEPT
    if code.effect is Effect.GRANTED or granted_before:
        return Fate.BOOKED
    return Fate.GIVEN_BACK
