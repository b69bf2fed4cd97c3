"""`evidence` and `status --routes` as a person calls them, beside a daemon and after it."""

import json
import signal
from datetime import UTC, datetime, timedelta

import pytest

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(150)]

SCENARIO = """
name = "evidence"
[[keys]]
name = "acme-prod"
secret = "sk-sim-FAKE-acme-prod-0001"
organization = "org-acme"
projects = ["proj_acme"]
[keys.capabilities."gpt-5.4-nano:responses"]
open = "always"
[[admins]]
secret = "sk-admin-sim-FAKE-0001"
organization = "org-acme"
mode = "allow_list"
models = ["gpt-5.4-nano", "gpt-image-2"]
[[keys]]
name = "acme-relay"
secret = "sk-sim-FAKE-acme-relay-0001"
[keys.gate]
open = "always"
"""
SECRETS = {"ACME_PROD": "sk-sim-FAKE-acme-prod-0001", "ACME_RELAY": "sk-sim-FAKE-acme-relay-0001"}
TARGET = "acme-prod/gpt-image-2:images"
OPEN = "acme-prod/gpt-5.4-nano:responses"


@pytest.fixture
async def watched(lab, fast):
    """A folder with the database of a daemon that has probed a gated, an open and a relay's target."""
    await lab.simulate(SCENARIO)
    at = datetime.now(UTC) - timedelta(minutes=5)
    lab.settings.write_text(
        '[monitor]\ndatabase = "sqlite:///monitor.db"\n'
        f'[routes.sim]\nbase_url = "{lab.base_url}"\ncontract = "direct"\nrate = 500.0\n'
        f'[routes.relay]\nbase_url = "{lab.base_url}"\ncontract = "provider"\n'
        '[[keys]]\nname = "acme-prod"\nsecret = "env:ACME_PROD"\nroute = "sim"\n'
        'organization = "org-acme"\nproject = "proj_acme"\n'
        f"verified_at = {at:%Y-%m-%dT%H:%M:%SZ}\n"
        'watch = ["gpt-image-2", "gpt-5.4-nano"]\n'
        '[[keys]]\nname = "acme-relay"\nsecret = "env:ACME_RELAY"\nroute = "relay"\n'
        'watch = ["gpt-image-2"]\n' + fast
    )
    process = await lab.start("run", "--config", str(lab.settings), environ=SECRETS)

    def enough() -> bool:
        runs = lab.ask(
            "SELECT name, kind, diagnosis, answers FROM runs JOIN targets ON targets.id = target_id"
        )
        refused = sum(row[3] for row in runs if row[:2] == (TARGET, "full"))
        listed = any(row[1] == "listing" for row in runs)
        return refused >= 6 and listed and (OPEN, "full", "access_granted") in [r[:3] for r in runs]

    await lab.until(enough, "six answers, a model list and a granted answer")
    process.send_signal(signal.SIGTERM)
    await process.wait()
    return lab


@pytest.mark.smoke
async def test_the_bundle_is_read_without_a_secret_and_holds_none(watched):
    ended = await watched.call("evidence", "acme-prod/gpt-image-2")
    assert ended.status == 0, ended.err
    assert ended.out.startswith(f"# Access evidence: `{TARGET}`")
    for part in (
        "| Organization | `org-acme` |",
        "| Project | `proj_acme` |",
        "| Key | `acme-prod`, kept as `env:ACME_PROD` |",
        "when the verification was declared as completed",
        "Your organization must be verified to use the model 'gpt-image-2'.",
        "GET /models: 200 at ",
        "another target of the key was granted",
        "| `acme-prod/gpt-5.4-nano:responses` |",
    ):
        assert part in ended.out
    with_key = await watched.call("evidence", TARGET, "--format", "json", **SECRETS)
    made = json.loads(with_key.out)
    assert made["key"]["fingerprint"].startswith("sha256:")
    assert made["answers"]["since_what"] == "declaration"
    (run,) = made["answers"]["runs"]
    assert len(run["requests"]) == 5
    assert {request["status"] for request in run["requests"]} == {403}
    assert run["new_connections"] + run["reused_connections"] == run["count"]
    for secret in SECRETS.values():
        assert secret not in with_key.out + ended.out + ended.err


async def test_an_admin_key_is_asked_only_where_it_is_wanted(watched):
    refused = await watched.call("evidence", TARGET, "--admin", **SECRETS)
    assert refused.status == 2
    assert (
        'the settings have no admin key for it: [organizations."org-acme"] admin_key' in refused.err
    )
    text = watched.settings.read_text()
    admin = '[organizations."org-acme"]\nadmin_key = "env:ADMIN"\nroute = "sim"\n'
    watched.settings.write_text(text + admin)
    secrets = SECRETS | {"ADMIN": "sk-admin-sim-FAKE-0001"}
    before = (await watched.totals())["requests"]
    usual = await watched.call("evidence", TARGET, "--format", "json", **secrets)
    assert json.loads(usual.out)["project_rules"] is None
    assert (await watched.totals())["requests"] == before
    ended = await watched.call("evidence", TARGET, "--admin", "--format", "json", **secrets)
    assert ended.status == 0, ended.err
    made = json.loads(ended.out)
    assert made["project_rules"]["allows"] is True
    assert made["project_rules"]["rate_limits"]["model"] == "gpt-image-2"
    (project,) = [one for one in made["ruled_out"] if one["owner"] == "project"]
    assert project["ruled_out"]
    assert not [secret for secret in secrets.values() if secret in ended.out + ended.err]


async def test_routes_are_compared_side_by_side(watched):
    ended = await watched.call("status", "--routes", "--format", "json")
    assert ended.status == 0, ended.err
    found = {(row["model"], row["route"]): row for row in json.loads(ended.out)["routes"]}
    direct, relay = found["gpt-image-2", "sim"], found["gpt-image-2", "relay"]
    assert (direct["contract"], relay["contract"]) == ("direct", "provider")
    assert direct["states"] == {"propagating": 1}
    assert set(direct["by_diagnosis"]) == {"verification_required"}
    assert set(relay["by_diagnosis"]) == {"access_granted"}
    assert 0 < direct["latency_median_ms"] <= direct["latency_p95_ms"]
    shown = await watched.call("status", "--routes")
    assert "verification_required" in shown.out
    assert "access_granted" in shown.out
    plain = await watched.call("status", "--format", "json")
    assert set(json.loads(plain.out)) == {"targets", "notifications", "silences", "workers"}


@pytest.mark.parametrize(
    ("target", "said"),
    [
        ("acme-prod", "names several targets"),
        ("nobody", "no target is named 'nobody'"),
        ("acme-prod/o3", "no target is named 'acme-prod/o3'"),
    ],
)
async def test_a_name_that_is_not_one_target_is_wrong_usage(lab, fast, target, said):
    lab.settings.write_text(
        '[[keys]]\nname = "acme-prod"\nsecret = "env:ACME_PROD"\n'
        'watch = ["gpt-image-2", "gpt-5.4-nano"]\n'
    )
    ended = await lab.call("evidence", target)
    assert (ended.status, ended.out) == (2, "")
    assert said in ended.err


async def test_without_a_database_it_says_so(lab):
    lab.settings.write_text(
        '[monitor]\ndatabase = "sqlite:///monitor.db"\n'
        '[[keys]]\nname = "acme-prod"\nsecret = "env:ACME_PROD"\nwatch = ["gpt-image-2"]\n'
    )
    for command in (("evidence", "acme-prod"), ("status", "--routes")):
        ended = await lab.call(*command)
        assert ended.status == 1
        assert "there is no database yet" in ended.err
