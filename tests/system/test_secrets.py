"""Canaries for every kind of secret go through every path and come out nowhere."""

import asyncio
import json
import os
import signal
import sys
from base64 import b64encode
from pathlib import Path
from urllib.parse import quote, quote_plus

import pytest
from warm_command import COMMAND

from monitor.simulator.faults import FAULTS
from monitor.simulator.refusals import REFUSALS

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(300)]

DEBUGGING = Path(__file__).with_name("debugging.py")

#: All keys begin with it, so that a part of one is found, too. No pattern matches it.
KEY = "CANARYkey+FAKE/only?"
WEBHOOK = "fakeFAKEfakeFAKEfake0003"
PASSWORD = "FAKE-mail-password-0001"
SIGNING = "Q0FOQVJZ+signing/FAKE0001QRSTUVWXYZabcdefghi"

#: What takes minutes, or does not get as far as an answer that could echo; see test_network_faults.py.
WITHOUT_ECHO = {
    "dripping",
    "endless",
    "endless_headers",
    "endless_interim",
    "nested",
    "long_winded",
}
BLOCKS = sorted(REFUSALS)
SPOILT = sorted(set(FAULTS) - WITHOUT_ECHO)
NAMES = ["open", "gated", "locked", "accident", *BLOCKS, *SPOILT]


def secret_of(name: str) -> str:
    return f"{KEY}{name}-0001"


def needles() -> dict[str, bytes]:
    """Every form to look for. Within base64 a secret stands in three ways, by what goes before it."""
    found = {}
    secrets = {"key": KEY, "webhook": WEBHOOK, "password": PASSWORD, "signing": SIGNING}
    for what, secret in secrets.items():
        found[f"{what}, plain"] = secret.encode()
        found[f"{what}, the first half"] = secret[: len(secret) // 2 + 1].encode()
        found[f"{what}, quoted"] = quote(secret, safe="").encode()
        found[f"{what}, quoted as a form"] = quote_plus(secret).encode()
        found[f"{what}, quoted as a path"] = quote(secret).encode()
        for before in range(3):
            packed = b64encode(b"x" * before + secret.encode())
            found[f"{what}, base64 after {before}"] = packed[4:-4]
            found[f"{what}, base64 for URLs after {before}"] = (
                packed[4:-4].replace(b"+", b"-").replace(b"/", b"_")
            )
    return found


def leaks(where: str, text: str | bytes) -> list[str]:
    """The canaries that are in a text, and where."""
    data = text if isinstance(text, bytes) else text.encode(errors="replace")
    return [f"{what} in {where}" for what, needle in needles().items() if needle in data]


def test_the_search_finds_every_form():
    for secret in (KEY, WEBHOOK, PASSWORD, SIGNING):
        for text in (
            f"a {secret} b",
            quote(f"a {secret} b"),
            b64encode(f"Bearer {secret}0001".encode()),
            b64encode(f"x{secret}yz".encode()),
        ):
            assert leaks("it", text)
    assert leaks("it", secret_of("open")[:12]) == ["key, the first half in it"]


def scenario() -> str:
    parts = ['name = "canaries"']
    for name in NAMES:
        parts.append(f'[[keys]]\nname = "{name}"\nsecret = "{secret_of(name)}"')
        parts.append('organization = "org-acme"')
        if name == "locked":
            parts.append('gate.locked = "always"')
        elif name != "gated":
            parts.append('gate.open = "always"')
        if name in BLOCKS:
            parts.append(f'[[keys.blocks]]\nwhat = "{name}"')
        if name in SPOILT:
            parts.append(f'[[keys.faults]]\nwhat = "{name}"')
        if name != "echo":
            parts.append('[[keys.faults]]\nwhat = "echo"')
    return "\n".join(parts)


def settings(base_url: str, fast: str) -> str:
    parts = [
        '[monitor]\ndatabase = "sqlite:///state/monitor.db"\nlog_format = "json"',
        f'[routes.sim]\nbase_url = "{base_url}"\ncontract = "direct"\nrate = 500.0',
        '[[channels]]\nname = "slack"\nurl = "env:SLACK_URL"',
        '[[channels]]\nname = "mail"\nurl = "env:MAIL_URL"',
        '[[channels]]\nname = "mail-refused"\nurl = "env:MAIL_REFUSED"',
        '[[channels]]\nname = "hook-refused"\nurl = "env:HOOK_REFUSED"',
        # whoever answers there quotes the path and the headers
        (
            '[[channels]]\nname = "signed-refused"\ntype = "webhook"\nurl = "env:SIGNED_REFUSED"\n'
            'secrets = ["env:SIGNING"]\n[budget]\nper_key_per_day = 5.0\n'
        ),
    ]
    also, also_asked = ', "gpt-5.1:summary"', ("open", "gated", "echo")
    for n, name in enumerate(NAMES):
        parts.append(
            f'[[keys]]\nname = "{name}"\nsecret = "env:KEY_{n}"\norganization = "org-acme"\n'
            f'route = "sim"\nwatch = ["gpt-image-2"{also if name in also_asked else ""}]'
        )
    return "\n".join(parts) + fast.replace('"300ms"', '"3s"')


async def canaries(lab, fast) -> None:
    """Everything that a daemon needs, and three channels that are always refused."""
    await lab.open_ends()
    await lab.simulate(scenario())
    lab.settings.write_text(settings(lab.base_url, fast))
    temporary = lab.folder / "tmp"
    temporary.mkdir()
    lab.environ |= {f"KEY_{n}": secret_of(name) for n, name in enumerate(NAMES)}
    lab.environ |= {
        "TMPDIR": str(temporary),
        "MAIL_REFUSED": lab.mail.url().replace("alerts:", f"alerts:{quote(KEY, safe='')}"),
        # whoever answers there quotes the path, which is the secret
        "SIGNED_REFUSED": lab.base_url + f"/{WEBHOOK}",
        "SIGNING": f"whsec_{SIGNING}",
        "HOOK_REFUSED": lab.base_url.replace("http", "json", 1) + f"/{WEBHOOK}",
    }


async def test_no_canary_comes_out_anywhere(lab, fast, fault):
    await canaries(lab, fast)
    daemon = await lab.launch(sys.executable, str(DEBUGGING), "run", "--config", str(lab.settings))
    process = Path(f"/proc/{daemon.pid}")
    arguments = process.joinpath("cmdline").read_bytes()
    await lab.told("baseline", count=2)
    await lab.until(lambda: len(lab.slack.ids) > 20 and len(lab.mail.ids) > 20, "both ends")
    found: list[str] = []
    config = ("--config", str(lab.settings))

    answered = "SELECT count(last_probe_at) = count(*) FROM targets"
    await lab.until(
        lambda: lab.ask(answered) == [(1,)], "every target to be answered once", patience=90
    )
    limits = process.joinpath("limits").read_text()
    assert [line.split()[4] for line in limits.splitlines() if "core file" in line] == ["0"]

    calls = [
        ("status",), ("status", "--format", "json"), ("status", "--routes"), ("history",),
        ("history", "--format", "json"), ("propagation",), ("config", "show"), ("config", "check"),
        ("alerts", "list"), ("alerts", "test"), ("check",), ("check", "--format", "json"),
        ("healthcheck",),
    ]  # fmt: skip
    for name in ("open", "gated", "echo"):
        calls += [
            ("diagnose", name, "--yes"),
            ("diagnose", name, "--yes", "--format", "json"),
            ("evidence", f"{name}/gpt-image-2"),
            ("evidence", f"{name}/gpt-image-2", "--format", "json"),
        ]
    for call in calls:
        ended = await lab.call(*call, *config)
        assert "Traceback" not in ended.err, ended.err
        found += leaks(f"the output of {' '.join(call)}", ended.out + ended.err)
    daemon.send_signal(signal.SIGTERM)
    assert await daemon.wait() == 0

    log = (lab.folder / "run.log").read_text()
    for said in ("Slack POST URL", "SMTP Host", "never retrieved"):
        assert said in log
    accidents = [json.loads(line) for line in log.splitlines() if "ValueError: cannot send" in line]
    assert {line["event"] for line in accidents} >= {"probe_failed", "uncaught"}
    texts = {"the log": log, "the process's arguments": arguments}
    texts |= {f"slack, {n}": one.text for n, one in enumerate(lab.slack.arrivals)}
    texts |= {f"mail, {n}": one.text for n, one in enumerate(lab.mail.arrivals)}
    # the stand-in shows the keys it takes; the settings hold references, the database neither
    for path in lab.folder.rglob("*"):
        if (
            path.is_file()
            and path.name not in ("scenario.toml", "simulate.log")
            and path.suffix != ".pem"
        ):
            texts[str(path.relative_to(lab.folder))] = path.read_bytes()
    assert "state/monitor.db" in texts
    for where, text in texts.items():
        found += leaks(where, text)
    fault(
        f"canaries through {len(NAMES)} keys' targets that echo the key, {len(calls)} commands, all at DEBUG",
        len(texts) + len(calls),
        "no canary in any output, in plain, base64 or URL-encoded form",
        f"{len(log) // 1024} KiB of log, {len(lab.slack.arrivals) + len(lab.mail.arrivals)} messages,"
        f" {len(found)} canaries",
    )
    assert found == []
    assert list((lab.folder / "tmp").iterdir()) == []


async def test_an_accident_at_the_start_ends_in_a_traceback_without_the_key(lab, fast):
    await canaries(lab, fast)
    lab.environ["ACCIDENT"] = "start"
    daemon = await lab.launch(sys.executable, str(DEBUGGING), "run", "--config", str(lab.settings))
    assert await asyncio.wait_for(daemon.wait(), 40) == 1
    log = (lab.folder / "run.log").read_text()
    assert "RuntimeError: Bearer [hidden]" in log
    assert leaks("the log", log) == []


MALFORMED = {
    "a line break": f"{KEY}\nAuthorization: x",
    "a letter that is not ASCII": f"{KEY}\u00e9",
    "a space": f"{KEY} {KEY}",
    "a control character": f"{KEY}\x1b",
    "quotes": f'"{KEY}"',
}
IN_CLEAR = {
    "secret": f'[[keys]]\nname = "a"\nsecret = "{KEY}"\nwatch = ["gpt-image-2"]',
    "watch": f'[[keys]]\nname = "a"\nsecret = "env:KEY"\nwatch = ["gpt-image-2"]\nsecert = "{KEY}"',
    "syntax": f'[[keys]]\nname = "a"\nsecret = "{KEY}',
    "url": f'[[channels]]\nname = "a"\nurl = "https://hooks.slack.com/services/T0/B0/{WEBHOOK}"',
    "base": f'[routes.x]\nbase_url = "https://u:{PASSWORD}@relay.example/v1"',
}


@pytest.mark.parametrize("what", [*MALFORMED, *IN_CLEAR])
async def test_what_is_wrong_with_a_secret_is_said_without_it(lab, what):
    lab.settings.write_text(
        IN_CLEAR.get(what, '[[keys]]\nname = "a"\nsecret = "env:KEY"\nwatch = ["gpt-image-2"]')
        + ('\n[routes.openai]\nbase_url = "http://127.0.0.1:9/v1"\ncontract = "direct"\n')
        * (what in MALFORMED)
    )
    for call in (("config", "check"), ("config", "show"), ("check",), ("run",), ("diagnose", "a")):
        if what == "quotes" and call == ("run",):
            continue  # it is a key like another: the daemon would run
        ended = await lab.call(
            *call, "--config", str(lab.settings), KEY=MALFORMED.get(what, f"{KEY}0001")
        )
        assert ended.status == 2 or what == "quotes", ended.err
        assert "Traceback" not in ended.err
        assert leaks(" ".join(call), ended.out + ended.err) == []


async def test_files_are_for_their_owner_whatever_the_umask(lab, fast):
    await canaries(lab, fast)
    (lab.folder / "loose.sh").write_text('umask 0\nexec "$@"\n')
    config = ("--config", str(lab.settings))
    daemon = await lab.launch("/bin/sh", "loose.sh", str(COMMAND), "run", *config)
    await lab.told("unverified")
    state = lab.folder / "state"
    modes = {path.name: path.stat().st_mode & 0o777 for path in state.iterdir()}
    assert set(modes) >= {"monitor.db", "monitor.db-wal", "monitor.db.lock"}
    assert set(modes.values()) == {0o600}
    assert state.stat().st_mode & 0o777 == 0o700
    daemon.send_signal(signal.SIGTERM)
    assert await daemon.wait() == 0


async def test_files_that_others_can_read_are_warned_of(lab, fast):
    await canaries(lab, fast)
    secret = lab.folder / "key"
    secret.write_text(secret_of("open"))
    text = settings(lab.base_url, fast).replace('"env:KEY_0"', '"file:key"')
    lab.settings.write_text(text)
    config = ("--config", str(lab.settings))
    for path, mode in ((secret, 0o604), (lab.settings, 0o604), (lab.settings, 0o602)):
        secret.chmod(0o600)
        lab.settings.chmod(0o600)
        path.chmod(mode)
        ended = await lab.call("config", "check", *config)
        assert ended.status == 0
        (warning,) = [line for line in ended.err.splitlines() if "every user" in line]
        assert os.fspath(path) in warning
        assert f"mode {mode:04o}" in warning
    lab.settings.chmod(0o600)
    assert "every user" not in (await lab.call("config", "check", *config)).err
