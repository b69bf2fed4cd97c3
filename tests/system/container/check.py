"""The image in a real container: what is in it, how it runs, stops, and goes on.

To be run where podman works and `$IMAGE` names the image; all that is called is on this machine, and
containers share its network. Prints a line for each thing shown, and `N passed, M failed` at the end;
the exit status says the same.
"""

import json
import os
import secrets
import signal
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import fleet
import page
from image import no_secrets_in_layers, the_build_sees_no_secrets, the_image
from tools import CONFINED, FAST, IMAGE, NAME, UID, check, inspect, must, podman, until

VOLUME = "access-monitor-check-state"
SECRETS = {name: f"sk-sim-FAKE-{secrets.token_hex(12)}" for name in ("openai", "other")}

SCENARIO = f"""
name = "container"
about = "one opens, one stays shut"
[[keys]]
name = "acme-prod"
secret = "{SECRETS["openai"]}"
organization = "org-acme"
[[keys]]
name = "acme-test"
secret = "{SECRETS["other"]}"
organization = "org-acme-test"
"""
OPENED = SCENARIO.replace(
    'organization = "org-acme"\n',
    'organization = "org-acme"\n[keys.capabilities."gpt-image-2:images"]\nopen = 0.0\n',
)

SETTINGS = """
[routes.sim]
base_url = "{base_url}"
contract = "direct"
[[keys]]
name = "acme-prod"
secret = "file:/run/secrets/openai"
organization = "org-acme"
route = "sim"
watch = ["gpt-image-2"]
[[keys]]
name = "acme-test"
secret = "file:/run/secrets/other"
organization = "org-acme-test"
route = "sim"
watch = ["gpt-image-2"]
[[channels]]
name = "ops"
url = "file:/run/secrets/ops"
"""


class Webhook:
    """Takes what is delivered."""

    def __init__(self) -> None:
        self.messages: list[dict[str, str]] = []
        messages = self.messages

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                messages.append(json.loads(body))
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                pass

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"json://127.0.0.1:{server.server_address[1]}/FAKE-webhook-0001"
        threading.Thread(target=server.serve_forever, daemon=True).start()

    @property
    def titles(self) -> list[str]:
        return [message["title"] for message in self.messages]


webhook = Webhook()


# The container


def start(folder: Path) -> None:
    must(
        "run",
        "--detach",
        "--name",
        NAME,
        *CONFINED,
        "--volume",
        f"{VOLUME}:/var/lib/access-monitor",
        "--volume",
        f"{folder}/etc:/etc/access-monitor:ro",
        "--volume",
        f"{folder}/secrets:/run/secrets:ro",
        IMAGE,
    )


def first_process() -> int:
    return int(inspect("container", ".State.Pid"))


def daemon() -> int:
    """The daemon's process, as this machine numbers it: the only child of the container's first."""
    pid = first_process()
    return int(Path(f"/proc/{pid}/task/{pid}/children").read_text().split()[0])


def status_of(pid: int) -> dict[str, str]:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return {
        name: " ".join(value.split()) for name, _, value in (line.partition(":") for line in lines)
    }


def confined() -> None:
    facts = [status_of(pid) for pid in (first_process(), daemon())]
    check.show(
        "the processes run as the fixed user",
        all(f["Uid"] == f["Gid"] == " ".join([str(UID)] * 4) for f in facts),
        facts[1]["Uid"],
    )
    rights = {facts[1][name] for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")}
    check.show(
        "no capabilities, and none can be gained",
        rights == {"0" * 16} and facts[1]["NoNewPrivs"] == "1",
    )
    places = (
        "/ /tmp /var/tmp /run /dev/shm /etc /etc/access-monitor /run/secrets /opt/access-monitor"
        " /var/lib/access-monitor"
    )
    script = f'for d in {places}; do (: > "$d/x") 2>/dev/null && rm "$d/x" && echo "$d"; done; true'
    writable = must("exec", NAME, "sh", "-c", script).split()
    kept = {"/dev/shm", "/var/lib/access-monitor"}
    check.show(
        "the root is read-only: only the volume (and memory) can be written",
        set(writable) <= kept,
        writable,
    )
    sizes = " ".join(
        f"{name} {status_of(pid)['VmRSS']}"
        for name, pid in (("init", first_process()), ("daemon", daemon()))
    )
    check.show("memory", True, sizes)


def healthy() -> tuple[int, str, float]:
    begin = time.monotonic()
    called = podman("healthcheck", "run", NAME)
    log = inspect("container", ".State")
    last = log.get("Health") or log.get("Healthcheck")
    return (
        called.returncode,
        f"{last['Status']}: {last['Log'][-1]['Output'].strip()[:150]}",
        time.monotonic() - begin,
    )


def health() -> None:
    status, said, took = healthy()
    check.show("healthy", status == 0 and said.startswith("healthy"), f"in {took:.1f} s, {said}")
    pid = daemon()
    os.kill(pid, signal.SIGSTOP)
    wait = until(lambda: healthy()[1].startswith("unhealthy"), 120)
    check.show(
        "unhealthy when the daemon is stopped",
        wait is not None,
        f"after {wait or 0:.0f} s, {healthy()[1]}",
    )
    os.kill(pid, signal.SIGCONT)
    wait = until(lambda: healthy()[0] == 0)
    check.show(
        "healthy again when it goes on",
        wait is not None and daemon() == pid,
        f"after {wait or 0:.0f} s",
    )


def commands() -> None:
    target = "acme-test/gpt-image-2:images"
    checked = podman("exec", NAME, "access-monitor", "check", target)
    check.show("commands work beside the daemon: check says gated", checked.returncode == 10)
    seen = json.loads(must("exec", NAME, "access-monitor", "status", "--format", "json"))["targets"]
    states = {one["target"]: one["state"] for one in seen}
    check.show("and status has the states", sorted(states.values()) == ["available", "unverified"])


def no_zombies() -> None:
    """An orphan becomes the first process's child; one that nobody reaps would stay for ever."""
    mine = must("exec", NAME, "sh", "-c", "sleep 2 & echo $!").strip()
    first = first_process()
    orphans = [
        int(pid)
        for pid in Path(f"/proc/{first}/task/{first}/children").read_text().split()
        if status_of(int(pid))["NSpid"].split()[-1] == mine
    ]
    gone = until(lambda: orphans and not Path(f"/proc/{orphans[0]}").exists(), 20)
    check.show("an orphan is reaped: no zombies", len(orphans) == 1 and gone is not None)


def reload() -> None:
    must("kill", "--signal", "HUP", NAME)
    took = until(lambda: '"reloaded"' in podman("logs", NAME).stderr)
    check.show("SIGHUP reaches the daemon: it reads its settings anew", took is not None)


def stop() -> None:
    begin = time.monotonic()
    must("stop", "--time", "10", NAME)
    took = time.monotonic() - begin
    code = inspect("container", ".State.ExitCode")
    check.show(
        "stop is clean within 10 s", code == 0 and took < 10, f"status {code} in {took:.1f} s"
    )


def logged() -> str:
    logs = podman("logs", NAME)
    return logs.stdout + logs.stderr


def another_command_stops() -> None:
    """A command without handlers of its own, which as process 1 would not hear SIGTERM."""
    must("run", "--detach", "--name", NAME, *CONFINED, IMAGE, "simulate", "--listen", "127.0.0.1:0")
    until(lambda: "simulating" in logged())
    begin = time.monotonic()
    must("stop", "--time", "10", NAME)
    took = time.monotonic() - begin
    code = inspect("container", ".State.ExitCode")
    check.show(
        "other commands hear SIGTERM, too",
        code == 143 and took < 8,
        f"status {code} in {took:.1f} s",
    )
    must("rm", "--volumes", NAME)


def history() -> list[tuple[int, str]]:
    rows = json.loads(must("exec", NAME, "access-monitor", "history", "--format", "json"))
    return [
        (row["id"], row["event"]) for row in rows if row["event"] not in ("started", "stopping")
    ]


def goes_on(folder: Path, requests: Callable[[], int]) -> None:
    """Stop, and kill, and start on the same volume: what was told is not told again."""
    before, told = history(), list(webhook.titles)
    for end in ("stop", "kill"):
        if end == "stop":
            stop()
            text = logged()
            known = [*SECRETS.values(), "FAKE-webhook-0001"]
            check.show(
                "no secret in the log or the container's description",
                not any(one in text + must("inspect", NAME) for one in known),
                f"{len(text)} characters",
            )
        else:
            os.kill(daemon(), signal.SIGKILL)
            until(lambda: inspect("container", ".State.Running") is False)
            code = inspect("container", ".State.ExitCode")
            check.show("killed: the container ends with the daemon's status", code == 137, code)
        must("rm", "--volumes", NAME)
        count = requests()
        start(folder)
        took = until(lambda begun=count: requests() >= begun + 8)
        same = history() == before and webhook.titles == told
        check.show(
            f"after {end}: a new container on the same volume goes on and repeats nothing",
            took is not None and same,
            f"8 more requests, {len(told)} messages and {len(before)} events as before",
        )


def main() -> int:
    the_image()
    no_secrets_in_layers([*SECRETS.values()])
    with tempfile.TemporaryDirectory() as name:
        the_build_sees_no_secrets(Path(name))
    another_command_stops()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        (folder / "scenario.toml").write_text(SCENARIO)
        command = Path(sys.executable).with_name("access-monitor")
        simulator = subprocess.Popen(
            [
                command,
                "simulate",
                "--scenario",
                folder / "scenario.toml",
                "--listen",
                "127.0.0.1:0",
            ],
            stdout=subprocess.PIPE,
            text=True,
        )
        try:
            base_url = simulator.stdout.readline().strip()
            origin = base_url.removesuffix("/v1")

            def requests() -> int:
                with urllib.request.urlopen(f"{origin}/sim/ledger", timeout=10) as answer:
                    return json.load(answer)["requests"]

            (folder / "etc").mkdir()
            (folder / "etc" / "access-monitor.toml").write_text(
                SETTINGS.format(base_url=base_url) + FAST + page.SETTINGS
            )
            (folder / "secrets").mkdir()
            page.write_secret(folder / "web-secrets")
            for file, text in (SECRETS | {"ops": webhook.url}).items():
                (folder / "secrets" / file).write_text(text)
                os.chown(folder / "secrets" / file, UID, UID)
                (folder / "secrets" / file).chmod(0o400)
            start(folder)
            # A gate that is open at the first probe is no news: this one opens when it was seen shut.
            until(lambda: "acme-prod" in json.dumps(webhook.messages))
            urllib.request.urlopen(f"{origin}/sim/scenario", OPENED.encode(), timeout=10).close()
            took = until(lambda: any("available" in title.lower() for title in webhook.titles))
            check.show("alerts are delivered", took is not None, "; ".join(webhook.titles))
            confined()
            commands()
            page.beside_the_daemon(folder, VOLUME, [*SECRETS.values()])
            no_zombies()
            reload()
            health()
            goes_on(folder, requests)
            must("rm", "-f", "--volumes", NAME)
            fleet.takes_over(folder, base_url, Webhook())
        finally:
            print(logged()[-2000:] if check.failed else "", end="")
            podman("rm", "-f", "--volumes", NAME)
            podman("volume", "rm", "-f", VOLUME)
            simulator.terminate()
            simulator.wait()
    print(f"{check.passed} passed, {check.failed} failed")
    return min(check.failed, 1)


if __name__ == "__main__":
    sys.exit(main())
