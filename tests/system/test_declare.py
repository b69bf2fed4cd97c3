"""`declare` and `propagation` as commands, beside a running daemon."""

import json
import re
from datetime import UTC, datetime

import pytest

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(150)]

SCENARIO = """
name = "declared"
[[keys]]
name = "acme-prod"
secret = "sk-sim-FAKE-acme-prod-0001"
organization = "org-acme"
"""
#: The same when the gate opened: played when a test has seen what it waits for.
OPENED = SCENARIO + '[keys.gate]\nopen = "always"\n'

SETTINGS = """
[monitor]
database = "sqlite:///monitor.db"
[routes.sim]
base_url = "{base_url}"
contract = "direct"
rate = 500.0
[[keys]]
name = "acme-prod"
secret = "env:ACME"
route = "sim"
organization = "org-acme"
watch = ["gpt-image-2", "gpt-5.4-nano:models"]
"""


@pytest.fixture
async def sim(lab, fast):
    await lab.simulate(SCENARIO)
    lab.environ["ACME"] = "sk-sim-FAKE-acme-prod-0001"
    lab.settings.write_text(SETTINGS.format(base_url=lab.base_url) + fast)
    return lab


@pytest.mark.smoke
async def test_what_is_declared_before_the_first_run_is_kept_for_it(sim):
    ended = await sim.call("declare", "verified", "org-acme")
    assert ended.status == 0, ended.err
    assert "takes it at its next start" in ended.out
    assert (sim.folder / "monitor.db").stat().st_mode & 0o777 == 0o600
    assert "has not run yet" in (await sim.call("status")).out
    await sim.daemon()
    await sim.told("propagating")
    (row,) = [row for row in await sim.history() if row["event"] == "propagating"]
    # by which came first, the daemon's check of the database or its first answer
    assert row["reason"] in ("gated_after_declaration", "verified_declared")


async def test_what_is_declared_is_taken_at_once_and_the_opening_is_recorded(sim):
    await sim.daemon()
    await sim.told("unverified")
    before = datetime.now(UTC)
    ended = await sim.call("declare", "verified", "org-acme", "--at", "20 min ago", TZ="UTC-1")
    assert ended.status == 0, ended.err
    assert re.search(r"verified: org-acme, at 20\d\d-.*\+01:00 \(20 min ago\)", ended.out)
    assert "it may touch 1 of 2 targets (left alone: 1 without a gate)" in ended.out
    assert "takes it within 2 s" in ended.out
    await sim.told("propagating")
    after = datetime.now(UTC)
    (row,) = [row for row in await sim.history() if row["event"] == "propagating"]
    assert row["reason"] == "verified_declared"
    assert before < datetime.fromisoformat(row["at"]) < after
    asked = (await sim.totals())["requests"]

    async def refused_again() -> bool:
        return (await sim.totals())["requests"] > asked + 2

    await sim.until(refused_again, "refusals after the declaration")
    await sim.replay(OPENED)
    await sim.told("available")
    found = json.loads((await sim.call("propagation", "--format", "json")).out)
    (opening,) = found["openings"]
    assert opening["target"] == "acme-prod/gpt-image-2:images"
    assert opening["began"] == "declared"
    assert 1200 <= opening["wait_s"] < 1200 + (datetime.now(UTC) - before).total_seconds() + 1
    assert opening["probes"] > 2
    assert opening["cost_usd"] > 0
    assert opening["declared_at"] == opening["started_at"]
    assert [(g["contract"], g["model"], g["openings"]) for g in found["groups"]] == [
        ("direct", None, 1),
        ("direct", "gpt-image-2", 1),
    ]
    text = (await sim.call("propagation")).out
    assert re.search(r"direct +gpt-image-2 +org-acme +1 +0 +2\d min", text)


async def test_wrong_usage_is_2_and_says_what_was_meant(sim):
    for arguments, says in (
        (["verified", "org-acmee"], 'did you mean "org-acme"?'),
        (["verified", "acme-prd"], 'did you mean "acme-prod"?'),
        (["confirmed", "org-acme"], "verified"),
        (["verified", "org-acme", "--at", "soon"], "is no time"),
        (["verified", "org-acme", "--at", "2099-01-01 10:00"], "is in the future"),
    ):
        ended = await sim.call("declare", *arguments)
        assert ended.status == 2, arguments
        assert says in ended.err, arguments


async def test_rejected_says_the_next_sensible_try_and_waits_for_the_next_start(sim):
    process = await sim.daemon()
    await sim.told("unverified")
    process.terminate()
    await process.wait()
    ended = await sim.call(
        "declare", "rejected", "acme-prod", "--at", "2026-01-02T14:05:00Z", TZ="UTC"
    )
    assert ended.status == 0, ended.err
    assert "makes sense from 2026-01-03 14:05:00+00:00 on" in ended.out
    assert "takes it at its next start" in ended.out
    await sim.daemon()
    await sim.told("locked")
