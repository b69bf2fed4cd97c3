"""How soon an opening is noticed, and with how many probes: ours against what people do otherwise.

A simulation without any network over the reference distribution. Ends with status 1 when a claim does
not hold.

    python tests/benchmarks/bench_cadence.py [--quick] [--openings 10000] [--seed 20261120]
"""

import argparse
import statistics
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

from best_schedule import Cells
from policies import Outcome, Policy, at_times, copied_loop, every, ours
from reference import HORIZON, HOUR, STATED, draw

from monitor.access.limits import Cadence
from monitor.access.target import Capability
from monitor.access.words import Surface
from monitor.catalog import builtin, open_price

SEED = 20261120


@dataclass(frozen=True, slots=True)
class Row:
    """One policy's figures over all openings; delays are seconds."""

    name: str
    missed: int
    mean: float
    median: float
    p95: float
    p99: float
    probes: float
    cost: float


def row_of(name: str, outcomes: Sequence[Outcome], come: int, price: float) -> Row:
    """The figures of a policy's outcomes; `come` openings came within the horizon."""
    delays = [one.delay for one in outcomes if one.delay is not None]
    cuts = statistics.quantiles(delays, n=100, method="inclusive")
    return Row(
        name,
        come - len(delays),
        statistics.fmean(delays),
        statistics.median(delays),
        cuts[94],
        cuts[98],
        statistics.fmean(one.before for one in outcomes),
        price * statistics.fmean(one.granted for one in outcomes),
    )


@dataclass(frozen=True, slots=True)
class Result:
    """All rows, and what the density promises of the best."""

    rows: dict[str, Row]
    by_density: float

    @property
    def ratio(self) -> float:
        """Our mean delay by the best possible one at our mean number of probes."""
        return self.rows["ours"].mean / self.rows["best"].mean


def compare(openings: int, seed: int, cell: float) -> Result:
    """Show the same openings to every policy, and to the best schedule in cells of so many seconds."""
    random = Random(seed)
    times = [draw(random) for _ in range(openings)]
    come = sum(one is not None for one in times)
    price = open_price(builtin(), Capability("gpt-image-2", Surface.IMAGES)) or 0.0
    cadence = Cadence()

    def measured(name: str, policy: Policy) -> Row:
        outcomes = [policy(opening, number) for number, opening in enumerate(times)]
        return row_of(name, outcomes, come, price)

    rows = {
        "loop": measured("copied loop: 20 tries, 60 s apart", copied_loop),
        "minute": measured("every 60 s for ever", every(60, seed + 1)),
        "five": measured("every 5 min for ever", every(300, seed + 2)),
        "untold": measured("ours, nobody declared anything", ours(cadence, declared=False)),
        "ours": measured("ours", ours(cadence, declared=True)),
    }
    cells = Cells(cell)
    ends = [end * cell for end in cells.best(rows["ours"].probes)]
    rows["best"] = measured("best possible, as many probes", lambda at, _: at_times(ends, at))
    return Result(rows, cells.by_density(rows["ours"].probes))


def claims(result: Result) -> list[tuple[bool, str]]:
    """What must hold, and whether it does."""
    mine, minute = result.rows["ours"], result.rows["minute"]
    return [
        (mine.missed == 0, f"openings never noticed within the horizon: {mine.missed}"),
        (
            mine.median <= minute.median / 2 and mine.probes < minute.probes,
            (
                f"median delay {mine.median:.1f} s is at most half of {minute.median:.1f} s (every 60 s),"
                f" with {mine.probes:.1f} probes instead of {minute.probes:.1f}"
            ),
        ),
        (
            result.ratio <= 1.3,
            (
                f"mean delay {mine.mean:.1f} s is {result.ratio:.2f} times the best possible"
                f" {result.rows['best'].mean:.1f} s with as many probes (at most 1.3)"
            ),
        ),
    ]


def show(result: Result, openings: int, seed: int) -> None:
    """Print the table and the claims."""
    print(
        f"{openings:,} simulated openings, seed {seed}; horizon {HORIZON / HOUR:.0f} h; no network"
    )
    print(f"reference distribution (an assumption): {STATED}")
    print(
        "Delay: from the opening to the alert (the first granted answer). Openings that never come count\n"
        "in the probes, up to the horizon, and not in the delay; what a policy misses is not in its delay.\n"
        "Probes: before the opening. Cost: US dollars for the granted ones; ours pays for a confirmation.\n"
    )
    print(
        f"{'policy':<36}{'missed':>8}{'mean':>9}{'median':>9}{'95 %':>9}{'99 %':>9}{'probes':>9}{'cost':>9}"
    )
    for row in result.rows.values():
        print(
            f"{row.name:<36}{row.missed:>8,}{row.mean:>7.1f} s{row.median:>7.1f} s{row.p95:>7.0f} s"
            f"{row.p99:>7.0f} s{row.probes:>9.1f}{row.cost:>9.5f}"
        )
    best = result.rows["best"].mean
    print(
        f"\nours / best possible: {result.ratio:.3f}   (best: dynamic programming; the optimal inspection"
        f"\ndensity, proportional to the square root of the hazard, promises {result.by_density:.1f} s"
        f" where it has {best:.1f} s)\n"
    )
    for holds, claim in claims(result):
        print(f"{'ok  ' if holds else 'FAIL'} {claim}")


def main() -> int:
    """Run it all; 0 when every claim holds."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--openings", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=SEED)
    parser.add_argument("--quick", action="store_true", help="1,000 openings, coarse cells")
    options = parser.parse_args()
    openings = 1_000 if options.quick else options.openings
    began = time.monotonic()
    result = compare(openings, options.seed, cell=5.0 if options.quick else 1.0)
    show(result, openings, options.seed)
    print(f"\n{time.monotonic() - began:.0f} s")
    return 0 if all(holds for holds, _ in claims(result)) else 1


if __name__ == "__main__":
    sys.exit(main())
