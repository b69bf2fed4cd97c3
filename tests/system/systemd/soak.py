"""Twenty minutes in a real systemd: 200 targets with faults; memory, descriptors, and probes not missed.

`soak.py [MINUTES]`, run like `check.py`, by hand: CI has no time for it.
"""

import itertools
import json
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

from check import ends, install
from tools import ETC, STATE, UNIT, check, main_pid, must, of_unit, run, systemctl

KEYS = 200
#: Seconds between two probes of a target, and the longest gap there may be: settling is a minute.
EVERY, LONGEST = 10, 75
FAULTS = ("server_error", "rate_limited", "reset", "bad_gateway", "broken_json", "slow")


def write(base_url: str) -> None:
    folder = ETC / "keys"
    folder.mkdir(mode=0o755)
    parts = [
        '[monitor]\ndatabase = "sqlite:////var/lib/access-monitor/access-monitor.db"',
        f'[routes.sim]\nbase_url = "{base_url}"\ncontract = "direct"\nrate = 100.0',
        '[[channels]]\nname = "ops"\nurl = "credential:secret_ops"',
        f'[cadence]\neager = "{EVERY}s"\nunverified = "{EVERY}s"',
        f'listing = "{EVERY}s"\ninconclusive = "5s"',
        '[heartbeat]\nurl = "credential:secret_heartbeat"\nevery = "10s"',
    ]
    for n in range(KEYS):
        (folder / str(n)).write_text(f"sk-sim-FAKE-key-{n:04}")
        parts.append(
            f'[[keys]]\nname = "key-{n}"\nsecret = "file:keys/{n}"\nroute = "sim"\n'
            'watch = ["gpt-5.1:summary"]'
        )
    (ETC / "access-monitor.toml").write_text("\n".join(parts))


def scenario(minutes: float) -> str:
    parts = ['name = "soak"']
    for n in range(KEYS):
        opens = f"open = {60 * minutes * n / KEYS:.1f}" if n % 2 else 'open = "never"'
        parts.append(
            f'[[keys]]\nname = "key-{n}"\nsecret = "sk-sim-FAKE-key-{n:04}"\n[keys.gate]\n{opens}'
        )
        fault = FAULTS[n % len(FAULTS)]
        more = "seconds = 2\n" if fault == "slow" else ""
        parts.append(f'[[keys.faults]]\nwhat = "{fault}"\nprobability = 0.02\n{more}')
    return "\n".join(parts)


def measured(pid: int) -> tuple[float, int]:
    status = Path(f"/proc/{pid}/status").read_text()
    kib = next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS"))
    return kib / 1024, len(list(Path(f"/proc/{pid}/fd").iterdir()))


def main() -> int:
    minutes = float(sys.argv[1]) if len(sys.argv) > 1 else 20.0
    install()
    path = Path("/tmp/soak.toml")
    path.write_text(scenario(minutes))
    command = ["/opt/access-monitor/venv/bin/access-monitor", "simulate", "--scenario", str(path)]
    simulator = subprocess.Popen(
        [*command, "--listen", "127.0.0.1:0"], stdout=subprocess.PIPE, text=True
    )
    assert simulator.stdout is not None
    base_url = simulator.stdout.readline().strip()
    try:
        write(base_url)
        must("systemctl", "start", UNIT)
        pid, samples = main_pid(), []
        end = time.monotonic() + 60 * minutes
        while time.monotonic() < end:
            time.sleep(min(10.0, max(end - time.monotonic(), 0.1)))
            samples.append(measured(pid))
        print(of_unit("StatusText"))
        warm = samples[len(samples) // 4]
        first, last = samples[0], samples[-1]
        print(
            f"memory: {first[0]:.1f} MiB at first, {warm[0]:.1f} warm, {last[0]:.1f} at last;"
            f" most {max(s[0] for s in samples):.1f}"
        )
        print(f"descriptors: {first[1]} at first, {warm[1]} warm, {last[1]} at last")
        check.show(
            "the same process all the time", main_pid() == pid and of_unit("NRestarts") == "0"
        )
        check.show("memory is flat", last[0] < warm[0] * 1.1, f"{last[0] / warm[0]:.2f} of warm")
        check.show("no descriptor leaks", last[1] <= warm[1] + 10)
        with urllib.request.urlopen(base_url.removesuffix("/v1") + "/sim/ledger") as answer:
            log = json.load(answer)["log"]
        seen: dict[str, list[float]] = {}
        for entry in log:
            seen.setdefault(entry["key"], []).append(entry["elapsed"])
        gaps = [max(b - a for a, b in itertools.pairwise(at)) for at in seen.values()]
        check.show(
            "every target was probed to the end",
            len(seen) == KEYS and max(gaps) < LONGEST,
            f"{len(log)} requests, the longest gap {max(gaps):.1f} s",
        )
        lost = run("journalctl", "-u", UNIT, "-g", "probe_was_lost|probe_failed|beat_failed", "-q")
        check.show("no probe was lost", not lost.stdout.strip(), lost.stdout[:300])
        size = sum(
            f.stat().st_size for f in STATE.iterdir() if f.name.startswith("access-monitor.db")
        )
        print(f"database: {size / 1024:.0f} KiB; messages: {len(ends.at('/ops'))}")
        began = time.monotonic()
        systemctl("stop", UNIT)
        check.show(
            "stops in order", of_unit("Result") == "success", f"{time.monotonic() - began:.1f} s"
        )
    finally:
        simulator.kill()
    print(f"{check.passed} passed, {check.failed} failed")
    return 1 if check.failed else 0


if __name__ == "__main__":
    sys.exit(main())
