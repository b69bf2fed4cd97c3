"""The web process holds no secret of the settings: not in its environment, its memory or its open files."""

import re
from contextlib import suppress
from pathlib import Path

import pytest

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(240)]

#: What the daemon has, and the page must not. The names of the variables are in the settings.
CANARIES = {
    "SLACK_URL": "https://hooks.slack.com/services/TCANARY01/BCANARY02/canaryCANARYcanary03",
    "MAIL_URL": "mailtos://alerts:CANARY-mail-password-04@127.0.0.1:9?from=a@acme.example&to=b@acme.example",
    "HEARTBEAT_URL": "https://beat.example/CANARY-heartbeat-05",
    "ADMIN_KEY": "sk-admin-FAKE-CANARY-06",
}
MORE = """
[[channels]]
name = "slack"
url = "env:SLACK_URL"
[[channels]]
name = "mail"
url = "env:MAIL_URL"
[heartbeat]
url = "env:HEARTBEAT_URL"
[organizations."org-acme"]
admin_key = "env:ADMIN_KEY"
route = "sim"
"""


def memory_of(pid: int) -> bytes:
    """All that a process has in memory and may read, as a core image would have it."""
    found = []
    with Path(f"/proc/{pid}/mem").open("rb", buffering=0) as memory:
        for line in Path(f"/proc/{pid}/maps").read_text().splitlines():
            place, rights, *_ = line.split()
            if not rights.startswith("r") or line.endswith(("[vvar]", "[vsyscall]")):
                continue
            start, end = (int(part, 16) for part in place.split("-"))
            with suppress(OSError):  # a page that the kernel does not give
                memory.seek(start)
                while start < end and (part := memory.read(min(end - start, 1 << 20))):
                    found.append(part)
                    start += len(part)
    return b"".join(found)


def open_files(pid: int) -> dict[str, bytes]:
    """The contents of the regular files that a process has open."""
    found = {}
    for one in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(OSError):
            path = one.readlink()
            if path.is_file():
                found[str(path)] = one.read_bytes()
    return found


def told_at_its_start(pid: int, what: str) -> bytes:
    return Path(f"/proc/{pid}/{what}").read_bytes()


def parts(keys) -> dict[str, bytes]:
    """What to look for: of each secret the part that is secret."""
    found = {name: secret.encode() for name, secret in keys.items()}
    for name, secret in CANARIES.items():
        found[name] = re.search(r"[\w-]*canary[\w-]*$|CANARY-[\w-]+", secret, re.IGNORECASE)[
            0
        ].encode()
    return found


async def look_at_everything(site, pages, token) -> None:
    async with site.client(token) as client:
        for path in pages.values():
            assert (await client.get(f"/{path}")).status_code in (200, 303, 404)
        for path in ("status", "history", "propagation", "notifications", "routes", "openapi.json"):
            assert (await client.get(f"/api/v1/{path}")).status_code == 200


async def test_no_secret_of_the_settings_is_anywhere_in_the_process(site, pages, tokens, keys):
    await site.watch(tokens=True, more=MORE, environ=CANARIES)
    await site.serve()
    await look_at_everything(site, pages, tokens["read"])
    needles = parts(keys)
    # the search finds what is there: the daemon has them all
    theirs = memory_of(site.daemon.pid)
    assert [name for name, needle in needles.items() if needle not in theirs] == []
    ours = {
        "environment": told_at_its_start(site.web.pid, "environ"),
        "command line": told_at_its_start(site.web.pid, "cmdline"),
        "memory": memory_of(site.web.pid),
        **open_files(site.web.pid),
    }
    assert len(ours["memory"]) > 20_000_000
    assert b"org-acme" in ours["memory"]  # it is the memory of who answered
    assert [
        f"{name} in {where}"
        for where, data in ours.items()
        for name, needle in needles.items()
        if needle in data
    ] == []
    # its own tokens are kept as hashes, and looked for beside the environment that brought them
    assert tokens["write"].encode() in ours["environment"]


async def test_it_starts_and_answers_where_no_reference_resolves(site, pages, tokens):
    await site.watch(tokens=True, environ=CANARIES)
    site.write_settings(tokens=True, more=MORE)
    (site.lab.folder / "pool-a.keys").unlink()
    assert (await site.lab.call("config", "check", "--config", str(site.lab.settings))).status == 2
    await site.serve()
    await look_at_everything(site, pages, tokens["read"])
    assert "warning" not in (site.lab.folder / "web.log").read_text()
