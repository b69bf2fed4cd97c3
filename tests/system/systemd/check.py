"""The service in a real systemd: installs it and checks what an administrator would see.

To be run as root on a machine that may be thrown away afterwards; nothing but this machine is needed.
Prints a line for each thing shown, and `N passed, M failed` at the end; the exit status says the same.
"""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import page
import workers
from tools import (
    COMMAND,
    ETC,
    HOME,
    PAGE,
    STATE,
    TREE,
    UNIT,
    WORKER,
    check,
    healthcheck,
    journal,
    main_pid,
    must,
    of_unit,
    run,
    systemctl,
    the_unit,
    until,
)

SECRETS = {"openai": "sk-sim-FAKE-acme-prod-0001", "other": "sk-sim-FAKE-acme-test-0002"}
TARGET = "acme-prod/gpt-image-2:images"
HERE = Path(__file__).parent
ANOTHER = (HERE / "another-key.toml").read_text(encoding="utf-8")
NOBODY = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]


class Ends:
    """One HTTP server for all that the service calls: channels and heartbeat, told apart by path."""

    def __init__(self) -> None:
        self.came: list[tuple[str, str]] = []
        ends = self

        class Handler(BaseHTTPRequestHandler):
            def _take(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                ends.came.append((self.path, body.decode()))
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            do_GET = do_POST = _take  # noqa: N815 - the base class's names

            def log_message(self, *_: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def at(self, path: str) -> list[str]:
        return [body for where, body in self.came if where == path]


ends = Ends()


def write_settings(base_url: str, more: str = "") -> None:
    text = (HERE / "settings.toml.in").read_text(encoding="utf-8")
    (ETC / "access-monitor.toml").write_text(text.format(base_url=base_url, more=more))


def install() -> None:
    """As docs/running.md has it, but with the libraries that are here already."""
    # One that the service can see: homes are hidden from it.
    name = f"python3.{sys.version_info.minor}"
    places = ("/usr/bin", "/usr/local/bin", f"{sys.base_prefix}/bin")
    base = next(path for place in places if (path := Path(place, name)).exists())
    must(base, "-m", "venv", "--without-pip", HOME / "venv")
    here = next(path for path in sys.path if path.endswith("site-packages"))
    there = next((HOME / "venv" / "lib").glob("python3.*")) / "site-packages"
    # Copied, not pointed at: the service sees neither homes nor the machine's temporary files.
    unwanted = shutil.ignore_patterns("*.pth", "access_monitor*", "mypy*", "ruff*", "__pycache__")
    shutil.copytree(here, there, ignore=unwanted, dirs_exist_ok=True)
    pip = [sys.executable, "-m", "pip", "--python", HOME / "venv/bin/python", "install", "--quiet"]
    must(*pip, "--no-deps", "--no-index", "--no-build-isolation", "--ignore-installed", TREE)
    # As pip does it: the service cannot write there, and would compile everything at each start.
    must(HOME / "venv/bin/python", "-m", "compileall", "-q", "-x", "bad_syntax", there)
    secrets = ETC / "secrets"
    secrets.mkdir(mode=0o700, parents=True)
    hooks = {name: f"json://127.0.0.1:{ends.port}/{name}" for name in ("ops", "notices")}
    hooks["heartbeat"] = f"http://127.0.0.1:{ends.port}/ping/FAKE-heartbeat-0001"
    for name, value in (SECRETS | hooks).items():
        (secrets / name).write_text(value)
        (secrets / name).chmod(0o600)
    page.install_token()
    for name in (UNIT, PAGE, WORKER):
        shutil.copy(TREE / "deploy" / "systemd" / name, "/etc/systemd/system")
    must("systemctl", "daemon-reload")


def simulate() -> tuple[subprocess.Popen[str], str]:
    words = [COMMAND, "simulate", "--scenario", HERE / "scenario.toml", "--listen", "127.0.0.1:0"]
    process = subprocess.Popen([str(w) for w in words], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    return process, process.stdout.readline().strip()


def open_the_gate(base_url: str) -> None:
    """One gate opens, now that it was seen shut: one that is open at the first probe is no news."""
    url = base_url.removesuffix("/v1") + "/sim/scenario"
    story = (HERE / "scenario.toml").read_text().replace("open = 3600.0", "open = 0.0")
    with urllib.request.urlopen(url, story.encode(), timeout=10) as answer:
        assert answer.status == 200


def bad_settings(base_url: str) -> None:
    write_settings(base_url, more='[[keys]]\nname = "x"\nsecret = "credential:secret_none"\n')
    started = systemctl("start", UNIT)
    until(lambda: of_unit("ActiveState") == "failed")
    facts = (of_unit("ActiveState"), of_unit("ExecMainStatus"), of_unit("NRestarts"))
    check.show(
        "settings that cannot be used: failed at once with 2, and is not started again",
        started.returncode != 0 and facts == ("failed", "2", "0"),
        facts,
    )
    systemctl("reset-failed", UNIT)


def start(base_url: str) -> None:
    write_settings(base_url)
    started = systemctl("start", UNIT)
    first = of_unit("StatusText")
    check.show(
        "start: ready, with counts", started.returncode == 0 and "2 targets: " in first, first
    )
    until(lambda: "2 unverified" in of_unit("StatusText"))
    open_the_gate(base_url)
    took = until(lambda: "1 available" in of_unit("StatusText"))
    page = systemctl("status", UNIT).stdout
    line = next((line.strip() for line in page.splitlines() if "Status:" in line), "")
    check.show(
        "systemctl status: the counts change", took is not None and "available" in line, line
    )
    check.show(
        "healthcheck by hand is 0", healthcheck().returncode == 0, healthcheck().stdout.strip()
    )


def credentials() -> None:
    pid = main_pid()
    place = Path("/run/credentials") / UNIT
    owner, mode = place.stat().st_uid, place.stat().st_mode & 0o777
    service = Path(f"/proc/{pid}").stat().st_uid
    refused = [
        run(*NOBODY, "cat", path).returncode != 0
        for path in (
            place / "secret_openai",
            ETC / "secrets" / "openai",
            STATE / "access-monitor.db",
        )
    ]
    check.show(
        "credentials are the service's own (not root's), and others can read neither them, nor"
        " their source, nor the database",
        all(refused)
        and service != 0
        and owner in (0, service)
        and mode & 0o077 in (0, 0o040, 0o050),
        f"uid {service}, mode {mode:o}",
    )
    around = Path(f"/proc/{pid}/environ").read_bytes() + Path(f"/proc/{pid}/cmdline").read_bytes()
    check.show("no secret in the environment or the command line", b"FAKE" not in around)


def alerts() -> None:
    took = until(lambda: any("available" in body.lower() for body in ends.at("/ops")))
    titles = [json.loads(body)["title"] for body in ends.at("/ops")]
    check.show("alerts are delivered", took is not None, "; ".join(titles))
    notice = until(lambda: ends.at("/notices")) is not None and json.loads(ends.at("/notices")[0])
    check.show("a notice of the start came to its channel", notice, notice and notice["title"])
    heart = "/ping/FAKE-heartbeat-0001"
    until(lambda: ends.at(heart))
    check.show("the heartbeat calls start, then success", ends.at(f"{heart}/start") and ends.at(heart),
               f"{len(ends.at(heart))} times")  # fmt: skip


def the_journal() -> None:
    found = journal(f"TARGET={TARGET}", "EVENT=transition")
    moves = [(one.get("BEFORE"), one.get("AFTER"), one["PRIORITY"]) for one in found]
    check.show("journalctl finds the transitions by TARGET= and EVENT=",
               ("propagating", "available", "6") in moves, moves)  # fmt: skip
    everything = must("journalctl", "-o", "export")
    check.show("no secret in the journal", not re.search("sk-sim-FAKE|FAKE-heartbeat", everything))


def reload(base_url: str) -> None:
    before = main_pid()
    write_settings(base_url, more=ANOTHER)
    good = systemctl("reload", UNIT)
    took = until(lambda: "3 targets: " in of_unit("StatusText"))
    check.show("reload with a good file: three targets", good.returncode == 0 and took is not None
               and main_pid() == before, of_unit("StatusText"))  # fmt: skip
    write_settings(base_url, more=ANOTHER + '\ncolour = "red"\n')
    systemctl("reload", UNIT)
    took = until(lambda: journal("-p", "err", "--grep", "colour"))
    until(lambda: of_unit("ActiveState") == "active")
    check.show("reload with a bad file: told as an error, and nothing changes", took is not None
               and main_pid() == before and "3 targets: " in of_unit("StatusText"),
               of_unit("StatusText"))  # fmt: skip
    check.show("a bad file is no illness", healthcheck().returncode == 0)
    write_settings(base_url, more=ANOTHER)


def again(before: int, seconds: float) -> float | None:
    return until(
        lambda: main_pid() not in (0, before) and of_unit("ActiveState") == "active", seconds
    )


def ids() -> list[str]:
    """What was told, by the ids in each message."""
    found = [re.findall(r"\[#(\d+)\]", json.loads(body)["message"]) for body in ends.at("/ops")]
    return [id_ for message in found for id_ in dict.fromkeys(message)]


def killed() -> None:
    before, told = main_pid(), ids()
    must("systemctl", "kill", "--kill-whom=main", "--signal=SIGKILL", UNIT)
    took = again(before, 60)
    goes_on = until(lambda: "1 available" in of_unit("StatusText"))
    check.show("SIGKILL: started again, and goes on", took is not None and goes_on is not None,
               f"{took or -1:.1f} s, {of_unit('StatusText')}")  # fmt: skip
    check.show(
        "nothing is told twice", ids()[: len(told)] == told and len(set(ids())) == len(ids())
    )


def hanging() -> None:
    before, until_now = main_pid(), len(ends.came)
    os.kill(before, signal.SIGSTOP)
    began = time.monotonic()
    beats = len(ends.came)
    found = until(lambda: healthcheck().returncode == 1, 70)
    check.show("SIGSTOP: healthcheck finds it within a minute", found is not None and found <= 60,
               f"{found or -1:.0f} s: {healthcheck().stdout.strip()}")  # fmt: skip
    check.show("no heartbeat meanwhile", len(ends.came) <= beats + 1, len(ends.came) - until_now)
    back = again(before, 120)
    bitten = journal("--grep", "[Ww]atchdog timeout")
    check.show("the watchdog bites and the service goes on", back is not None and bitten,
               f"after {time.monotonic() - began:.0f} s")  # fmt: skip
    where = journal("--grep", "Fatal Python error: Aborted")
    check.show("it says in the journal where it hung", where)
    check.show("healthy again", until(lambda: healthcheck().returncode == 0) is not None)


def encrypted() -> None:
    made = ETC / "openai.cred"
    done = run("systemd-creds", "encrypt", "--with-key=host", "--name=secret_openai", "-", made,
               input=SECRETS["openai"])  # fmt: skip
    assert done.returncode == 0, done.stderr
    (ETC / "secrets" / "openai").unlink()
    drop_in = Path("/etc/systemd/system") / f"{UNIT}.d"
    drop_in.mkdir()
    (drop_in / "credentials.conf").write_text(
        f"[Service]\nLoadCredentialEncrypted=secret_openai:{made}\n"
    )
    must("systemctl", "daemon-reload")
    restarted = systemctl("restart", UNIT)
    took = until(lambda: "1 available" in of_unit("StatusText"))
    check.show("the same key as an encrypted credential", restarted.returncode == 0 and took is not None
               and SECRETS["openai"].encode() not in made.read_bytes())  # fmt: skip


def stop() -> None:
    service = Path(f"/proc/{main_pid()}").stat().st_uid
    began = time.monotonic()
    stopped = systemctl("stop", UNIT)
    took = time.monotonic() - began
    result = of_unit("Result")
    check.show("stop: in order within 10 s",
               stopped.returncode == 0 and took < 10 and result == "success", f"{took:.1f} s")  # fmt: skip
    titles = [json.loads(body)["title"] for body in ends.at("/notices")]
    check.show("a notice of the stop came", "stopping" in titles[-1], titles[-1])
    check.show("healthcheck says that it is stopped", "is stopped" in healthcheck().stdout)
    skipped = ("/proc", "/sys", "/dev", "/run", str(STATE))
    words = [word for path in skipped for word in ("-path", path, "-prune", "-o")]
    # its status does not count: what others are removing meanwhile makes it complain
    strays = run("find", "/", *words, "-uid", service, "-print").stdout.splitlines()
    kept = sorted(path.name for path in STATE.iterdir())
    check.show("nothing of its own outside the state folder", not strays, strays or kept)
    others = [path.name for path in STATE.iterdir() if path.stat().st_uid != service]
    check.show("and root's commands there left nothing there that the service could not write",
               not others, others or "")  # fmt: skip


def main() -> int:
    install()
    simulator, base_url = simulate()
    try:
        for name in (UNIT, PAGE, WORKER):
            the_unit(name)
        page.starts_alone(write=lambda: write_settings(base_url))
        bad_settings(base_url)
        start(base_url)
        page.beside_the_daemon(secrets=SECRETS)
        credentials()
        alerts()
        the_journal()

        reload(base_url)
        killed()
        hanging()
        encrypted()
        stop()
        page.goes_on_and_stops()
        write_settings(base_url, more=ANOTHER)
        workers.share_a_machine(SECRETS)
    finally:
        simulator.kill()
    print(f"{check.passed} passed, {check.failed} failed")
    return 1 if check.failed else 0


if __name__ == "__main__":
    sys.exit(main())
