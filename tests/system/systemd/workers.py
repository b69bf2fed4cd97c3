"""Two workers of a fleet as services of one machine: the template of their unit, on a PostgreSQL here."""

import os
import signal
import socket
import sys
import tempfile
import time
from pathlib import Path

from tools import (
    ETC,
    TREE,
    WORKER,
    check,
    healthcheck,
    main_pid,
    must,
    of_unit,
    run,
    systemctl,
    until,
)

sys.path.append(str(TREE / "tests" / "support"))
from postgres_server import PostgresServer

A, B = (WORKER.replace("@", f"@{name}") for name in "ab")
SETTINGS = ETC / "access-monitor.toml"


def share_a_machine(secrets: dict[str, str]) -> None:
    """The settings are those of the one daemon: they become a fleet's."""
    tempfile.tempdir = "/var/lib"  # the services have a /tmp of their own
    server = PostgresServer()
    try:
        server.folder.chmod(0o755)
        for name, value in (secrets | {"database": server.url()}).items():
            (ETC / "secrets" / name).write_text(value)
        one = 'database = "sqlite:////var/lib/access-monitor/access-monitor.db"'
        text = SETTINGS.read_text()
        assert one in text
        SETTINGS.write_text(
            text.replace(one, 'database = "credential:secret_database"') + "[fleet]\n"
        )
        both_start()
        comes_back()
        bad_settings()
        stops()
    finally:
        systemctl("stop", A, B)
        server.close()


def healthy(unit: str) -> bool:
    name = f"{socket.gethostname()}-{unit.partition('@')[2].partition('.')[0]}"
    os.environ["CREDENTIALS_DIRECTORY"] = f"/run/credentials/{unit}"
    return healthcheck("--worker", name).returncode == 0


def shares() -> list[int]:
    """How many targets each has, as it says; 0 while it says nothing."""
    said = [of_unit("StatusText", unit).partition(" ")[0] for unit in (A, B)]
    return [int(one or 0) for one in said]


def shared() -> bool:
    # a key's targets stay together: of two keys, each has one
    return sorted(shares()) == [1, 2]


def both_start() -> None:
    started = systemctl("start", A, B)
    took = until(shared)
    check.show(
        "two workers on one machine share the targets",
        started.returncode == 0 and took is not None,
        f"{shares()} after {took or -1:.1f} s",
    )
    check.show("each is healthy by its name", until(lambda: healthy(A) and healthy(B)) is not None)
    users = {Path(f"/proc/{main_pid(unit)}").stat().st_uid for unit in (A, B)}
    folders = [*Path("/var/lib").iterdir(), *Path("/var/lib/private").iterdir()]
    kept = [str(path) for path in folders if path.stat().st_uid in users]
    check.show(
        "they are not root, and keep nothing on the machine",
        0 not in users and not kept,
        kept or users,
    )


def comes_back() -> None:
    """Killed; and after it was stopped for so long that its lease was over, when it ends with status 1."""
    os.kill(main_pid(A), signal.SIGKILL)
    until(lambda: shares()[1] == 3)
    took = until(shared)
    check.show(
        "SIGKILL: the other has all until it is back", took is not None, f"{took or -1:.1f} s"
    )
    pid = main_pid(A)
    os.kill(pid, signal.SIGSTOP)
    took = until(lambda: shares()[1] == 3)
    os.kill(pid, signal.SIGCONT)
    again = until(lambda: main_pid(A) not in (0, pid) and shared())
    ended = run("journalctl", "-u", A, "-g", "status=1/FAILURE", "-q").stdout
    check.show(
        "its lease was over: it ends with status 1, and is started again",
        None not in (took, again) and ended and of_unit("NRestarts", A) == "2",
        f"taken over after {took or -1:.1f} s, back {again or -1:.1f} s later",
    )


def bad_settings() -> None:
    good = SETTINGS.read_text()
    SETTINGS.write_text(f'{good}colour = "red"\n')
    systemctl("restart", A)
    until(lambda: of_unit("ActiveState", A) == "failed")
    facts = [of_unit(name, A) for name in ("ActiveState", "ExecMainStatus", "NRestarts")]
    check.show(
        "settings that cannot be used: failed at once with 2, and is not started again",
        facts == ["failed", "2", "0"],
        facts,
    )
    SETTINGS.write_text(good)


def stops() -> None:
    began = time.monotonic()
    systemctl("stop", B)
    took = time.monotonic() - began
    check.show(
        "a worker stops in order within 5 s",
        of_unit("Result", B) == "success" and took < 5,
        f"{took:.1f} s",
    )
    said = must("journalctl", "-u", A, "-u", B, "-o", "json")
    check.show("no secret in their journal", "sk-sim-FAKE" not in said)
