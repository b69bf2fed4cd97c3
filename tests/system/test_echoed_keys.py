"""A server that echoes the key in every form, and all that the installed command prints, writes and sends."""

import json
import signal

import pytest
from echoes import FORMS, HOWS, KEYS, EchoServer, cells, remains

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(300)]


#: Fast enough for two rounds, slow enough to leave the machine to the commands.
CADENCE = """
[cadence]
eager = "4s"
blocked = "4s"
inconclusive = "4s"
image_gap = "1ms"
"""


async def test_nothing_of_an_echoed_key_comes_out_of_any_command(lab, fault):
    await lab.open_ends()
    ways, keys = {}, []
    for number, form in enumerate(FORMS):
        which = list(KEYS)[number % 2]
        secret = f"{KEYS[which]}-QwErTyUiOp{number:02}x0123456789"
        ways[secret] = (form, None if number % 5 else len(KEYS[which]), HOWS[number % len(HOWS)])
        lab.environ[f"KEY_{number}"] = secret
        keys.append(
            f'[[keys]]\nname = "k{number}"\nsecret = "env:KEY_{number}"\nroute = "sim"\n'
            'organization = "org-acme"\nwatch = ["gpt-image-2", "gpt-5.1:stream"]\n'
        )
    server = EchoServer(ways)
    lab.settings.write_text(
        '[monitor]\ndatabase = "sqlite:///state/monitor.db"\nlog_format = "json"\n'
        f'[routes.sim]\nbase_url = "{await server.start()}"\ncontract = "direct"\nrate = 500.0\n'
        '[[channels]]\nname = "slack"\nurl = "env:SLACK_URL"\n'
        '[[channels]]\nname = "mail"\nurl = "env:MAIL_URL"\n' + "".join(keys) + CADENCE
    )
    config = ("--config", str(lab.settings))
    daemon = await lab.daemon()
    await lab.until(
        lambda: server.asked > 4 * len(ways) and bool(lab.slack.ids and lab.mail.ids),
        "messages",
        90,
    )
    calls = [
        ("status",), ("status", "--format", "json"), ("status", "--routes"), ("history",),
        ("history", "--format", "json"), ("alerts", "list"), ("check",), ("check", "--format", "json"),
        ("diagnose", "k3", "--yes"), ("diagnose", "k10", "--yes", "--format", "json"),
        ("evidence", "k4/gpt-5.1:stream"), ("evidence", "k7/gpt-image-2", "--format", "json"),
        ("wait", "k2", "--timeout", "5s"), ("backup", "copy.db"),
    ]  # fmt: skip
    texts = {}
    for call in calls:
        ended = await lab.call(*call, *config)
        assert "Traceback" not in ended.err, ended.err
        texts[f"the output of {' '.join(call)}"] = ended.out + ended.err
    daemon.send_signal(signal.SIGTERM)
    assert await daemon.wait() == 0
    await server.stop()
    assert len(json.loads(texts["the output of check --format json"].split("\n")[0])) == 2 * len(
        ways
    )
    texts["the log"] = (lab.folder / "run.log").read_text()
    texts |= {f"slack, {n}": one.text for n, one in enumerate(lab.slack.arrivals)}
    texts |= {f"mail, {n}": one.text for n, one in enumerate(lab.mail.arrivals)}
    texts |= {
        f"cell {n}": cell for n, (_, cell) in enumerate(cells(lab.folder / "state/monitor.db"))
    }
    texts |= {f"copied cell {n}": cell for n, (_, cell) in enumerate(cells(lab.folder / "copy.db"))}
    everyone = tuple(ways)
    found = {
        (where, part)
        for where, text in texts.items()
        for line in text.split("\n")
        for part in remains(line, everyone, 3)
    }
    fault(
        f"keys echoed in {len(FORMS)} forms, whole and cut, {len(calls)} commands",
        len(texts),
        "nothing of a key anywhere, decoded in every form",
        f"{len(found)} finds",
    )
    assert found == set()
