"""What the checks of the services share: counting what is shown, systemctl, and where things are."""

import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

TREE = Path(__file__).resolve().parents[3]
UNIT, PAGE = "access-monitor.service", "access-monitor-web.service"
WORKER = "access-monitor-worker@.service"
HOME = Path("/opt/access-monitor")
COMMAND = HOME / "venv" / "bin" / "access-monitor"
ETC = Path("/etc/access-monitor")
STATE = Path("/var/lib/private/access-monitor")


class Checks:
    """Counts what was shown."""

    passed = failed = 0

    def show(self, what: str, shown: object, detail: object = "") -> None:
        self.passed, self.failed = self.passed + bool(shown), self.failed + (not shown)
        print("ok    " if shown else "FAILED", what, f"({detail})" if detail != "" else "")
        if not shown:
            words = [
                word for unit in (UNIT, PAGE, WORKER.replace("@", "@*")) for word in ("-u", unit)
            ]
            print(run("journalctl", *words, "-n", "30", "--no-pager").stdout)
        sys.stdout.flush()


check = Checks()


def run(*command: object, **options: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(word) for word in command], capture_output=True, text=True, check=False, **options
    )


def must(*command: object, **options: Any) -> str:
    done = run(*command, **options)
    assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
    return done.stdout


def systemctl(*words: str) -> subprocess.CompletedProcess[str]:
    return run("systemctl", *words)


def of_unit(name: str, unit: str = UNIT) -> str:
    return must("systemctl", "show", unit, "--property", name, "--value").strip()


def main_pid(unit: str = UNIT) -> int:
    return int(of_unit("MainPID", unit))


def journal(*words: object) -> list[dict[str, Any]]:
    # status 1 without a word: nothing matches yet
    found = run("journalctl", "-u", UNIT, "-o", "json", *words)
    assert found.returncode == 0 or not found.stderr, found.stderr
    return [json.loads(line) for line in found.stdout.splitlines()]


def until(condition: Callable[[], object], seconds: float = 30.0) -> float | None:
    """Seconds until it was so; None when it was not in time."""
    began = time.monotonic()
    while time.monotonic() - began < seconds:
        if condition():
            return time.monotonic() - began
        time.sleep(0.1)
    return None


def healthcheck(*words: str) -> subprocess.CompletedProcess[str]:
    return run(COMMAND, "healthcheck", *words)


def the_unit(name: str) -> None:
    """What systemd itself says of a unit's file."""
    file = TREE / "deploy" / "systemd" / name
    verified = run("systemd-analyze", "verify", "--recursive-errors=no", file)
    said = verified.stdout + verified.stderr
    check.show(
        f"{name}: systemd-analyze verify has nothing to say",
        verified.returncode == 0 and not said,
        said,
    )
    security = run("systemd-analyze", "security", "--offline=true", "--threshold=15", file)
    exposure = security.stdout.strip().splitlines()[-1]
    check.show(
        f"{name}: systemd-analyze security is 1.5 or less", security.returncode == 0, exposure
    )
