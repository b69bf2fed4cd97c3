"""The best possible schedule: the least mean delay for a mean number of probes.

Time is cut into cells; a schedule is a set of cells' ends at which one probes. A probe is paid for when
the gate is still shut then, a delay when it opened since the probe before. With a price on probes the
best schedule is found exactly by dynamic programming over the last probe: the delay of what opens
between two probes i < j is t_j·(F_j - F_i) - (M_j - M_i), with F the share that has opened and M the
integral of t dF, so that the best probe before j is the least of lines -F_i·t + (V_i + M_i) at t_j.
Their slopes fall and the queries rise: the lower envelope of the lines answers all of them in linear
time. The price is then searched for at which the mean number of probes is the wanted one.
"""

import math
from array import array
from collections.abc import Sequence

from reference import HORIZON, opened_by


class Cells:
    """The distribution in cells of so many seconds, up to the horizon."""

    def __init__(self, cell: float) -> None:
        self.cell = cell
        self.count = int(HORIZON / cell)
        self.opened = array("d", (opened_by(i * cell) for i in range(self.count + 1)))
        self.moment = array("d", [0.0])
        for i in range(1, self.count + 1):
            share = self.opened[i] - self.opened[i - 1]
            self.moment.append(self.moment[-1] + (i - 0.5) * cell * share)

    def expected(self, ends: Sequence[int]) -> tuple[float, float]:
        """Mean probes before the opening, and mean delay of those that open, of probes at cells' ends."""
        probes = delay = 0.0
        before = 0
        for end in ends:
            share = self.opened[end] - self.opened[before]
            delay += end * self.cell * share - (self.moment[end] - self.moment[before])
            probes += 1 - self.opened[end]
            before = end
        return probes, delay / self.opened[-1]

    def best_at_price(self, price: float) -> list[int]:
        """The probes of least delay when each probe costs `price` seconds of it."""
        # the envelope: slope, height and probe of each line; `low` is the one that is least by now
        slopes, heights, ends = [0.0], [0.0], [0]
        low = 0
        before = array("l", [0])
        value = 0.0
        for j in range(1, self.count + 1):
            time, opened, moment = j * self.cell, self.opened[j], self.moment[j]
            while (
                low + 1 < len(slopes)
                and heights[low + 1] - time * slopes[low + 1] <= heights[low] - time * slopes[low]
            ):
                low += 1
            value = (
                time * opened - moment + price * (1 - opened) + heights[low] - time * slopes[low]
            )
            before.append(ends[low])
            height = value + moment
            if opened <= slopes[-1]:
                continue  # nothing opened in this cell: probing earlier was no worse
            while len(slopes) > low + 1 and (height - heights[-1]) * (slopes[-1] - slopes[-2]) <= (
                heights[-1] - heights[-2]
            ) * (opened - slopes[-1]):
                slopes.pop()
                heights.pop()
                ends.pop()
            slopes.append(opened)
            heights.append(height)
            ends.append(j)
        # the last probe: where the last has opened; later ones would find nothing
        end = next(i for i, share in enumerate(self.opened) if share >= self.opened[-1])
        chosen = []
        while end:
            chosen.append(end)
            end = before[end]
        return chosen[::-1]

    def best(self, probes: float) -> list[int]:
        """The probes of least mean delay with that mean number of probes (within 0.1 %)."""
        cheap, dear = 1e-4, 1e3
        ends: list[int] = []
        for _ in range(40):
            price = math.sqrt(cheap * dear)
            ends = self.best_at_price(price)
            found, _ = self.expected(ends)
            if abs(found - probes) < probes / 1000:
                break
            cheap, dear = (price, dear) if found > probes else (cheap, price)
        return ends

    def by_density(self, probes: float) -> float:
        """The mean delay that the optimal inspection density promises: the check on the above.

        With n(t) probes a second the cost is ∫ n·(1 - F) probes and ∫ f/(2n) delay, least for n
        proportional to the square root of the hazard f/(1 - F).
        """
        root = 0.0
        for i in range(1, self.count + 1):
            share = self.opened[i] - self.opened[i - 1]
            root += math.sqrt(share * (1 - self.opened[i]) * self.cell)
        return root * root / (2 * probes) / self.opened[-1]
