"""The page's service: beside the daemon's, with its user and without its secrets."""

import ctypes
import json
import os
import re
import signal
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from tools import (
    ETC,
    PAGE,
    STATE,
    UNIT,
    check,
    healthcheck,
    main_pid,
    must,
    of_unit,
    systemctl,
    until,
)

URL = "http://127.0.0.1:8090/"
TOKEN = "FAKE-page-token-0001"
TARGET = "acme-prod/gpt-image-2:images"


def install_token() -> None:
    folder = ETC / "web-secrets"
    folder.mkdir(mode=0o700, parents=True)
    (folder / "team").write_text(TOKEN)
    (folder / "team").chmod(0o600)


def ask(path: str, *, token: str = TOKEN, body: Any = None) -> tuple[int, str]:
    """The status and the text of an answer."""
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(URL + path, data)
    request.add_header("Authorization", f"Bearer {token}")
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def starts_alone(write: Callable[[], None]) -> None:
    """It is the first to use the state folder."""
    write()
    started = systemctl("start", PAGE)
    said = of_unit("StatusText", PAGE)
    check.show(
        "the page starts before there was a daemon, and says where it is",
        started.returncode == 0 and URL in said,
        said,
    )
    asked = healthcheck("--web")
    check.show(
        "healthcheck --web is 1 without a database, with the reason",
        asked.returncode == 1 and "there is no database yet" in asked.stdout,
        asked.stdout.strip(),
    )


def beside_the_daemon(secrets: dict[str, str]) -> None:
    asked = healthcheck("--web")
    check.show("healthcheck --web is 0", asked.returncode == 0, asked.stdout.strip())
    pids = {unit: main_pid(unit) for unit in (UNIT, PAGE)}
    users = {Path(f"/proc/{pid}").stat().st_uid for pid in pids.values()}
    owners = {path.stat().st_uid for path in (STATE, *STATE.iterdir())}
    check.show(
        "both services are one user, which owns the state folder and all that is in it",
        len(users) == 1 and owners == users and users != {0},
        f"{users} {owners}",
    )
    statuses = [ask("api/v1/status", token=token)[0] for token in ("", "wrong", TOKEN)]
    check.show("only the token opens it", statuses == [401, 401, 200], statuses)
    status, text = ask("api/v1/probes", body={"target": TARGET})
    see = f"api/v1/requests/{json.loads(text)['id']}"
    took = until(lambda: json.loads(ask(see)[1])["state"] == "taken")
    check.show("what it is asked for reaches the daemon", status == 202 and took is not None)
    cannot_look_into(pids[UNIT], pids[PAGE])
    known = [value.encode() for value in secrets.values()] + [b"FAKE-heartbeat"]
    found = {
        unit: [one for one in known if any(one in text for text in memory_of(pid))]
        for unit, pid in pids.items()
    }
    check.show(
        "its memory and environment hold none of the daemon's secrets (which are found in the daemon's)",
        found[UNIT] and not found[PAGE],
        {unit: len(found[unit]) for unit in found},
    )
    fed = of_unit("WatchdogTimestampMonotonic", PAGE)
    took = until(lambda: of_unit("WatchdogTimestampMonotonic", PAGE) != fed)
    check.show(
        "it feeds its watchdog", took is not None and of_unit("WatchdogUSec", PAGE) == "1min"
    )


def cannot_look_into(daemon: int, page: int) -> None:
    """What the page's user can read, in the world that the page's process sees."""
    own = ["/var/lib/access-monitor/access-monitor.db", f"/proc/{page}/environ"]
    others = [
        f"/run/credentials/{UNIT}/secret_openai",
        f"{ETC}/secrets/openai",
        f"/proc/{daemon}/environ",
        f"/proc/{daemon}/mem",
        f"/proc/{daemon}/root/run/credentials/{UNIT}/secret_openai",
    ]
    seen = read_within(page, [*own, *others])
    check.show(
        "from within it the database can be read, and neither the daemon's credentials nor its process",
        seen == own,
        seen,
    )


def read_within(pid: int, paths: list[str]) -> list[str]:
    """Those of the paths that a process can open which is like this one: its user, mounts, users."""
    user = Path(f"/proc/{pid}").stat().st_uid
    libc = ctypes.CDLL(None, use_errno=True)
    seen, told = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            # by descriptors from before: within, nothing of this machine may be there
            worlds = [os.open(f"/proc/{pid}/ns/{name}", os.O_RDONLY) for name in ("mnt", "user")]
            os.setgroups([])
            for world in worlds:
                if libc.setns(world, 0):
                    raise OSError(ctypes.get_errno(), "setns")
            os.setresgid(user, user, user)
            os.setresuid(user, user, user)
            os.write(told, json.dumps([path for path in paths if opens(path)]).encode())
        finally:
            os._exit(0)
    os.close(told)
    with os.fdopen(seen) as found:
        text = found.read()
    os.waitpid(child, 0)
    return json.loads(text) if text else ["nothing was told"]


def opens(path: str) -> bool:
    try:
        os.close(os.open(path, os.O_RDONLY))
    except OSError:
        return False
    return True


def memory_of(pid: int) -> Iterator[bytes]:
    """What the process can write of its memory, and its environment."""
    yield Path(f"/proc/{pid}/environ").read_bytes()
    os.kill(pid, signal.SIGSTOP)  # else it gives memory back between the list of it and the reading
    try:
        with Path(f"/proc/{pid}/mem").open("rb") as memory:
            for line in Path(f"/proc/{pid}/maps").read_text().splitlines():
                begin, end = (int(one, 16) for one in line.split()[0].split("-"))
                if "rw" in line.split()[1]:
                    memory.seek(begin)
                    yield memory.read(end - begin)
    finally:
        os.kill(pid, signal.SIGCONT)


def goes_on_and_stops() -> None:
    """The daemon is stopped."""
    _, text = ask("")
    check.show("the page says that the daemon is stopped", "the daemon is stopped since" in text)
    before = main_pid(PAGE)
    os.kill(before, signal.SIGKILL)
    took = until(lambda: main_pid(PAGE) not in (0, before) and healthcheck("--web").returncode == 0)
    check.show("SIGKILL: the page is started again", took is not None, f"{took or -1:.1f} s")
    request = urllib.request.Request(URL + "api/v1/events")
    request.add_header("Authorization", f"Bearer {TOKEN}")
    with urllib.request.urlopen(request, timeout=10) as stream:
        stream.readline()
        began = time.monotonic()
        systemctl("stop", PAGE)
        took = time.monotonic() - began
    result = of_unit("Result", PAGE)
    check.show(
        "it stops within 2 s while a page is watched live",
        result == "success" and took < 2,
        f"{took:.1f} s",
    )
    said = must("journalctl", "-u", PAGE, "-o", "export")
    check.show("no secret in its journal", not re.search("sk-sim-FAKE|FAKE-page|FAKE-heart", said))
    settings = ETC / "access-monitor.toml"
    settings.write_text(
        settings.read_text().partition("[[web")[0] + '[web]\nlisten = "0.0.0.0:8090"\n'
    )
    systemctl("start", PAGE)
    until(lambda: of_unit("ActiveState", PAGE) == "failed")
    facts = [of_unit(name, PAGE) for name in ("ActiveState", "ExecMainStatus", "NRestarts")]
    check.show(
        "open to everybody: failed at once with 2, and is not started again",
        facts == ["failed", "2", "0"],
        facts,
    )
