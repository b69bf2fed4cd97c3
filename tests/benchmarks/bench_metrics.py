"""What a scrape costs: the real web process on 10,000 targets in pools, and a daemon that is scraped.

    python tests/benchmarks/bench_metrics.py [--scrapes N] [--page-only]

Each scrape reads the database anew. At the end a daemon of 2,000 targets works with a scrape every second and
without, in turns. Ends with 1 when a promise is not kept.
"""

import argparse
import asyncio
import hashlib
import sys
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bench_lab import Lab, lab, memory_mb, percentile, processor_seconds
from bench_lab import machine as machine_of
from bench_page import Client, Line, beside
from page_database import POOLS, Sizes, settings

from monitor.access.memory import TargetState
from monitor.access.target import Capability, Target
from monitor.access.words import Code, Contract, State, Surface
from monitor.store.recorder import Recorder
from monitor.store.records import Change

TARGETS = 10_000
#: Promised: milliseconds of 95 of 100 scrapes, bytes, and how much more a scraped daemon needs, in per cent.
LIMITS = (200.0, 2_000_000, 5.0)
#: Seconds between two scrapes: longer than what was read is kept.
PAUSE = 2.5


def watched() -> list[Target]:
    """The targets, all of them in pools."""
    return [
        Target(
            key=f"pool-{number % POOLS:02d}-{hashlib.sha256(str(number).encode()).hexdigest()[:8]}",
            capability=Capability("gpt-image-2", Surface.IMAGES),
            route="sim",
            contract=Contract.DIRECT,
        )
        for number in range(TARGETS)
    ]


async def fill(path: Path) -> None:
    """A database in which these targets are in all five states."""
    now, targets, states = datetime.now(UTC), watched(), list(State)
    recorder = await Recorder.open(path, clock=lambda: datetime.now(UTC))
    try:
        await recorder.register(targets)
        await recorder.write(
            [
                Change(
                    one.name, TargetState(state=states[number % 5], since=now, next_probe_at=now)
                )
                for number, one in enumerate(targets)
            ]
        )
        for code in Code:
            recorder.tally.probed(
                "sim", code, 0.01, {"connect": 10, "first_byte": 90, "total": 100}
            )
        await recorder.progress({})
    finally:
        await recorder.aclose()


async def page(folder: Path, scrapes: int) -> dict[str, float]:
    """Scrapes of the large database, one after the other."""
    async with lab(folder) as one:
        one.config.write_text(settings(Sizes()))
        await fill(one.database)
        return await _scraped(one, scrapes)


async def _scraped(one: Lab, scrapes: int) -> dict[str, float]:
    web, port = await one.web()
    client, took, size = Client(port), [], 0
    await client.get("/metrics")  # it loads the library
    used = processor_seconds(web.pid)
    for _ in range(scrapes):
        await asyncio.sleep(PAUSE)
        seconds, size = await client.get("/metrics")
        took.append(1000 * seconds)
    used = processor_seconds(web.pid) - used
    client.close()
    return {
        "median_ms": percentile(took, 0.5), "p95_ms": percentile(took, 0.95), "bytes": size,
        "cpu_ms": 1000 * used / scrapes, "rss_mb": memory_mb(web.pid, "VmRSS"),
    }  # fmt: skip


async def scraping(port: int) -> None:
    """A Prometheus that is in a hurry."""
    client = Client(port)
    try:
        while True:
            await client.get("/metrics")
            await asyncio.sleep(1)
    finally:
        client.close()


def lines_of(found: dict[str, Any]) -> Iterator[Line]:
    """Each figure, its unit, and what was promised."""
    large, (slowest, largest, dearest) = found["page"], LIMITS
    yield "a scrape: 95 %", large["p95_ms"], "ms", slowest
    yield "a scrape: median", large["median_ms"], "ms", None
    yield "a scrape: processor", large["cpu_ms"], "ms", None
    yield "a scrape: size", large["bytes"] / 1000, "kB", largest / 1000
    yield "memory of the page: RSS", large["rss_mb"], "MB", None
    if daemon := found.get("beside"):
        yield "the daemon: 1,000 probes without scrapes", daemon["without_s"], "s", None
        yield "the daemon: more with a scrape a second", 100 * daemon["more"], "%", dearest
        yield "other processes", daemon["others_cores"], "cores", None


def main() -> int:
    """Measure, print, and compare with what was promised."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scrapes", type=int, default=40)
    parser.add_argument("--page-only", action="store_true", help="leave the daemon's cost out")
    chosen = parser.parse_args()
    found: dict[str, Any] = {}
    print("{processor}, {cores} cores, Python {python}\n".format(**machine_of()), flush=True)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        found["page"] = asyncio.run(page(folder / "page", chosen.scrapes))
        if not chosen.page_only:
            found["beside"] = asyncio.run(beside(folder / "beside", 2_000, scraping))
    good = True
    for what, value, unit, most in lines_of(found):
        kept = most is None or value <= most
        good = good and kept
        promised = "" if most is None else f"at most {most:g}"
        print(f"{what:56}{value:12,.1f} {unit:12}{promised:16}{'' if kept else 'NOT KEPT'}")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
