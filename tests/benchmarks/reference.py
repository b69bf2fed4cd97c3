"""The reference distribution: how long it takes from a completed verification to the opening.

Only anecdotes are known, so this is an assumption, to be stated wherever it is used. Times are seconds.
"""

import math
from random import Random

HOUR = 3600.0
#: The time after which a simulated organization is given up.
HORIZON = 72 * HOUR

STATED = (
    "log-normal with median 15 min and 95th percentile 45 min for 90 %,"
    " 4 h to 48 h (log-uniform) for 8 %, never for 2 %"
)

_SOON, _LATE = 0.90, 0.08
_MEDIAN = 15 * 60.0
_SIGMA = math.log(45 / 15) / 1.6448536269514722  # the normal distribution's 95th percentile
_FROM, _SPREAD = 4 * HOUR, 48 / 4


def draw(random: Random) -> float | None:
    """The time of one opening; None for never."""
    kind = random.random()
    if kind < _SOON:
        return _MEDIAN * math.exp(_SIGMA * random.gauss(0, 1))
    if kind < _SOON + _LATE:
        return _FROM * _SPREAD ** random.random()
    return None


def opened_by(time: float) -> float:
    """The share of all that have opened by a time; what never opens keeps it below 1."""
    if time <= 0:
        return 0.0
    soon = 0.5 * (1 + math.erf(math.log(time / _MEDIAN) / (_SIGMA * math.sqrt(2))))
    late = min(max(math.log(time / _FROM) / math.log(_SPREAD), 0.0), 1.0)
    return _SOON * soon + _LATE * late
