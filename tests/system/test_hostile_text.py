"""What a server says is shown in Slack, mail, HTML, on a terminal and in the log, and does nothing there."""

import asyncio
import json
import os
import random
import re
import signal
import unicodedata
from collections.abc import Iterator
from contextlib import suppress

import pytest
from warm_command import COMMAND

from monitor.simulator.faults import HOSTILE, HOSTILE_ID

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(600)]

NAMES = ("hostile", "long_winded", "page")
SCENARIO = """
name = "words"
[[keys]]
name = "hostile"
secret = "sk-sim-FAKE-hostile-0001"
[[keys.faults]]
what = "hostile"
[[keys]]
name = "long_winded"
secret = "sk-sim-FAKE-long_winded-0001"
[[keys.faults]]
what = "long_winded"
[[keys]]
name = "page"
secret = "sk-sim-FAKE-page-0001"
[[keys.faults]]
what = "bad_gateway"
[[keys.faults]]
what = "hostile"
"""

#: What is left of the words, on one line.
SAID = (
    "<!channel> <http://evil.example|x> `*_<b>b</b><img src=x onerror=alert(1)>[31mred2Jltr"
    " Bcc: all@evil.example forged: available Your organization must be verified"
)


def settings(base_url: str, fast: str, log_format: str) -> str:
    parts = [
        f'[monitor]\ndatabase = "sqlite:///{log_format}.db"\nlog_format = "{log_format}"',
        f'[routes.sim]\nbase_url = "{base_url}"\ncontract = "direct"\nrate = 500.0',
        '[[channels]]\nname = "slack"\nurl = "env:SLACK_URL"',
        '[[channels]]\nname = "mail"\nurl = "env:MAIL_URL"',
    ]
    parts += [
        f'[[keys]]\nname = "{name}"\nsecret = "env:KEY_{name.upper()}"\nroute = "sim"\n'
        'watch = ["gpt-image-2"]'
        for name in NAMES
    ]
    return "\n".join(parts) + fast.replace('"300ms"', '"2s"')


def unprintable(text: str) -> set[str]:
    """Characters that move, ring, hide or turn something; a line's end is one only within a line."""
    return {char for char in text if unicodedata.category(char)[0] == "C" and char not in "\n\t"}


def concoctions(count: int) -> Iterator[str]:
    """Answers, one a line, with pieces of the hostile words in any order."""
    dice = random.Random(20261120)
    pieces = [HOSTILE[n : n + 7] for n in range(0, len(HOSTILE), 7)] + [
        "\r\n",
        "\x00",
        "\u202e",
        "\x9b31m",
    ]
    for n in range(count):
        words = "".join(dice.choices(pieces, k=dice.randint(1, 40)))
        body = json.dumps({"error": {"message": words, "code": dice.choice(pieces), "type": words}})
        yield (
            json.dumps({"id": n, "status": dice.choice([200, 400, 403, 500]), "body": body}) + "\n"
        )


async def on_a_terminal(lab, *arguments: str) -> str:
    """What a command shows on a terminal, colours and all."""
    ours, theirs = os.openpty()
    command = [str(COMMAND), *arguments, "--config", str(lab.settings)]
    process = await asyncio.create_subprocess_exec(
        *command, cwd=lab.folder, env=lab.environ | {"COLUMNS": "100", "TERM": "xterm"},
        stdin=asyncio.subprocess.DEVNULL, stdout=theirs, stderr=theirs,
    )  # fmt: skip
    os.close(theirs)
    shown = bytearray()

    def read() -> None:
        with suppress(OSError):  # the other end is closed
            while data := os.read(ours, 65536):
                shown.extend(data)

    await asyncio.to_thread(read)
    await process.wait()
    os.close(ours)
    return shown.decode()


async def test_a_servers_words_are_harmless_wherever_they_are_shown(
    lab, fast, fault, torture, capsys
):
    await lab.open_ends()
    await lab.simulate(SCENARIO)
    lab.environ |= {f"KEY_{name.upper()}": f"sk-sim-FAKE-{name}-0001" for name in NAMES}
    for log_format in ("console", "json"):
        lab.settings.write_text(settings(lab.base_url, fast, log_format))
        told = len(lab.slack.ids), len(lab.mail.ids)
        daemon = await lab.daemon()
        await lab.told("unverified", count=2)
        await lab.until(
            lambda told=told: len(lab.slack.ids) > told[0] + 1 and len(lab.mail.ids) > told[1] + 1,
            "both ends",
        )
        daemon.send_signal(signal.SIGTERM)
        assert await daemon.wait() == 0
    config = ("--config", str(lab.settings))

    # Slack: a code span, in which nothing is a mention, a link or a format
    payloads = [one.text for one in lab.slack.arrivals]
    (slack, *_) = [line for line in "\n".join(payloads).split("\\n") if "evil.example" in line]
    escaped = SAID.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace("`", "'")
    assert slack.startswith(f"• Server said: `403: {escaped}")
    for payload in payloads:
        assert "<!" not in payload
        assert "<http" not in payload
        assert len(payload) < 20_000

    # mail: nothing became a header, nothing in the HTML is an element
    mail = lab.mail.last
    assert mail["Bcc"] is None
    assert mail["forged"] is None
    assert mail["To"].endswith("ops@acme.example")
    html = mail.get_body(("html",)).get_content()
    texts = [one.text for one in lab.mail.arrivals]
    (plain, *_) = [line for text in texts for line in text.split("\n") if "evil.example" in line]
    assert plain.startswith(f"Server said: 403: {SAID}")
    assert set(re.findall(r"<(\w+)", html)) <= {"html", "body", "p", "b", "br", "h3", "kbd"}
    assert "<b>b</b>" not in html
    assert "onerror" not in html or "&lt;img src=x onerror=alert(1)&gt;" in html
    for text in (*texts, html):
        assert unprintable(text.replace("\r\n", "\n")) == set()
        assert len(text) < 20_000

    # a terminal, and a pipe
    shown = {}
    for call in (
        ("status",),
        ("history",),
        ("alerts", "list"),
        ("check",),
        ("diagnose", "hostile"),
    ):
        ended = await lab.call(*call, *config)
        assert unprintable(ended.out + ended.err) == set()
        seen = await on_a_terminal(lab, *call)
        own = re.sub(r"\x1b\[[0-9;]*m", "", seen).replace("\r\n", "\n")  # rich's own colours
        assert "\x1b[31m" not in seen
        assert unprintable(own) == set()
        assert not [line for line in own.splitlines() if line.startswith(("Bcc:", "forged:"))]
        shown[call[0]] = ended.out
    for call in (("history",), ("status",), ("check",), ("evidence", "hostile/gpt-image-2")):
        ended = await lab.call(*call, *config, "--format", "json")
        json.loads(ended.out)
        assert unprintable(ended.out) == set()
    bundle = (await lab.call("evidence", "hostile/gpt-image-2", *config)).out
    (row,) = [line for line in bundle.splitlines() if "evil.example" in line]
    assert row.startswith("|")
    assert unprintable(bundle) == set()
    body = json.dumps({"error": {"message": HOSTILE, "code": HOSTILE_ID}})
    pasted = lab.folder / "pasted.json"
    pasted.write_text(body)
    explained = await lab.call("explain", str(pasted), "--status", "403")
    assert unprintable(explained.out + explained.err) == set()
    mixed = 5000 if torture else 200
    pasted.write_text("".join(concoctions(mixed)))
    explained_all = await lab.call("explain", "--jsonl", str(pasted))
    assert unprintable(explained_all.out + explained_all.err) == set()
    assert [json.loads(line)["id"] for line in explained_all.out.splitlines()] == list(range(mixed))

    # the log: a line is an event, and an event a line
    log = (lab.folder / "run.log").read_text()
    assert unprintable(log) == set()
    lines = [line for line in log.splitlines() if line]
    assert not [line for line in lines if line.startswith(("Bcc:", "forged:", " Bcc:"))]
    events = [json.loads(line) for line in lines if line.startswith("{")]
    assert events
    assert {event["event"] for event in events if event.get("target") == "forged"} == set()
    size = sum(path.stat().st_size for path in lab.folder.glob("json.db*"))
    assert size < 1_000_000, "a message of 1 MB is not kept"

    found = {"slack": slack, "mail": plain, "evidence": row, "explain": explained.out}
    with capsys.disabled():
        print()
        for where, text in found.items():
            print(f"  {where}: {text.strip()[:230]}")
    fault("a server's words: mentions, links, HTML, escapes, bidi, line ends, 1 MB", len(NAMES) + mixed,
          "harmless in Slack, mail, HTML, terminal, evidence and log",
          "one line in a code span; no control character anywhere")  # fmt: skip
