"""Two workers in containers on one PostgreSQL: one is killed, and the other tells what opens then.

The server runs beside the containers, which have the folder of its socket: there is no registry here to
bring an image of it.
"""

import json
import os
import re
import sys
import time
import urllib.request
from collections import Counter
from pathlib import Path
from typing import Any

from tools import CONFINED, FAST, IMAGE, UID, check, must, podman, until

sys.path.append(str(Path(__file__).resolve().parents[2] / "support"))
from postgres_server import PostgresServer

A, B, PAGE = (f"access-monitor-check-{name}" for name in ("worker-a", "worker-b", "fleet-web"))
#: Each of an organization of its own: these are shared out.
KEYS = [f"fleet-{number}" for number in range(6)]
SECRETS = {key: f"sk-sim-FAKE-{key}-0001" for key in KEYS}
PORT = 8091

SETTINGS = """
[fleet]
[monitor]
database = "file:/run/secrets/database"
[routes.sim]
base_url = "{base_url}"
contract = "direct"
[[channels]]
name = "ops"
url = "file:/run/secrets/ops"
{fast}[web]
listen = "127.0.0.1:{port}"
"""
KEY = """
[[keys]]
name = "{key}"
secret = "file:/run/secrets/{key}"
organization = "org-{key}"
route = "sim"
watch = ["gpt-image-2"]
"""


def scenario(*, opened: bool) -> str:
    gate = '[keys.capabilities."gpt-image-2:images"]\nopen = 0.0\n' if opened else ""
    return 'name = "fleet"\nabout = "all open at once"\n' + "".join(
        f'[[keys]]\nname = "{key}"\nsecret = "{secret}"\norganization = "org-{key}"\n{gate}'
        for key, secret in SECRETS.items()
    )


def write(folder: Path, base_url: str, secrets: dict[str, str]) -> None:
    (folder / "fleet-etc").mkdir()
    text = SETTINGS.format(base_url=base_url, fast=FAST, port=PORT) + "".join(
        KEY.format(key=k) for k in KEYS
    )
    (folder / "fleet-etc" / "access-monitor.toml").write_text(text)
    for name, own in (("fleet-secrets", secrets), ("fleet-web-secrets", {"database"})):
        (folder / name).mkdir()
        for file in own:
            path = folder / name / file
            path.write_text(f"{secrets[file]}\n")
            os.chown(path, UID, UID)
            path.chmod(0o400)


def start(folder: Path, server: Path, container: str, *, secrets: str, command: str) -> None:
    """A container with the settings and these secrets, and no volume, not even the image's own."""
    must(
        "run",
        "--detach",
        "--name",
        container,
        "--hostname",
        container.removeprefix("access-monitor-check-"),
        "--image-volume=ignore",
        *CONFINED,
        "--volume",
        f"{folder}/fleet-etc:/etc/access-monitor:ro",
        "--volume",
        f"{folder}/{secrets}:/run/secrets:ro",
        "--volume",
        f"{server}:{server}:ro",
        IMAGE,
        command,
    )


def share(container: str) -> int:
    """The number of the targets that a worker has, as it logged last."""
    lines = [line for line in podman("logs", container).stderr.splitlines() if '"shards"' in line]
    logged = [one for one in map(json.loads, lines) if one["event"] == "shards"]
    return logged[-1]["targets"] if logged else 0


def shared() -> bool:
    shares = share(A), share(B)
    return sum(shares) == len(KEYS) and 0 not in shares


def history(container: str) -> list[dict[str, Any]]:
    return json.loads(must("exec", container, "access-monitor", "history", "--format", "json"))


def openings(rows: list[dict[str, Any]]) -> dict[int, str]:
    """The target of each event that says that one is available."""
    return {row["id"]: row["target"] for row in rows if row["to"] == "available"}


def told(webhook: Any) -> Counter[int]:
    """How often the event of each id was told."""
    texts = [message["message"] for message in webhook.messages]
    return Counter(
        int(id_) for text in texts for id_ in dict.fromkeys(re.findall(r"\[#(\d+)\]", text))
    )


def answers() -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{PORT}/healthz", timeout=10) as answer:
            return answer.status == 200
    except OSError:
        return False


def takes_over(folder: Path, base_url: str, webhook: Any) -> None:
    """The whole story; `webhook` takes what is delivered, and nobody else delivers there meanwhile."""
    simulator = base_url.removesuffix("/v1") + "/sim/scenario"

    def play(*, opened: bool) -> None:
        urllib.request.urlopen(simulator, scenario(opened=opened).encode(), timeout=10).close()

    play(opened=False)
    server = PostgresServer()
    try:
        server.folder.chmod(0o755)  # its data are in a folder below, which stays its own
        write(folder, base_url, SECRETS | {"ops": webhook.url, "database": server.url()})
        for container in (A, B):
            start(folder, server.folder, container, secrets="fleet-secrets", command="run")
        start(folder, server.folder, PAGE, secrets="fleet-web-secrets", command="web")
        took = until(shared)
        check.show(
            "fleet: two workers of the same settings share the targets, without a volume",
            took is not None,
            f"{share(A)} and {share(B)} of {len(KEYS)} after {took or -1:.1f} s",
        )
        shut = until(lambda: all(key in json.dumps(webhook.messages) for key in KEYS))
        health = [podman("healthcheck", "run", one).returncode for one in (A, B)]
        check.show(
            "fleet: each gate was told shut, and each worker is healthy by its host name",
            shut is not None and health == [0, 0],
            health,
        )
        check.show("fleet: a page reads the database", until(answers, 30) is not None)
        one_is_killed(play, webhook)
        it_comes_back_and_the_other_hands_over()
    finally:
        for container in (A, B, PAGE):
            logs = podman("logs", container)
            print((logs.stdout + logs.stderr)[-2000:] if check.failed else "", end="")
            podman("rm", "-f", "-t", "0", "--volumes", container)
        server.close()


def one_is_killed(play: Any, webhook: Any) -> None:
    lost = share(A)
    before = time.monotonic()
    must("kill", "--signal", "KILL", A)
    play(opened=True)
    took = until(lambda: len(openings(history(B))) >= len(KEYS), 60)
    opened = openings(history(B))
    until(lambda: all(told(webhook)[id_] for id_ in opened), 20)
    counts = [told(webhook)[id_] for id_ in opened]
    check.show(
        "fleet: a worker is killed, gates open, and the other tells each opening once",
        took is not None and len(set(opened.values())) == len(KEYS) and set(counts) == {1},
        f"{lost} targets were the killed one's; all told {time.monotonic() - before:.1f} s later",
    )


def it_comes_back_and_the_other_hands_over() -> None:
    must("start", A)  # what a restart policy does
    took = until(shared)
    check.show(
        "fleet: started again it has its share again", took is not None, f"after {took or -1:.1f} s"
    )
    begin = time.monotonic()
    must("stop", "--time", "10", B)
    stopped = time.monotonic() - begin
    took = until(lambda: share(A) == len(KEYS), 20)
    code = json.loads(must("inspect", "--format", "{{json .State.ExitCode}}", B))
    check.show(
        "fleet: stopped, a worker hands over within 5 s",
        code == 0 and took is not None and time.monotonic() - begin < 8,
        f"status {code} in {stopped:.1f} s, taken over {took or -1:.1f} s later",
    )
