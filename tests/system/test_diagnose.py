"""`diagnose` as a command: statuses, what it prints, what it asks, and what it books."""

import asyncio
import json
import os
import sqlite3

import pytest
from warm_command import COMMAND

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(150)]

SCENARIO = """
name = "statuses"
[[keys]]
name = "open"
secret = "sk-sim-FAKE-open-0000000001"
gate.open = "always"
[[keys]]
name = "gated"
secret = "sk-sim-FAKE-gated-000000001"
[[keys]]
name = "locked"
secret = "sk-sim-FAKE-locked-00000001"
gate.locked = "always"
[[keys]]
name = "blocked"
secret = "sk-sim-FAKE-blocked-0000001"
[[keys.blocks]]
what = "insufficient_quota"
[[keys]]
name = "broken"
secret = "sk-sim-FAKE-broken-00000001"
[[keys.faults]]
what = "server_error"
[[keys]]
name = "relay"
secret = "sk-sim-FAKE-relay-000000001"
contract = "provider"
gate.open = "always"
"""
SECRETS = {
    f"KEY_{name.upper()}": f"sk-sim-FAKE-{name}-".ljust(26, "0") + "1"
    for name in ("open", "gated", "locked", "blocked", "broken", "relay")
}


@pytest.fixture
async def sim(lab, fast):
    await lab.simulate(SCENARIO)
    lab.environ |= SECRETS
    origin = lab.base_url.removesuffix("/v1")
    parts = [
        '[monitor]\ndatabase = "sqlite:///monitor.db"',
        f'[routes.sim]\nbase_url = "{lab.base_url}"\ncontract = "direct"\nrate = 500.0',
        f'[routes.relay]\nbase_url = "{origin}/relay/v1"',
    ]
    for name in SECRETS:
        key = name.removeprefix("KEY_").lower()
        route = "relay" if key == "relay" else "sim"
        parts.append(
            f'[[keys]]\nname = "{key}"\nsecret = "env:{name}"\nroute = "{route}"\n'
            'watch = ["gpt-image-2"]'
        )
    lab.settings.write_text("\n".join(parts) + fast)
    return lab


@pytest.mark.parametrize(
    ("key", "status", "owner"),
    [
        ("open", 0, "organization"),
        ("gated", 10, "organization"),
        ("locked", 12, "organization"),
        ("blocked", 13, "billing"),
        ("broken", 14, "provider"),
    ],
)
async def test_the_exit_status_and_the_json_say_what_was_found(sim, key, status, owner):
    ended = await sim.call("diagnose", key, "--format", "json")
    assert ended.status == status, ended.err
    report = json.loads(ended.out)
    assert list(report) == ["key", "target", "checks", "routes", "verdict", "cost_usd"]
    assert list(report["checks"][0]) == ["name", "result", "evidence", "took_ms"]
    assert list(report["verdict"]) == ["owner", "diagnosis", "advice", "not_worth"]
    assert report["target"] == f"{key}/gpt-image-2:images"
    assert report["verdict"]["owner"] == owner
    assert "refused ones cost nothing; about $" in ended.err
    assert "beside it over relay, with that key's own secret: relay/" in ended.err
    assert not [secret for secret in SECRETS.values() if secret in ended.out + ended.err]


@pytest.mark.smoke
async def test_a_person_reads_checks_routes_and_a_verdict(sim):
    ended = await sim.call("diagnose", "gated", "--yes", OPENAI_ORG_ID="org-stale")
    assert ended.status == 10, ended.err
    for words in (
        "name_resolution", "gate:image_tool", "relay (provider)", "sim (direct)", "first byte",
        "verdict: verification_required, owner: organization", "what not to bother doing:",
        'OPENAI_ORG_ID is "org-stale"', "Mapping:", "env:KEY_GATED, sha256:",
    ):  # fmt: skip
        assert words.lower() in ended.out.lower()
    assert "left before it: $0.1000 of gated's day" in ended.err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["nobody"], "no key is named 'nobody'; the settings have open, gated"),
        (["open", "--model", "gpt-imgae-2"], "did you mean 'gpt-image-2'?"),
        (["open", "--model", "a b"], "is not MODEL or MODEL:SURFACE"),
    ],
)
async def test_what_cannot_be_diagnosed_is_wrong_usage(sim, arguments, words):
    ended = await sim.call("diagnose", *arguments)
    assert ended.status == 2
    assert words in ended.err


async def test_on_a_terminal_it_asks_before_it_spends(sim):
    before = (await sim.totals())["requests"]
    asked, status = await on_a_terminal(sim, b"n\n", "diagnose", "open")
    assert b"Go on?" in asked
    assert status == 130
    assert (await sim.totals())["requests"] == before
    asked, status = await on_a_terminal(sim, b"", "diagnose", "open", "--yes")
    assert b"Go on?" not in asked
    assert status == 0


async def on_a_terminal(lab, typed, *arguments):
    """Run the command with a terminal for its questions; what it showed there, and its status."""
    ours, theirs = os.openpty()
    process = await asyncio.create_subprocess_exec(
        COMMAND, *arguments, cwd=lab.folder, env=lab.environ,
        stdin=theirs, stderr=theirs, stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    os.close(theirs)
    os.write(ours, typed)
    await asyncio.wait_for(process.communicate(), 60)
    shown = b""
    try:
        while part := os.read(ours, 4096):
            shown += part
    except OSError:  # the other end is gone: everything was read
        pass
    os.close(ours)
    return shown, process.returncode


async def test_check_and_diagnose_are_booked_by_the_daemon(sim):
    daemon = await sim.daemon()
    await sim.told("baseline")

    def spent() -> float:
        with sqlite3.connect(f"file:{sim.folder}/monitor.db?mode=ro", uri=True) as database:
            return database.execute("SELECT sum(settled_usd) FROM spend").fetchone()[0]

    for command in ("check", "diagnose"):
        before = spent()
        ended = await sim.call(command, "open", "--format", "json")
        assert "not booked" not in ended.err
        report = json.loads(ended.out)
        cost = (report[0] if command == "check" else report)["cost_usd"]
        assert cost > 0
        wanted = before + cost - 1e-9
        await sim.until(lambda wanted=wanted: spent() >= wanted, f"the cost of {command}")
    daemon.terminate()
    await daemon.wait()
