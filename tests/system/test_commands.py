"""Commands against the simulator: exit statuses, what they print, and the run without a file."""

import asyncio
import json
import re
import signal
from datetime import UTC, datetime, timedelta
from xml.etree import ElementTree as ET

import pytest
import xmlschema
from pages import ROOT

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(150)]

SCENARIO = """
name = "statuses"
[[keys]]
name = "open"
secret = "sk-sim-FAKE-open-0001"
[keys.gate]
open = "always"
[[keys]]
name = "gated"
secret = "sk-sim-FAKE-gated-0001"
[[keys]]
name = "locked"
secret = "sk-sim-FAKE-locked-0001"
[keys.gate]
locked = "always"
[[keys]]
name = "blocked"
secret = "sk-sim-FAKE-blocked-0001"
[[keys.blocks]]
what = "insufficient_quota"
[[keys]]
name = "broken"
secret = "sk-sim-FAKE-broken-0001"
[[keys.faults]]
what = "server_error"
[[keys]]
name = "opening"
secret = "sk-sim-FAKE-opening-0001"
[keys.gate]
open = 600
"""
NAMES = ("open", "gated", "locked", "blocked", "broken", "opening")
SECRETS = {f"KEY_{name.upper()}": f"sk-sim-FAKE-{name}-0001" for name in NAMES}


def settings(base_url: str, fast: str, *, declared: str = "", channels: str = "") -> str:
    parts = [
        '[monitor]\ndatabase = "sqlite:///monitor.db"',
        f'[routes.sim]\nbase_url = "{base_url}"\ncontract = "direct"\nrate = 500.0',
        channels,
    ]
    for name in NAMES:
        parts.append(
            f'[[keys]]\nname = "{name}"\nsecret = "env:KEY_{name.upper()}"\nroute = "sim"\n'
            f'watch = ["gpt-image-2"]\n' + (declared if name == "gated" else "")
        )
    return "\n".join(parts) + fast


@pytest.fixture
async def sim(lab, fast):
    await lab.simulate(SCENARIO)
    lab.environ |= SECRETS
    lab.settings.write_text(settings(lab.base_url, fast))
    return lab


@pytest.mark.parametrize(
    ("targets", "status"),
    [
        (["open"], 0),
        (["open/gpt-image-2"], 0),
        (["open/gpt-image-2:images"], 0),
        (["gated"], 10),
        (["locked"], 12),
        (["blocked"], 13),
        (["broken"], 14),
        (["open", "gated"], 10),
        (["gated", "locked", "blocked"], 13),
        ([], 14),
        (["nobody"], 2),
    ],
)
async def test_check_says_by_its_status_what_the_answers_mean(sim, targets, status):
    ended = await sim.call("check", *targets)
    assert ended.status == status, ended.err
    if status != 2:
        assert "refused probes cost nothing; about $" in ended.err


@pytest.mark.smoke
async def test_check_says_first_what_to_do_and_the_background_once(sim):
    ended = await sim.call("check", "gated", "locked", "open")
    assert "access_granted (owner: " in ended.out
    gated = ended.out.index(
        "verification_required (owner: organization)\n  Check in the organization's"
    )
    locked = ended.out.index("verification_locked (owner: organization)\n  Wait 24 hours")
    background = ended.out.index("\nbackground:\n")
    assert background > max(gated, locked)
    assert ended.out.count("No usage tier opens this gate.") == 1
    assert ended.out.count("Known causes of a failed verification") == 1


def report_of(text: str) -> dict[str, list[tuple[str, str, str]]]:
    """The cases of a JUnit report, which is valid, with what is said of each."""
    schema = xmlschema.XMLSchema(ROOT / "tests" / "unit" / "cli" / "junit.xsd")
    schema.validate(text)
    cases = ET.fromstring(text).iter("testcase")
    return {
        one.get("name"): [(part.tag, part.get("type"), part.get("message")) for part in one]
        for one in cases
    }


@pytest.mark.smoke
async def test_check_and_wait_print_junit_reports_that_say_what_to_do(sim):
    ended = await sim.call("check", "--format", "junit")
    assert ended.status == 14
    cases = report_of(ended.out)
    assert cases["open/gpt-image-2:images"] == []
    said = {name.partition("/")[0]: parts[0] for name, parts in cases.items() if parts}
    assert {key: part[:2] for key, part in said.items()} == {
        "gated": ("failure", "verification_required"),
        "opening": ("failure", "verification_required"),
        "locked": ("failure", "verification_locked"),
        "blocked": ("error", "quota_exhausted"),
        "broken": ("error", "server_error"),
    }
    assert said["gated"][2].startswith("Check in the organization's general settings")

    ended = await sim.call("wait", "open", "gated", "--timeout", "4s", "--format", "junit")
    assert ended.status == 124
    cases = report_of(ended.out)
    assert cases["gated/gpt-image-2:images"][0][:2] == ("failure", "verification_required")
    assert "Gate is shut: gpt-image-2:images (gated)" in ended.err or "Not verified" in ended.err
    ended = await sim.call("wait", "locked", "--timeout", "20s", "--format", "junit")
    assert (ended.status, len(report_of(ended.out))) == (12, 1)


async def test_check_after_a_fresh_declaration_is_11(sim, fast):
    declared = f"verified_at = {datetime.now(UTC) - timedelta(hours=1):%Y-%m-%dT%H:%M:%SZ}\n"
    sim.settings.write_text(settings(sim.base_url, fast, declared=declared))
    ended = await sim.call("check", "gated", "--format", "json")
    assert ended.status == 11, ended.err
    (answer,) = json.loads(ended.out)
    assert answer["diagnosis"] == "verification_required"
    assert answer["owner"] == "organization"
    assert answer["waiting_helps"] is True
    assert answer["cost_usd"] == 0


async def test_check_after_declare_is_11_and_after_it_was_taken_back_10(sim):
    for kind, status in (("verified", 11), ("cleared", 10), ("verified", 11), ("rejected", 10)):
        assert (await sim.call("declare", kind, "gated")).status == 0
        ended = await sim.call("check", "gated")
        assert ended.status == status, ended.err
    assert (await sim.call("declare", "verified", "gated", "--at", "9 days ago")).status == 0
    assert (await sim.call("check", "gated")).status == 10


ANSWERED = {"gated": "verification_required", "open": "access_granted"}


async def refused(sim, key: str) -> bool:
    """Whether a key's gate was found shut."""
    log = (await sim.ledger())["log"]
    return any(entry["key"] == key and entry["what"] == "gated" for entry in log)


@pytest.mark.parametrize(
    ("targets", "timeout", "status"),
    [
        (["open"], "20s", 0),
        (["opening", "open"], "30s", 0),
        (["locked", "open"], "20s", 12),
        (["blocked"], "20s", 13),
        (["gated"], "2s", 124),
        (["open"], "900ms", 124),
        (["gated"], "soon", 2),
    ],
)
async def test_wait_says_how_it_ended(sim, targets, timeout, status):
    waiting = asyncio.create_task(sim.call("wait", *targets, "--timeout", timeout))
    if targets[0] == "opening":
        await sim.until(lambda: refused(sim, "opening"), "the shut gate to be seen")
        await sim.replay(SCENARIO.replace("open = 600", "open = 0"))
    ended = await waiting
    assert ended.status == status, ended.err + ended.out
    if status == 124:
        assert re.search(
            rf"not all available within \d s: {targets[0]}/\S+ is (un|granted)", ended.err
        )
        assert f"(last answer: {ANSWERED[targets[0]]})" in ended.err
    # the numbers of a database that is thrown away are other events' in the history
    assert "[#" not in ended.out + ended.err
    if timeout == "900ms":  # the span is a second
        assert "--timeout 900ms is too short for available" in ended.err
    if targets[0] == "opening":
        assert "First light: gpt-image-2:images (opening)" in ended.out
        assert "Available: gpt-image-2:images (opening)" in ended.out


async def test_wait_knows_what_was_declared_as_check_does(sim):
    assert (await sim.call("declare", "verified", "gated")).status == 0
    assert (await sim.call("check", "gated")).status == 11
    ended = await sim.call("wait", "gated", "--timeout", "3s")
    assert ended.status == 124
    assert "gated/gpt-image-2:images is propagating" in ended.err


@pytest.mark.smoke
async def test_wait_interrupted_is_130(sim):
    process = await sim.start("wait", "gated")
    await sim.until(
        lambda: b"if all are open" in (sim.folder / "wait.log").read_bytes(), "the cost"
    )
    await asyncio.wait_for(process.stdout.readline(), 20)
    process.send_signal(signal.SIGINT)
    assert await asyncio.wait_for(process.wait(), 10) == 130


@pytest.mark.smoke
async def test_a_key_in_the_environment_is_enough_and_everything_is_said_beforehand(sim):
    """`OPENAI_API_KEY=… access-monitor run` with no file, and `OPENAI_BASE_URL`."""
    sim.settings.unlink()
    process = await sim.start(
        "run",
        environ={"OPENAI_API_KEY": SECRETS["KEY_GATED"], "OPENAI_BASE_URL": sim.base_url},
    )
    log = sim.folder / "run.log"
    await sim.until(
        lambda: "Gate is shut: gpt-image-2:images (default)" in log.read_text(), "the console"
    )
    process.send_signal(signal.SIGTERM)
    assert await process.wait() == 0
    said = log.read_text()
    assert f"OPENAI_BASE_URL is set and honoured: '{sim.base_url}'" in said
    assert (
        "default/gpt-image-2:images over base-url (provider): $0 while refused, about $0.0017"
        in said
    )
    assert "a month costs at most $" in said
    assert "tells: this terminal" in said
    assert SECRETS["KEY_GATED"] not in said


@pytest.mark.smoke
async def test_no_settings_and_no_key_is_said_with_status_2(lab):
    for command in (["run"], ["check"], ["wait", "x"], ["config", "check"]):
        ended = await lab.call(*command)
        assert ended.status == 2
        assert "OPENAI_API_KEY is not set: set it, or write a file" in ended.err
        assert "Traceback" not in ended.err


async def test_reading_commands_before_there_is_a_database_say_what_to_do(sim):
    for command in ("status", "history"):
        ended = await sim.call(command)
        assert ended.status == 1
        assert "access-monitor run" in ended.err


@pytest.mark.smoke
async def test_status_and_history_print_plain_columns_in_a_pipe_and_the_fixed_json(sim):
    daemon = await sim.daemon()
    await sim.told("unverified")
    await sim.told("baseline")
    status = await sim.call("status", "--format", "json")
    value = json.loads(status.out)
    assert set(value) == {"targets", "notifications", "silences", "workers"}
    assert set(value["targets"][0]) == {
        "target", "key", "organization", "project", "route", "contract", "model", "surface", "state",
        "since", "blocker", "last_probe_at", "last_diagnosis", "next_probe_at", "spend_today_usd",
    }  # fmt: skip
    states = {target["key"]: target["state"] for target in value["targets"]}
    assert states["open"] == "available"
    spent = {target["key"]: target["spend_today_usd"] for target in value["targets"]}
    assert spent["open"] > 0
    assert spent["gated"] == 0
    history = await sim.history()
    assert set(history[0]) == {
        "id", "kind", "event", "target", "from", "to", "at", "reason", "diagnosis", "request_id",
        "notifications",
    }  # fmt: skip
    text = await sim.call("status")
    assert "\x1b" not in text.out
    assert "daemon: running since" in text.out
    only = await sim.call("history", "open/*", "--since", "1h")
    assert "unknown → available (baseline)" in only.out
    assert "gated/" not in only.out
    # what a channel with little room left out
    last = (await sim.call("history", "gated/gpt-image-2:images")).out.partition(
        "The last message: "
    )
    assert last[2].startswith("Not verified: gpt-image-2:images (gated) [#")
    assert "access-monitor declare verified" in last[2]
    assert "The last message" not in (await sim.call("history")).out
    daemon.send_signal(signal.SIGTERM)
    await daemon.wait()
    assert "daemon: stopped" in (await sim.call("status")).out


@pytest.mark.smoke
async def test_config_commands(sim):
    checked = (await sim.call("config", "check")).out
    assert "6 keys, 6 targets, 0 channels: all good\na month costs at most $5.00" in checked
    shown = await sim.call("config", "show")
    assert json.loads(shown.out)["keys"][0]["secret"]["fingerprint"].startswith("sha256:")
    assert "FAKE" not in shown.out
    assert json.loads((await sim.call("config", "schema")).out)["type"] == "object"
    example = await sim.call("config", "example")
    assert "[[keys]]" in example.out
    (sim.folder / "notes.txt").write_text("not a database\n")
    good = sim.settings.read_text()
    sim.settings.write_text(good.replace("monitor.db", "notes.txt"))
    ended = await sim.call("config", "check")
    assert ended.status == 2
    assert f"monitor.database: {sim.folder / 'notes.txt'} is no database" in ended.err
    sim.settings.write_text(good.replace("watch =", "wacht ="))
    ended = await sim.call("config", "check")
    assert ended.status == 2
    assert "wacht" in ended.err
    assert "watch" in ended.err


@pytest.mark.smoke
async def test_alerts_test_reaches_every_channel_or_says_which_not(sim, fast):
    await sim.open_ends()
    channels = (
        '[[channels]]\nname = "slack"\nurl = "env:SLACK_URL"\n'
        '[[channels]]\nname = "mail"\nurl = "env:MAIL_URL"\n'
    )
    sim.settings.write_text(settings(sim.base_url, fast, channels=channels))
    ended = await sim.call("alerts", "test")
    assert (ended.status, ended.out) == (0, "slack: delivered\nmail: delivered\n"), ended.err
    sim.slack.down = True
    ended = await sim.call("alerts", "test")
    assert ended.status == 1
    assert "slack: failed:" in ended.out
    assert "mail: delivered" in ended.out
    assert (await sim.call("alerts", "test", "pager")).status == 2


async def test_what_was_given_up_is_listed_and_can_be_retried(sim, fast):
    await sim.open_ends()
    sim.slack.down = True
    channels = '[[channels]]\nname = "slack"\nurl = "env:SLACK_URL"\n'
    text = settings(sim.base_url, fast, channels=channels) + 'give_up_after = "1s"\n'
    sim.settings.write_text(text)
    daemon = await sim.daemon()

    dead = "SELECT id FROM notifications WHERE state = 'dead'"
    await sim.until(lambda: len(sim.ask(dead)) > 1, "notifications to be given up")
    ended = await sim.call("alerts", "list", "--state", "dead", "--format", "json")
    assert len(json.loads(ended.out)) > 1
    every = json.loads((await sim.call("alerts", "list", "--all", "--format", "json")).out)
    page = await sim.call("alerts", "list", "--limit", "1", "--format", "json")
    (newest,) = json.loads(page.out)
    assert f"older not listed: --before {newest['id']} has the next of them" in page.err
    page = await sim.call("alerts", "list", "--before", str(every[1]["id"]), "--format", "json")
    assert ([row["id"] for row in json.loads(page.out)], page.err) == ([every[0]["id"]], "")
    sim.settings.write_text(text.replace('name = "slack"', 'name = "ops"'))
    ended = await sim.call("alerts", "retry")
    assert (ended.status, ended.out) == (2, "")
    assert "the settings have no such channel any more, so these stay dead: " in ended.err
    assert 'of "slack"' in ended.err
    sim.settings.write_text(text)
    sim.slack.down = False
    ended = await sim.call("alerts", "retry")
    assert "handed to the daemon, which takes it within 2 s" in ended.out
    await sim.until(lambda: len(sim.slack.ids) > 1, "the retried ones")
    daemon.send_signal(signal.SIGTERM)
    assert await daemon.wait() == 0


async def test_a_second_daemon_on_the_same_database_is_refused(sim):
    daemon = await sim.daemon()
    await sim.told("unverified")
    second = await sim.call("run")
    assert second.status == 1
    assert "Traceback" not in second.err
    assert f"another instance has this database open (process {daemon.pid})" in second.err


@pytest.mark.smoke
async def test_bad_usage_is_status_2_without_a_traceback(lab):
    for command in (
        ["chek"],
        ["check", "--format", "xml"],
        ["simulate", "--listen", "x"],
        ["simulate", "--scenario", "nope"],
    ):
        ended = await lab.call(*command)
        assert ended.status == 2, command
        assert "Traceback" not in ended.err
