"""What the monitor costs: real daemon processes against the simulator, as a table and as JSON.

    python tests/benchmarks/bench.py [PART…] [--seconds N] [--json PATH] [--docs] [--profile]

Parts: steady-100, steady-1000, steady-10000, stored, openings, faults, burst, commands; without any all of
them, which takes about twelve minutes. Ends with 1 when a promise is not kept. Which machine it is comes
first, and beside each part how busy other processes kept it: beside much of it the figures say little. With
--profile a steady part is run once more under cProfile for 30 s, and the figures of the loop and the writer
are printed.
"""

import argparse
import asyncio
import json
import sys
import tempfile
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import bench_table
from bench_commands import LIMITS, commands
from bench_lab import machine
from bench_openings import burst, faults, openings
from bench_steady import show_profile, steady, stored

Part = Callable[[Path, float], Awaitable[dict[str, Any]]]

PARTS: dict[str, Part] = {
    "steady-100": lambda folder, seconds: steady(folder, 100, seconds),
    "steady-1000": lambda folder, seconds: steady(folder, 1_000, seconds),
    "steady-10000": lambda folder, seconds: steady(folder, 10_000, seconds),
    "stored": lambda folder, seconds: stored(folder, 100, seconds),
    "openings": lambda folder, seconds: openings(folder, 100, seconds),
    "faults": lambda folder, seconds: faults(folder, 1_000, 2 * seconds),
    "burst": lambda folder, _: burst(folder, 5_000),
    "commands": lambda folder, _: commands(folder, 10_000, 1_000_000),
}


@dataclass(frozen=True)
class Row:
    """One figure; `most` is what was promised."""

    part: str
    what: str
    value: float
    unit: str = ""
    most: float | None = None

    @property
    def kept(self) -> bool:
        """Whether it is as promised, or nothing was."""
        return self.most is None or self.value <= self.most


def steady_rows(part: str, found: dict[str, Any]) -> Iterator[Row]:
    """The figures of a steady load."""
    count = found["targets"]
    cpu, memory = {100: (1.2, 110.0), 1_000: (0.9, 130.0), 10_000: (0.8, 300.0)}[count]
    yield Row(part, "not steady in time", found["unready"], most=0)
    yield Row(part, "probes", found["probes"])
    yield Row(part, "missed", found["missed"], most=0)
    yield Row(part, "late, median", 1000 * found["late_p50_s"], "ms")
    yield Row(part, "late, 99 %", 1000 * found["late_p99_s"], "ms", 1000)
    yield Row(part, "late, most", 1000 * found["late_most_s"], "ms")
    yield Row(part, "processor per 1,000 probes", found["cpu_s_per_1000"], "s", cpu)
    yield Row(part, "of it on the loop", found["loop_s_per_1000"], "s")
    yield Row(part, "processor", 100 * found["cpu_share"], "% of a core")
    yield Row(part, "peak memory", found["peak_mb"], "MB", memory)
    yield Row(part, "start", found["start_s"], "s", 5.0 if count == 10_000 else None)
    yield Row(part, "simulator", 100 * found["simulator_share"], "% of a core")
    yield Row(part, "other processes", found["others_cores"], "cores")


def stored_rows(part: str, found: dict[str, Any]) -> Iterator[Row]:
    """The figures of what is stored of unchanged answers."""
    yield Row(part, "probes", found["probes"])
    yield Row(part, "per 1,000 probes, at rest", found["rest_bytes_per_1000"], "B", 1000)
    yield Row(part, "with the write-ahead file", found["with_wal_bytes_per_1000"], "B", 1000)
    yield Row(part, "other processes", found["others_cores"], "cores")


#: Seconds from an answer to the webhook's receipt: the median, 95, 99 % and all.
TOLD = {
    "openings": (0.03, None, 0.15, None),
    "faults": (0.2, 2.0, 5.0, None),
    "burst": (None, None, None, 60.0),
}


def openings_rows(part: str, found: dict[str, Any]) -> Iterator[Row]:
    """The figures of openings."""
    yield Row(part, "openings", found["opened"])
    yield Row(part, "not told of", found["opened"] - found["told_of"], most=0)
    yield Row(part, "lost, or still waiting", found["lost"] + found["not_delivered"], most=0)
    yield Row(part, "told twice", found["doubled"], most=0)
    for channel, what in (("hook", "to the webhook"), ("mail", "to the mail server")):
        if told := found.get(channel):
            shares = zip(("p50", "p95", "p99", "most"), TOLD[part], strict=True)
            for share, most in shares if channel == "hook" else ((one, None) for one, _ in shares):
                yield Row(part, f"answer {what}, {share}", 1000 * told[f"{share}_s"], "ms",
                          None if most is None else 1000 * most)  # fmt: skip
            yield Row(part, f"messages {what}", told["messages"])
    cpu = 1000 * found["cpu_s"] / max(found["probes"], 1)
    yield Row(part, "processor per 1,000 probes, all in", cpu, "s")
    yield Row(part, "other processes", found["others_cores"], "cores")


def commands_rows(part: str, found: dict[str, Any]) -> Iterator[Row]:
    """The figures of the commands."""
    for name, seconds in found["seconds"].items():
        yield Row(part, name, seconds, "s", LIMITS[name])
    yield Row(part, "python -c pass", found["python_s"], "s")
    yield Row(part, "the database", found["database_mb"], "MB")
    yield Row(part, "processors busy, the commands' own", found["others_cores"], "cores")


def rows_of(part: str, found: dict[str, Any]) -> list[Row]:
    """The figures of a part."""
    made = {
        "stored": stored_rows,
        "commands": commands_rows,
        **dict.fromkeys(TOLD, openings_rows),
    }
    return list(made.get(part, steady_rows)(part, found))


def show(rows: list[Row]) -> None:
    """Print the table."""
    for row in rows:
        promised = "" if row.most is None else f"at most {row.most:g}"
        verdict = "" if row.kept else "  NOT KEPT"
        value = f"{row.value:,.0f}" if abs(row.value) >= 100 else f"{row.value:.3g}"
        print(f"{row.part:14}{row.what:36}{value:>12} {row.unit:12}{promised:16}{verdict}")
    print(flush=True)


def main() -> int:
    """Run what is asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("parts", nargs="*", metavar="PART", help=", ".join(PARTS))
    parser.add_argument("--seconds", type=float, default=40.0, help="of each steady load")
    parser.add_argument("--json", type=Path, help="where the figures are written")
    parser.add_argument("--docs", action="store_true", help="fill the tables of docs/running.md")
    parser.add_argument("--profile", action="store_true", help="profile a steady part, too")
    chosen = parser.parse_args()
    if unknown := set(chosen.parts) - set(PARTS):
        parser.error(f"unknown: {', '.join(sorted(unknown))}; known: {', '.join(PARTS)}")
    if chosen.docs and chosen.parts:
        parser.error("--docs needs all parts: name none")
    found: dict[str, Any] = {"machine": machine()}
    print("{processor}, {cores} cores, Python {python}\n".format(**found["machine"]), flush=True)
    kept = True
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        for part in chosen.parts or PARTS:
            found[part] = asyncio.run(PARTS[part](folder / part, chosen.seconds))
            rows = rows_of(part, found[part])
            show(rows)
            kept = kept and all(row.kept for row in rows)
            if chosen.profile and part.startswith("steady"):
                count, figures = int(part.partition("-")[2]), folder / f"{part}.profile"
                asyncio.run(steady(folder / f"{part}-profiled", count, 30.0, profile=figures))
                show_profile(figures)
    if chosen.json:
        chosen.json.write_text(json.dumps(found, indent=2) + "\n")
    if chosen.docs:
        bench_table.write(found)
    return 0 if kept else 1


if __name__ == "__main__":
    sys.exit(main())
