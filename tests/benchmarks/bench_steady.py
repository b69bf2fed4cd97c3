"""Steady load: N targets every 10 s, all shut. What was made and missed, how late, and what it cost."""

import asyncio
import pstats
import signal
import sqlite3
import time
from collections import defaultdict
from contextlib import closing, suppress
from datetime import datetime
from pathlib import Path
from typing import Any

from bench_lab import Key, Lab, Machine, lab, many, memory_mb, percentile, processor_seconds
from bench_lab import scenario as scenario_of
from bench_lab import settings as settings_of

from monitor.access.cadence import phase_of

EVERY = 10.0
#: Keys whose model lists are waited for: after the start they come once an hour.
_FEW = 100
#: Seconds after which a load that never becomes steady is measured as it is.
_PATIENCE = 90.0


async def steady(
    folder: Path, count: int, seconds: float, *, profile: Path | None = None
) -> dict[str, Any]:
    """One run: start, wait until what a start brings is over, then measure for `seconds`.

    Of many keys the model lists are asked for meanwhile, two a second on each route: their cost is counted,
    they are not.
    """
    keys = many(count)
    async with lab(folder) as one:
        simulator = await one.simulate(scenario_of(keys))
        # to tell 10,000 times that a target is shut takes minutes, and is no steady load
        channel = await one.open_ends(mail=False) + 'events = ["first_light", "available"]'
        one.config.write_text(settings_of(one.base_url, keys, one.folder, more=channel))
        began = time.time()
        daemon = await one.daemon(profile=profile)
        took = await one.started(daemon) - began
        unready = 1
        with suppress(TimeoutError):
            async with asyncio.timeout(_PATIENCE):
                await _warm(one, count, lists=count <= _FEW)
                await _told(one)
                unready = 0
        number = (await one.totals())["requests"]
        machine = Machine(daemon, simulator)
        if profile:
            daemon.send_signal(signal.SIGUSR1)
        used, simulated = processor_seconds(daemon.pid), processor_seconds(simulator.pid)
        on_loop = processor_seconds(daemon.pid, loop=True)
        begin = time.time()
        await asyncio.sleep(seconds)
        end = time.time()
        used, simulated = (
            processor_seconds(daemon.pid) - used,
            processor_seconds(simulator.pid) - simulated,
        )
        on_loop = processor_seconds(daemon.pid, loop=True) - on_loop
        others, peak = machine.others(), memory_mb(daemon.pid)
        entries = [
            entry
            for entry in await one.ledger(number)
            if _at(entry) < end and entry["surface"] != "models"
        ]
        daemon.send_signal(signal.SIGTERM)
        await daemon.wait()
    probes = len(entries)
    late, missed = lateness(keys, entries, begin, end)
    return {
        "targets": count,
        "start_s": took,
        "unready": unready,
        "seconds": end - begin,
        "probes": probes,
        "missed": missed,
        "late_p50_s": percentile(late, 0.5),
        "late_p99_s": percentile(late, 0.99),
        "late_most_s": max(late, default=0.0),
        "within_1s": sum(one < 1 for one in late) / max(len(late), 1),
        "cpu_s_per_1000": 1000 * used / max(probes, 1),
        "loop_s_per_1000": 1000 * on_loop / max(probes, 1),
        "cpu_share": used / (end - begin),
        "peak_mb": peak,
        "simulator_share": simulated / (end - begin),
        "others_cores": others,
    }


async def stored(folder: Path, count: int, seconds: float) -> dict[str, Any]:
    """What `count` targets store whose answers are all equal, probed every second: many answers soon."""
    keys = many(count)
    async with lab(folder) as one:
        simulator = await one.simulate(scenario_of(keys))
        one.config.write_text(settings_of(one.base_url, keys, one.folder, every="1s"))
        daemon = await one.daemon()
        await one.started(daemon)
        # a run keeps its last five request ids
        async with asyncio.timeout(_PATIENCE):
            await _warm(one, count, answers=20, lists=True)
        await _full(one)
        machine = Machine(daemon, simulator)
        before, at_rest, beside = (
            (await one.totals())["requests"], _at_rest(one.database), sum(one.stored()),
        )  # fmt: skip
        await asyncio.sleep(seconds)
        probes = (await one.totals())["requests"] - before
        at_rest, beside = _at_rest(one.database) - at_rest, sum(one.stored()) - beside
        others = machine.others()
    return {
        "targets": count,
        "probes": probes,
        "rest_bytes_per_1000": 1000 * at_rest / max(probes, 1),
        "with_wal_bytes_per_1000": 1000 * beside / max(probes, 1),
        "others_cores": others,
    }


async def _told(one: Lab) -> None:
    """Wait until the alerts of the first probes are delivered."""
    while one.ask("SELECT count(*) FROM notifications WHERE state = 'pending'") != [(0,)]:  # noqa: ASYNC110
        await asyncio.sleep(1)


async def _full(one: Lab) -> None:
    """Wait until the write-ahead file has grown to its checkpoint: from there on it is used again.

    It grows in steps, which can be 20 s apart. One that never rests is an error after five minutes.
    """
    size, begin = 0, time.monotonic()
    since = begin
    while time.monotonic() - since < 30:
        if time.monotonic() - begin > 300:
            raise TimeoutError(f"the write-ahead file still grows after five minutes: {size} bytes")
        await asyncio.sleep(1)
        if one.stored()[1] != size:
            size, since = one.stored()[1], time.monotonic()


async def _warm(one: Lab, count: int, answers: int = 2, *, lists: bool = False) -> None:
    """Wait until every target had so many answers, and with `lists` every key's model list was read."""
    while True:
        counts: dict[str, int] = defaultdict(int)
        for row in (await one.totals())["counts"]:
            counts[row["surface"]] += row["count"]
        read = counts["models"] >= count or not lists
        if read and counts["summary"] >= answers * count:
            return
        await asyncio.sleep(1)


def lateness(
    keys: list[Key], entries: list[dict[str, Any]], begin: float, end: float
) -> tuple[list[float], int]:
    """How late each probe arrived after its target's place in the interval, and how many places had none.

    A probe belongs to the place nearest to it; an early one is not late. Judged are the places between
    `begin` and `end`, half an interval from both.
    """
    arrivals = defaultdict(list)
    for entry in entries:
        arrivals[entry["key"]].append(_at(entry))
    late, missed = [], 0
    for key in keys:
        place = begin + (phase_of(key.target) * EVERY - begin) % EVERY
        place += EVERY if place - begin < EVERY / 2 else 0.0
        while place + EVERY / 2 <= end:
            used = [at - place for at in arrivals[key.name] if abs(at - place) <= EVERY / 2]
            late += [max(0.0, one) for one in used[:1]]
            missed += not used
            place += EVERY
    return late, missed


def _at(entry: dict[str, Any]) -> float:
    return datetime.fromisoformat(entry["at"]).timestamp()


def _at_rest(path: Path) -> int:
    """What the database's file will take once the write-ahead file is folded into it."""
    with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as connection:
        (pages,), (size,) = (
            connection.execute(f"PRAGMA {name}").fetchone() for name in ("page_count", "page_size")
        )
    return pages * size


def show_profile(path: Path, rows: int = 45) -> None:
    """Print where the time of the loop and of the writer went."""
    for name in (str(path), f"{path}.writer"):
        figures = pstats.Stats(name)
        figures.sort_stats("tottime").print_stats(rows)
        figures.sort_stats("cumtime").print_stats(rows)
