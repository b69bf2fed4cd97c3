"""What the page costs at size: the real web process on a core of its own, on a million events.

    python tests/benchmarks/bench_page.py [--events N] [--keep FOLDER] [--seconds N] [--json PATH]
        [--page-only] [--docs]

The database (10,000 targets in 40 pools and 200 organizations) goes through the recorder, which takes
minutes: with --keep it is made once in that folder, and read there again. Asked are the pages and the API one
after the other, then a mix at 50 requests a second, then an overview beside 50 streams that are told of 1,000
events a second. At the end a daemon of 2,000 targets works with and without a page open on it, in turns. Ends
with 1 when a promise is not kept.
"""

import argparse
import asyncio
import json
import re
import sys
import tempfile
import time
from collections.abc import Callable, Coroutine, Iterator, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import bench_table
from bench_lab import Lab, Machine, lab, many, memory_mb, percentile, processor_seconds
from bench_lab import machine as machine_of
from bench_lab import scenario as scenario_of
from bench_lab import settings as settings_of
from bench_table import AT_LEAST, Line
from page_database import EVENTS_LEAST, LARGE, Sizes, busiest, fill, settings, watched

from monitor.access.events import Event
from monitor.access.target import Target
from monitor.access.words import EventKind, Reason, State
from monitor.store.recorder import Recorder
from monitor.store.records import Change

ROUNDS = 40
RATE, STREAMS, EVENTS_A_SECOND = 50.0, 50, 1_000
#: Turns with and without the page, of so many seconds each.
TURNS, TURN = 3, 20.0

#: Promised: milliseconds to the first byte for 95 of 100, and bytes.
LIMITS = {
    "overview": (150, 200_000), "overview, search for everything": (150, 200_000),
    "overview, blocked": (150, 200_000), "overview, 90 days": (150, 200_000),
    "the last page of a large pool": (150, 200_000), "target": (100, 200_000),
    "target with 10,000 events": (100, 200_000),
}  # fmt: skip


def addresses(targets: Sequence[Target]) -> dict[str, str]:
    """What is asked for, by what it is."""

    def of(place: str, **query: Any) -> str:
        return f"/{place}?{urlencode(query)}"

    usual, busy = targets[-2].name, busiest(targets).name
    return {
        "overview": "/",
        "overview, search for everything": of("", q="e"),
        "overview, blocked": of("", state="blocked"),
        "overview, 90 days": of("", range="90d"),
        "the last page of a large pool": of("", pool=LARGE, page=10_000),
        "target": of("target", name=usual),
        "target with 10,000 events": of("target", name=busy, range="90d"),
        "propagation": "/propagation",
        "notifications": "/notifications",
        "notifications, delivered": of("notifications", state="delivered"),
        "notifications, the first": of("notifications", state="delivered", before=200),
        "API: status": "/api/v1/status",
        "API: history": "/api/v1/history",
        "API: history, the first": of("api/v1/history", before=600),
        "API: history of a pattern": of("api/v1/history", target="key-*"),
        "API: propagation": "/api/v1/propagation",
        "API: routes": "/api/v1/routes",
    }


class Client:
    """A connection to the page that measures: no library of ours or others between it and the socket."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._ends: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def get(self, address: str) -> tuple[float, int]:
        """Seconds to the first byte, and the body's bytes."""
        if self._ends is None:
            self._ends = await asyncio.open_connection("127.0.0.1", self._port, limit=2**20)
        reader, writer = self._ends
        began = time.perf_counter()
        writer.write(f"GET {address} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode())
        first = await reader.readexactly(1)
        took = time.perf_counter() - began
        head = (first + await reader.readuntil(b"\r\n\r\n")).decode()
        size = int(re.search(r"(?i)content-length: (\d+)", head)[1])
        await reader.readexactly(size)
        if not head.startswith("HTTP/1.1 200"):
            raise RuntimeError(f"{address}: {head.splitlines()[0]}")
        return took, size

    async def listen(self, told: list[int]) -> None:
        """Read the stream of events, and count them in the last of `told`."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self._port, limit=2**20)
        writer.write(b"GET /api/v1/events HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        told.append(0)
        mine = len(told) - 1
        try:
            while line := await reader.readline():
                told[mine] += line.startswith(b'data: {"id"')
        finally:
            writer.close()

    def close(self) -> None:
        """Hang up."""
        if self._ends:
            self._ends[1].close()


async def page(folder: Path, sizes: Sizes, seconds: float, kept: Path | None) -> dict[str, Any]:
    """The page on the large database."""
    async with lab(folder) as one:
        if kept:
            kept.mkdir(parents=True, exist_ok=True)  # noqa: ASYNC240 - nothing else runs yet
            one.folder = kept
        one.config.write_text(settings(sizes))
        began = time.perf_counter()
        if not one.database.exists():
            await fill(one.database, sizes)
        made = time.perf_counter() - began
        recorder = await Recorder.open(one.database, clock=lambda: datetime.now(UTC))
        try:
            await recorder.progress({})
            found = await _asked(one, recorder, sizes, seconds)
        finally:
            await recorder.aclose()
    return {"events": sizes.events, "made_s": made, **found}


async def _asked(one: Lab, recorder: Recorder, sizes: Sizes, seconds: float) -> dict[str, Any]:
    targets = watched(sizes)
    web, port = await one.web()
    places, client = addresses(targets), Client(port)
    machine = Machine(web)
    memory = {"at the start": _memory(web.pid)}
    alone = {}
    for name, place in places.items():
        alone[name] = await _one_by_one(client, place, web.pid, anew=True)
        again = await _one_by_one(client, place, web.pid, anew=False)
        alone[name]["again_p95_ms"] = again["p95_ms"]
    memory["after all pages"] = _memory(web.pid)
    mixed = await _mixed(port, list(places.values())[:8], web.pid, seconds)
    streamed = await _streamed(port, recorder, targets, web.pid, seconds)
    memory["at the end"] = _memory(web.pid)
    client.close()
    return {
        "alone": alone, "mixed": mixed, "streamed": streamed, "memory": memory,
        "others_cores": machine.others(),
    }  # fmt: skip


async def _one_by_one(client: Client, place: str, pid: int, *, anew: bool) -> dict[str, float]:
    """A page is made once for all who ask for one address; `anew` has each address differ."""
    used, times, size = processor_seconds(pid), [], 0
    began = time.perf_counter()
    for turn in range(ROUNDS):
        took, size = await client.get(
            f"{place}{'&' if '?' in place else '?'}turn={turn}" if anew else place
        )
        times.append(took)
        if time.perf_counter() - began > 30:
            break
    used = processor_seconds(pid) - used
    return {**_shares(times), "bytes": size, "cpu_ms": 1000 * used / len(times)}


async def _mixed(port: int, places: list[str], pid: int, seconds: float) -> dict[str, float]:
    """Requests come at their times whether or not the earlier ones were answered, as from many browsers."""
    clients, times, used = [Client(port) for _ in range(16)], [], processor_seconds(pid)
    began, count = time.perf_counter(), int(RATE * seconds)

    async def browser(number: int) -> None:
        for turn in range(number, count, len(clients)):
            due = began + turn / RATE
            await asyncio.sleep(max(due - time.perf_counter(), 0.0))
            await clients[number].get(places[turn % len(places)] if turn % 3 else "/")
            times.append(time.perf_counter() - due)

    await asyncio.gather(*(browser(number) for number in range(len(clients))))
    lasted, used = time.perf_counter() - began, processor_seconds(pid) - used
    for client in clients:
        client.close()
    return {**_shares(times), "a_second": count / lasted, "cpu_share": used / lasted}


async def _streamed(
    port: int, recorder: Recorder, targets: Sequence[Target], pid: int, seconds: float
) -> dict[str, float]:
    told: list[int] = []
    listeners = [asyncio.create_task(Client(port).listen(told)) for _ in range(STREAMS)]
    client, times, used = Client(port), [], processor_seconds(pid)
    began, written = time.perf_counter(), 0
    try:
        while (lasted := time.perf_counter() - began) < seconds:
            few = targets[written % len(targets) :][:100]
            await recorder.write([_change(target) for target in few])
            written += len(few)
            if written % 500 == 0:
                times.append((await client.get("/"))[0])
            ahead = began + written / EVENTS_A_SECOND - time.perf_counter()
            await asyncio.sleep(max(ahead, 0.0))
        used = processor_seconds(pid) - used
        with suppress(TimeoutError):
            async with asyncio.timeout(10):
                while min(told) < written:  # noqa: ASYNC110 - they are told once a second
                    await asyncio.sleep(0.2)
    finally:
        for listener in listeners:
            listener.cancel()
        await asyncio.gather(*listeners, return_exceptions=True)
        client.close()
    return {
        **_shares(times), "written": written, "a_second": written / lasted, "least_told": min(told),
        "cpu_share": used / lasted,
    }  # fmt: skip


def _change(target: Target) -> Change:
    event = Event(
        EventKind.REVOKED, Reason.REVOCATION, datetime.now(UTC), target.name, target.scope,
        target.route, State.AVAILABLE, State.UNVERIFIED,
    )  # fmt: skip
    return Change(target.name, events=(event,))


async def beside(
    folder: Path, targets: int, reads: Callable[[int], Coroutine[Any, Any, None]]
) -> dict[str, Any]:
    """The daemon's processor time, with and without who reads its page at that port, in turns."""
    keys = many(targets)
    async with lab(folder) as one:
        simulator = await one.simulate(scenario_of(keys))
        one.config.write_text(settings_of(one.base_url, keys, one.folder))
        daemon = await one.daemon()
        await one.started(daemon)
        web, port = await one.web(beside=True)
        while (await one.totals())["requests"] < 2 * targets:  # noqa: ASYNC110 - the start is over
            await asyncio.sleep(1)
        machine, costs = Machine(daemon, simulator, web), {True: [], False: []}
        for turn in range(2 * TURNS):
            opened = turn % 2 == 0
            reader = asyncio.create_task(reads(port)) if opened else None
            used, probes = processor_seconds(daemon.pid), (await one.totals())["requests"]
            await asyncio.sleep(TURN)
            used = processor_seconds(daemon.pid) - used
            probes = (await one.totals())["requests"] - probes
            costs[opened].append(1000 * used / probes)
            if reader:
                reader.cancel()
                await asyncio.gather(reader, return_exceptions=True)
        others = machine.others()
    with_page, without = (percentile(costs[opened], 0.5) for opened in (True, False))
    return {
        "targets": targets, "with_s": with_page, "without_s": without,
        "more": with_page / without - 1, "others_cores": others,
    }  # fmt: skip


async def _opened(port: int) -> None:
    """A page that is open: its stream, and a renewal each second, as while something always happens."""
    client, stream = Client(port), asyncio.create_task(Client(port).listen([]))
    try:
        while True:
            await client.get("/?fragment=1")
            await asyncio.sleep(1)
    finally:
        stream.cancel()
        client.close()


def _memory(pid: int) -> dict[str, float]:
    proportional = re.search(r"(?m)^Pss:\s+(\d+)", Path(f"/proc/{pid}/smaps_rollup").read_text())
    return {
        "rss_mb": memory_mb(pid, "VmRSS"), "peak_mb": memory_mb(pid),
        "pss_mb": int(proportional[1]) / 1000,
    }  # fmt: skip


def _shares(times: list[float]) -> dict[str, float]:
    return {"p50_ms": 1000 * percentile(times, 0.5), "p95_ms": 1000 * percentile(times, 0.95)}


def lines_of(found: dict[str, Any]) -> Iterator[Line]:
    """Each figure, its unit, and what was promised."""
    for name, one in found["page"]["alone"].items():
        most, size = LIMITS.get(name, (None, None))
        yield f"{name}: first byte, 95 %", one["p95_ms"], "ms", most
        yield f"{name}: first byte, median", one["p50_ms"], "ms", None
        yield f"{name}: first byte of what another got, 95 %", one["again_p95_ms"], "ms", None
        yield f"{name}: processor", one["cpu_ms"], "ms", None
        yield f"{name}: size", one["bytes"] / 1000, "kB", size and size / 1000
    yield from others_of(found)


def others_of(found: dict[str, Any]) -> Iterator[Line]:
    """The figures that are of no single page."""
    large = found["page"]
    mixed, streamed = large["mixed"], large["streamed"]
    yield f"a mix: requests a second{AT_LEAST}", -mixed["a_second"], "", -0.98 * RATE
    yield "a mix: late answer, 95 %", mixed["p95_ms"], "ms", 150
    yield "a mix: processor", 100 * mixed["cpu_share"], "% of a core", 100
    yield f"{STREAMS} streams: events a second", streamed["a_second"], "", None
    missed = streamed["written"] - streamed["least_told"]
    yield f"{STREAMS} streams: overview's first byte, 95 %", streamed["p95_ms"], "ms", None
    yield f"{STREAMS} streams: processor", 100 * streamed["cpu_share"], "% of a core", 100
    yield f"{STREAMS} streams: not told one by one", missed, "events", None
    for when, memory in large["memory"].items():
        yield f"memory {when}: RSS", memory["rss_mb"], "MB", 90
        yield f"memory {when}: PSS", memory["pss_mb"], "MB", 90
        yield f"memory {when}: peak", memory["peak_mb"], "MB", None
    yield "other processes", large["others_cores"], "cores", None
    if daemon := found.get("beside"):
        yield "the daemon: 1,000 probes without a page", daemon["without_s"], "s", None
        yield "the daemon: more with a page open", 100 * daemon["more"], "%", 5
        yield "other processes", daemon["others_cores"], "cores", None


def main() -> int:
    """Measure, print, and compare with what was promised."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--keep", type=Path, help="a folder for the database, outside the project")
    parser.add_argument("--seconds", type=float, default=10.0, help="of the mix and of the streams")
    parser.add_argument("--json", type=Path, help="where the figures are written")
    parser.add_argument("--page-only", action="store_true", help="leave the daemon's cost out")
    parser.add_argument("--docs", action="store_true", help="fill the tables of docs/running.md")
    chosen = parser.parse_args()
    if chosen.events < EVENTS_LEAST:
        parser.error(f"--events: at least {EVENTS_LEAST:,}, or the busiest target has them all")
    if chosen.docs and chosen.page_only:
        parser.error("--docs needs both parts: leave --page-only out")
    found: dict[str, Any] = {"machine": machine_of()}
    sizes = Sizes(events=chosen.events)
    print("{processor}, {cores} cores, Python {python}\n".format(**found["machine"]), flush=True)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        kept = chosen.keep.absolute() if chosen.keep else None
        found["page"] = asyncio.run(page(folder / "page", sizes, chosen.seconds, kept))
        if not chosen.page_only:
            found["beside"] = asyncio.run(beside(folder / "beside", 2_000, _opened))
    good = True
    for what, value, unit, most in lines_of(found):
        kept_promise = most is None or value <= most
        good = good and kept_promise
        promised = "" if most is None else f"at most {most:g}"
        print(f"{what:56}{value:12,.1f} {unit:12}{promised:16}{'' if kept_promise else 'NOT KEPT'}")
    if chosen.json:
        chosen.json.write_text(json.dumps(found, indent=2) + "\n")
    if chosen.docs:
        bench_table.write_page(found, others_of(found))
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
