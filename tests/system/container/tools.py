"""What the checks of containers share: counting what is shown, and podman."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

IMAGE = os.environ.get("IMAGE", "")
NAME = "access-monitor-check"
UID = 10001

# What a read-only machine without rights means, as compose.yaml and the StatefulSet ask for it; even
# the writable /tmp that podman would give is taken away.
CONFINED = (
    "--read-only",
    "--read-only-tmpfs=false",
    "--cap-drop=all",
    "--security-opt=no-new-privileges",
    "--pids-limit=128",
)


class Checks:
    """Counts what was shown."""

    passed = failed = 0

    def show(self, what: str, shown: object, detail: object = "") -> None:
        self.passed, self.failed = self.passed + bool(shown), self.failed + (not shown)
        print("ok    " if shown else "FAILED", what, f"({detail})" if detail != "" else "")
        sys.stdout.flush()


check = Checks()


#: Of the settings: what takes minutes takes a second.
FAST = """
[cadence]
eager = "500ms"
settling = "1s"
listing = "1s"
image_gap = "1ms"
[confirmation]
confirmation_span = "1s"
[delivery]
group_within = "50ms"
"""


def podman(*words: object, patience: float = 120) -> subprocess.CompletedProcess[str]:
    # podman would ask systemd to call the HEALTHCHECK; here it is called by this script
    return subprocess.run(
        ["podman", *map(str, words)],
        capture_output=True,
        text=True,
        check=False,
        timeout=patience,
        env=os.environ | {"DISABLE_HC_SYSTEMD": "true"},
    )


def must(*words: object, patience: float = 120) -> str:
    done = podman(*words, patience=patience)
    assert done.returncode == 0, f"podman {words}: {done.stdout}{done.stderr}"
    return done.stdout


def until(condition: Callable[[], object], patience: float = 90) -> float | None:
    """Wait until something is so: the seconds it took, None when it never was."""
    begin = time.monotonic()
    while time.monotonic() - begin < patience:
        if condition():
            return time.monotonic() - begin
        time.sleep(0.1)
    return None


def inspect(what: str, path: str) -> Any:
    return json.loads(
        must(
            what, "inspect", "--format", f"{{{{json {path}}}}}", IMAGE if what == "image" else NAME
        )
    )


def inside(*words: str) -> str:
    """What a program says that is run in a fresh container of the image."""
    return must("run", "--rm", *CONFINED, "--entrypoint", words[0], IMAGE, *words[1:])
