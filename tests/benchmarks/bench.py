"""What the monitor costs: real daemon processes against the simulator, as a table and as JSON.

    python tests/benchmarks/bench.py [PART…] [--seconds N] [--json PATH] [--readme] [--profile]

Parts: steady-100, steady-1000, steady-10000, stored, openings, burst, commands; without any all of
them, which takes about ten minutes. Ends with 1 when a promise is not kept. How busy other processes kept the
machine is shown beside each part: beside much of it the figures say little. With --profile a steady
part is run once more under cProfile for 30 s, and the figures of the loop and the writer are printed.
"""

import argparse
import asyncio
import json
import platform
import sys
import tempfile
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import bench_table
from bench_commands import LIMITS, commands
from bench_openings import burst, openings
from bench_steady import show_profile, steady, stored

Part = Callable[[Path, float], Awaitable[dict[str, Any]]]

PARTS: dict[str, Part] = {
    "steady-100": lambda folder, seconds: steady(folder, 100, seconds),
    "steady-1000": lambda folder, seconds: steady(folder, 1_000, seconds),
    "steady-10000": lambda folder, seconds: steady(folder, 10_000, seconds),
    "stored": lambda folder, seconds: stored(folder, 100, seconds),
    "openings": lambda folder, seconds: openings(folder, 100, seconds),
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
    cpu, memory = {100: (1.0, 110.0), 10_000: (0.8, 300.0)}.get(count, (None, None))
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


def openings_rows(part: str, found: dict[str, Any]) -> Iterator[Row]:
    """The figures of openings."""
    one_by_one = part == "openings"
    yield Row(part, "openings", found["opened"])
    yield Row(part, "not told of", found["opened"] - found["told_of"], most=0)
    yield Row(part, "lost", found["lost"] + found["not_delivered"], most=0)
    for channel, what in (("hook", "to the webhook"), ("mail", "to the mail server")):
        told, hook = found[channel], channel == "hook"
        yield Row(part, f"answer {what}, median", 1000 * told["p50_s"], "ms",
                  30 if one_by_one and hook else None)  # fmt: skip
        yield Row(part, f"answer {what}, 99 %", 1000 * told["p99_s"], "ms",
                  150 if one_by_one and hook else None)  # fmt: skip
        yield Row(part, f"answer {what}, most", 1000 * told["most_s"], "ms",
                  None if one_by_one else 60_000)  # fmt: skip
        yield Row(part, f"messages {what}", told["messages"])
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
        "openings": openings_rows,
        "burst": openings_rows,
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
    parser.add_argument("--readme", action="store_true", help="fill the README's tables")
    parser.add_argument("--profile", action="store_true", help="profile a steady part, too")
    chosen = parser.parse_args()
    if unknown := set(chosen.parts) - set(PARTS):
        parser.error(f"unknown: {', '.join(sorted(unknown))}; known: {', '.join(PARTS)}")
    if chosen.readme and chosen.parts:
        parser.error("--readme needs all parts: name none")
    found: dict[str, Any] = {}
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
        machine = {"python": platform.python_version(), "machine": platform.platform()}
        chosen.json.write_text(json.dumps({"machine": machine, "parts": found}, indent=2) + "\n")
    if chosen.readme:
        bench_table.write(found)
    return 0 if kept else 1


if __name__ == "__main__":
    sys.exit(main())
