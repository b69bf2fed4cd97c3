"""The page's container beside the daemon's: on its volume, and without its secrets."""

import json
import os
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

from tools import CONFINED, IMAGE, UID, check, must, podman, until

NAME = "access-monitor-check-page"
TOKEN = "FAKE-page-token-0001"
URL = "http://127.0.0.1:8090/"
SETTINGS = """
[web]
listen = "0.0.0.0:8090"
[[web.tokens]]
name = "team"
secret = "file:/run/secrets/web"
right = "write"
"""


def write_secret(folder: Path) -> None:
    """The folder that is mounted into it, with its token only."""
    folder.mkdir()
    (folder / "web").write_text(TOKEN)
    os.chown(folder / "web", UID, UID)
    (folder / "web").chmod(0o400)


def ask(path: str, *, token: str = TOKEN, body: Any = None) -> tuple[int, str]:
    """The status and the text of an answer; status 0 for none."""
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(URL + path, data)
    request.add_header("Authorization", f"Bearer {token}")
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()
    except OSError as error:
        return 0, str(error)


def beside_the_daemon(folder: Path, volume: str, secrets: list[str]) -> None:
    must(
        "run",
        "--detach",
        "--name",
        NAME,
        *CONFINED,
        "--volume",
        f"{volume}:/var/lib/access-monitor",
        "--volume",
        f"{folder}/etc:/etc/access-monitor:ro",
        "--volume",
        f"{folder}/web-secrets:/run/secrets:ro",
        IMAGE,
        "web",
    )
    try:
        took = until(lambda: ask("healthz")[0] == 200)
        check.show("the page answers", took is not None, f"after {took or -1:.1f} s")
        asked = podman("exec", NAME, "access-monitor", "healthcheck", "--web")
        check.show("its health check is 0", asked.returncode == 0, asked.stdout.strip())
        statuses = [ask("api/v1/status", token=token)[0] for token in ("", TOKEN)]
        check.show("only the token opens it", statuses == [401, 200], statuses)
        target = "acme-prod/gpt-image-2:images"
        status, text = ask("api/v1/probes", body={"target": target})
        see = f"api/v1/requests/{json.loads(text)['id']}"
        took = until(lambda: json.loads(ask(see)[1])["state"] == "taken")
        check.show("what it is asked for reaches the daemon", status == 202 and took is not None)
        given = must("exec", NAME, "ls", "-A", "/run/secrets").split()
        around = must("inspect", NAME) + must("exec", NAME, "cat", "/proc/1/environ")
        check.show(
            "it is given its own token, and neither key nor channel",
            given == ["web"] and not any(secret in around for secret in secrets),
            given,
        )
        begin = time.monotonic()
        must("stop", "--time", "10", NAME)
        took = time.monotonic() - begin
        code = json.loads(must("inspect", "--format", "{{json .State.ExitCode}}", NAME))
        check.show(
            "it stops within 10 s", code == 0 and took < 10, f"status {code} in {took:.1f} s"
        )
    finally:
        logs = podman("logs", NAME)
        print((logs.stdout + logs.stderr)[-2000:] if check.failed else "", end="")
        podman("rm", "-f", "--volumes", NAME)
