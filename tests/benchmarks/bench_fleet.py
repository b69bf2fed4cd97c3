"""What a fleet costs, and how soon others go on: real workers, a simulator and a PostgreSQL of its own.

    python tests/benchmarks/bench_fleet.py [--targets N] [--interval S] [--rounds N]

A worker that is suspended looks to the others like a machine that is gone: its process is not seen to end.
"""

import argparse
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx
import psycopg

sys.path.insert(0, str(Path(__file__).parents[1] / "support"))
from postgres_server import PostgresServer

COMMAND = Path(sys.executable).with_name("access-monitor")
_TICK = os.sysconf("SC_CLK_TCK")


class Bench:
    """Keys with shut gates, each an organization of its own, and the workers that watch them."""

    def __init__(self, targets: int, interval: float) -> None:
        self.targets, self.interval = targets, interval
        self.folder = Path(tempfile.mkdtemp(prefix="bench-fleet-"))
        self.server = PostgresServer(durable=True)
        (self.folder / "scenario.toml").write_text(
            'name = "bench"\n'
            + "".join(
                f'[[keys]]\nname = "k{n}"\nsecret = "sk-sim-FAKE-{n:05}"\norganization = "org-{n}"\n'
                for n in range(targets)
            )
        )
        words = [COMMAND, "simulate", "--scenario", "scenario.toml", "--listen", "127.0.0.1:0"]
        self.simulator = subprocess.Popen(words, cwd=self.folder, stdout=subprocess.PIPE, text=True)
        assert self.simulator.stdout
        self.base_url = self.simulator.stdout.readline().strip()
        self.origin = self.base_url.removesuffix("/v1")
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        self.environ = os.environ | {"DATABASE_URL": self.server.url()}
        self.environ |= {f"K{n}": f"sk-sim-FAKE-{n:05}" for n in range(targets)}
        for name, database in (("fleet", "env:DATABASE_URL"), ("alone", "env:DATABASE_URL"),
                               ("file", "sqlite:///alone.db")):  # fmt: skip
            (self.folder / f"{name}.toml").write_text(
                f'[monitor]\ndatabase = "{database}"\n'
                + ("[fleet]\n" if name == "fleet" else "")
                + f'[routes.sim]\nbase_url = "{self.base_url}"\ncontract = "direct"\nrate = 1000.0\n'
                f'[cadence]\neager = "{interval * 1000:.0f}ms"\nunverified = "{interval * 1000:.0f}ms"\n'
                f'deciding = "{interval * 1000:.0f}ms"\nlisting = "{interval * 1000:.0f}ms"\n'
                + "".join(
                    f'[[keys]]\nname = "k{n}"\nsecret = "env:K{n}"\norganization = "org-{n}"\n'
                    'route = "sim"\nwatch = ["gpt-5.1:summary"]\n'
                    for n in range(targets)
                )
            )

    def start(self, name: str, settings: str = "fleet") -> None:
        words = [COMMAND, "run", "--config", f"{settings}.toml"]
        words += ["--worker", name] if settings == "fleet" else []
        with (self.folder / f"{name}.log").open("ab") as log:
            self.processes[name] = subprocess.Popen(
                words, cwd=self.folder, env=self.environ, stdout=log, stderr=log
            )

    def end(self, name: str, number: int = signal.SIGTERM) -> None:
        process = self.processes.pop(name)
        process.send_signal(number)
        process.wait(60)

    def shares(self) -> dict[str, int]:
        return dict(
            self.ask(
                "SELECT coalesce(f.name, ''), count(*) FROM shards s"
                " LEFT JOIN fences f ON f.id = s.worker_id AND f.holder IS NOT NULL GROUP BY 1"
            )
        )

    def ask(self, query: str) -> list[tuple[Any, ...]]:
        with psycopg.connect(self.server.url(), autocommit=True) as connection:
            try:
                return connection.execute(query).fetchall()
            except psycopg.errors.UndefinedTable:  # the first worker makes them
                return []

    def shared(self) -> float:
        """Wait until all have equal shares; how long it took."""
        begun, most = time.monotonic(), -(-64 // len(self.processes)) + 1
        while True:
            shares = self.shares()
            if shares and set(shares) == set(self.processes) and max(shares.values()) <= most:
                return time.monotonic() - begun
            assert time.monotonic() - begun < 60, shares
            time.sleep(0.1)

    def requests(self) -> int:
        """The number of requests so far."""
        return int(self._asked("totals=1")["requests"])

    def probed(self, since: int, after: float) -> dict[str, float]:
        """Seconds from `after` (wall time) to the next request with each key; `since` is a number of one."""
        found: dict[str, float] = {}
        for entry in self._asked(f"since={since}")["log"]:
            waited = datetime.fromisoformat(entry["at"]).timestamp() - after
            if waited > 0:
                found.setdefault(entry["key"], waited)
        return found

    def _asked(self, query: str) -> dict[str, Any]:
        return dict(httpx.get(f"{self.origin}/sim/ledger?{query}", timeout=60).json())

    def keys_of(self, worker: str) -> set[str]:
        query = (
            "SELECT t.key FROM targets t JOIN shards s ON s.id = t.shard"
            f" JOIN fences f ON f.id = s.worker_id WHERE f.name = '{worker}'"
        )
        return {key for (key,) in self.ask(query)}

    def standing(self) -> tuple[float, float, float, float, float]:
        """So far: probes, seconds of processor of workers and server, transactions, bytes of the log."""
        server = self.server._process
        assert server
        tree = subprocess.run(
            ["pgrep", "-P", str(server.pid)], capture_output=True, text=True, check=False
        )
        backends = sum(_seconds(int(process)) for process in tree.stdout.split())
        ((commits, wal),) = self.ask(
            "SELECT xact_commit + xact_rollback, pg_current_wal_lsn() - '0/0'::pg_lsn"
            " FROM pg_stat_database WHERE datname = current_database()"
        )
        own = sum(_seconds(process.pid) for process in self.processes.values())
        return self.requests(), own, _seconds(server.pid) + backends, float(commits), float(wal)

    def close(self) -> None:
        for name in list(self.processes):
            self.end(name)
        self.simulator.terminate()
        self.simulator.wait()
        self.server.close()


def _seconds(process: int) -> float:
    try:
        words = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(words[11]) + int(words[12])) / _TICK


def missed(bench: Bench, victim: str, number: int) -> list[float]:
    """Seconds from a signal to a worker until each of its targets is probed next, by another one."""
    keys, since, at = bench.keys_of(victim), bench.requests(), time.time()
    bench.processes[victim].send_signal(number)
    found: dict[str, float] = {}
    while not keys <= set(found):
        assert time.time() - at < 60, f"{len(keys - set(found))} targets are not probed"
        time.sleep(0.5)
        found = bench.probed(since, at)
    process = bench.processes.pop(victim)
    if number == signal.SIGSTOP:
        process.send_signal(signal.SIGKILL)
    process.wait(60)
    return [found[key] for key in keys]


def spread(what: str, seconds: Sequence[float]) -> str:
    """A row: the median, the 99th percentile and the longest of so many."""
    its = sorted(seconds)
    late = its[min(int(len(its) * 0.99), len(its) - 1)]
    figures = f"{statistics.median(its):.1f} | {late:.1f} | {its[-1]:.1f}"
    return f"| {what} | {len(its)} | {figures} |"


def cost(bench: Bench, what: str, seconds: float) -> str:
    """A row: what probes cost the workers and the server while nothing happens."""
    before, at = bench.standing(), time.monotonic()
    time.sleep(seconds)
    after, took = bench.standing(), time.monotonic() - at
    probes, own, server, statements, wal = (b - a for a, b in zip(before, after, strict=True))
    thousand = max(probes, 1) / 1000
    return (
        f"| {what} | {probes / took:.0f} | {own / thousand:.2f} | {server / thousand:.2f} |"
        f" {statements / max(probes, 1):.2f} | {wal / max(probes, 1):.0f} |"
    )


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--targets", type=int, default=90)
    parser.add_argument("--interval", type=float, default=2.0)
    parser.add_argument("--rounds", type=int, default=6)
    parser.add_argument("--seconds", type=float, default=45.0)
    given = parser.parse_args()
    bench = Bench(given.targets, given.interval)
    try:
        print(f"{given.targets} targets, each probed every {given.interval:g} s\n")
        print("| seconds until each target is probed again | targets | median | 99 % | longest |")
        print("| --- | --- | --- | --- | --- |")
        joined = []
        for name in "abc":
            bench.start(name)
            joined.append(bench.shared())
        for what, number in (("suspended, as a machine that is gone", signal.SIGSTOP),
                             ("SIGKILL, on one machine", signal.SIGKILL),
                             ("SIGTERM", signal.SIGTERM)):  # fmt: skip
            waits: list[float] = []
            for n in range(given.rounds):
                time.sleep(2 * given.interval)
                victim = "abc"[n % 3]
                waits += missed(bench, victim, number)
                bench.start(victim)
                joined.append(bench.shared())
            print(spread(what, waits), flush=True)
        print(f"\na worker has its share {statistics.median(joined):.1f} s after it was started"
              f" (longest {max(joined):.1f})\n")  # fmt: skip
        print("| while nothing changes | probes a second | processor of the workers, s per 1,000 probes |"
              " of the server | transactions a probe | bytes of its log a probe |")  # fmt: skip
        print("| --- | --- | --- | --- | --- | --- |")
        print(cost(bench, "three workers", given.seconds), flush=True)
        bench.end("c")
        bench.shared()
        time.sleep(10)
        print(cost(bench, "two workers", given.seconds), flush=True)
        bench.end("b")
        bench.shared()
        time.sleep(10)
        print(cost(bench, "one worker", given.seconds), flush=True)
        bench.end("a")
        for name, what in (("alone", "one daemon, PostgreSQL"), ("file", "one daemon, SQLite")):
            bench.start(name, name)
            time.sleep(15)
            print(cost(bench, what, given.seconds), flush=True)
            bench.end(name)
    finally:
        bench.close()


if __name__ == "__main__":
    main()
