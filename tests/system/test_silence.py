"""`silence` and `probe` as commands, beside a running daemon and without one."""

import json

import pytest

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(150)]

SCENARIO = """
name = "silenced"
[[keys]]
name = "acme-prod"
secret = "sk-sim-FAKE-acme-prod-0001"
organization = "org-acme"
"""
SETTINGS = """
[monitor]
database = "sqlite:///monitor.db"
[routes.sim]
base_url = "{base_url}"
contract = "direct"
rate = 500.0
[[channels]]
name = "ops"
url = "json://127.0.0.1:9/"
[[keys]]
name = "acme-prod"
secret = "env:ACME"
route = "sim"
organization = "org-acme"
watch = ["gpt-image-2"]
"""
ADD = ("silence", "add", "acme-prod", "--for", "2h", "--reason", "the relay is moved")


@pytest.fixture
async def sim(lab, fast):
    await lab.simulate(SCENARIO)
    lab.environ |= {"ACME": "sk-sim-FAKE-acme-prod-0001", "OPS": "json://127.0.0.1:9/"}
    text = SETTINGS.format(base_url=lab.base_url).replace('"json://127.0.0.1:9/"', '"env:OPS"')
    lab.settings.write_text(text + fast)
    return lab


@pytest.mark.smoke
async def test_a_silence_is_made_listed_and_ended_beside_the_daemon(sim):
    await sim.daemon()
    await sim.told("unverified")
    made = await sim.call(*ADD)
    assert made.status == 0, made.err
    assert made.out.splitlines()[-1] == "silence 1 is in force"
    assert "silence of acme-prod/*" in made.out
    listed = json.loads((await sim.call("silence", "list", "--format", "json")).out)
    assert [(one["id"], one["patterns"], one["reason"]) for one in listed] == [
        (1, ["acme-prod/*"], "the relay is moved")
    ]
    assert "silence 1: acme-prod/* until" in (await sim.call("status")).out
    status = json.loads((await sim.call("status", "--format", "json")).out)
    assert [one["id"] for one in status["silences"]] == [1]
    assert "acme-prod/*" in (await sim.call("silence", "list")).out
    ended = await sim.call("silence", "end", "1")
    assert (ended.status, ended.out) == (0, "silence 1 has ended\n")
    assert (await sim.call("silence", "list")).out == "nothing is silenced\n"
    assert "ended" in (await sim.call("silence", "list", "--all")).out
    again = await sim.call("silence", "end", "1")
    assert again.status == 2
    assert "no silence 1 is in force; in force: none" in again.err


async def test_a_probe_is_asked_for(sim):
    await sim.daemon()
    await sim.told("unverified")
    asked = await sim.call("probe", "acme-prod/gpt-image-2:images")
    assert (asked.status, asked.out) == (0, "acme-prod/gpt-image-2:images: is due now\n")
    wrong = await sim.call("probe", "acme-prod/gpt-image-2:image")
    assert wrong.status == 2
    assert 'did you mean "acme-prod/gpt-image-2:images"' in wrong.err


async def test_what_is_silenced_before_the_first_run_is_kept_for_it(sim):
    made = await sim.call(*ADD)
    assert made.status == 0, made.err
    assert "handed to the daemon, which takes it at its next start" in made.out
    assert (await sim.call("silence", "list")).out == "nothing is silenced\n"
    await sim.daemon()
    await sim.until(lambda: sim.ask("SELECT id FROM silences") == [(1,)], "the silence")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["acme-prd", "--for", "2h", "--reason", "x"], 'did you mean "acme-prod"'),
        (["channel:opps", "--for", "2h", "--reason", "x"], 'did you mean "ops"'),
        (["event:lockd", "--for", "2h", "--reason", "x"], 'did you mean "locked"'),
        (["acme-prod", "--for", "soon", "--reason", "x"], "--for 'soon' is no duration"),
        (["acme-prod", "--for", "91d", "--reason", "x"], "at most 90 days"),
        (["acme-prod", "--for", "2h", "--reason", " "], "needs a reason"),
        (["acme-prod", "--for", "2h"], "--reason"),
        (["acme-prod", "--reason", "x"], "--for"),
    ],
)
async def test_what_cannot_be_silenced_is_wrong_usage(sim, arguments, said):
    ended = await sim.call("silence", "add", *arguments)
    assert ended.status == 2
    assert said in ended.err
