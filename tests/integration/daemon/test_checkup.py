"""`diagnose` against the simulator: each scripted fault, and the owner it must name."""

import socket
from contextlib import AsyncExitStack
from datetime import UTC, datetime

import pytest

from monitor.config import load
from monitor.oneshot.checkup import checkup
from monitor.oneshot.checkup_plan import plan_of
from monitor.oneshot.probe_once import Attempts, cost
from monitor.simulator import Simulator, parse_scenario

pytestmark = pytest.mark.anyio

SECRET = "sk-sim-FAKE-acme-prod-0001"
RELAY = "sk-sim-FAKE-acme-relay-0002"
ADMIN = "sk-admin-sim-FAKE-0003"
KEY = f"""
[[keys]]
name = "acme"
secret = "{SECRET}"
organization = "org-acme"
projects = ["proj_acme"]
"""
OPEN = 'gate.open = "always"\n'
PROVIDER = f"""
[[keys]]
name = "relay"
secret = "{RELAY}"
contract = "provider"
"""
NOW = datetime(2026, 11, 20, 15, 0, tzinfo=UTC)


def block(what: str) -> str:
    return f'{OPEN}[[keys.blocks]]\nwhat = "{what}"\n'


def fault(what: str) -> str:
    return f'{OPEN}[[keys.faults]]\nwhat = "{what}"\n'


def admin(rules: str = "") -> str:
    return f'[[admins]]\nsecret = "{ADMIN}"\norganization = "org-acme"\n{rules}'


ALLOWED = admin('mode = "allow_list"\nmodels = ["gpt-image-2", "gpt-5.4-nano"]\n')
NOT_ALLOWED = admin('mode = "allow_list"\nmodels = ["gpt-5.4-nano"]\n')
ACTS = 'organization = "org-acme"\nproject = "proj_acme"\n'
MANAGED = '[organizations.org-acme]\nadmin_key = "env:ADMIN"\nroute = "sim"\n'
UNLISTED = block("model_not_found") + 'models = ["gpt-image-2"]\n'

#: what happens; the scenario's key; the settings besides; the owner; the diagnosis; the deciding check
REFUSALS = [
    ("a secret with a comma", OPEN, {"secret": f"{SECRET},"}, "key", "invalid_credentials", "secret"),
    ("a placeholder", OPEN, {"secret": "your-api-key"}, "key", "invalid_credentials", "secret"),
    ("another vendor's key", OPEN, {"secret": "sk-ant-FAKE-000000000001"}, "key",
     "invalid_credentials", "secret"),
    ("an admin key", OPEN, {"secret": ADMIN}, "key", "invalid_credentials", "secret"),
    ("a name without address", OPEN, {"base_url": "https://api.acme.invalid/v1"}, "network",
     "network_error", "name_resolution"),
    ("nobody listens", OPEN, {"base_url": "http://127.0.0.1:{dead}/v1"}, "network",
     "network_error", "connection"),
    ("no TLS there", OPEN, {"base_url": "https://127.0.0.1:{port}/v1"}, "route",
     "network_error", "tls"),
    ("a reset", fault("reset"), {}, "network", "network_error", "first_byte"),
    ("an unknown key", block("invalid_api_key"), {}, "key", "invalid_credentials", "key"),
    ("a deactivated account", block("account_deactivated"), {}, "organization",
     "account_deactivated", "key"),
    ("a wrong organization", OPEN, {"acts": 'organization = "org-other"'}, "key",
     "organization_mismatch", "organization_and_project"),
    ("a wrong project", OPEN, {"acts": 'project = "proj_other"'}, "key",
     "organization_mismatch", "organization_and_project"),
    ("a region", block("region"), {}, "network", "region_blocked", "key"),
    ("no credit", block("insufficient_quota"), {}, "billing", "quota_exhausted", "credit"),
    ("a hard limit", block("billing_hard_limit_reached"), {}, "billing", "quota_exhausted", "credit"),
    ("a dead model", OPEN, {"model": "gpt-image-1"}, "model", "model_unavailable", "model"),
    ("a chat call with an image model", OPEN, {"model": "gpt-image-2:chat"}, "request",
     "wrong_endpoint", "endpoint"),
    ("a restricted key", block("missing_scope"), {}, "key", "missing_scope", "gate:images"),
    ("a tier without images", block("tier_limit_zero"), {}, "billing", "tier_unsupported",
     "gate:images"),
    ("a project's allow-list", block("project_denied"), {}, "project", "project_denied",
     "gate:images"),
    ("a model not visible", block("model_not_found"), {}, "model", "model_unavailable",
     "gate:images"),
    ("an allow-list behind a 404", UNLISTED + NOT_ALLOWED, {"acts": ACTS, "more": MANAGED},
     "project", "project_denied", "model_permissions"),
    ("no allow-list behind a 404", UNLISTED + ALLOWED, {"acts": ACTS, "more": MANAGED}, "model",
     "model_unavailable", "gate:images"),
    ("never verified", "", {}, "organization", "verification_required", "gate:images"),
    ("only the stream is gated", "", {"model": "gpt-5.1:stream"}, "organization",
     "verification_required", "gate:stream"),
    ("locked", 'gate.locked = "always"\n', {}, "organization", "verification_locked",
     "gate:images"),
    ("a rate limit", fault("rate_limited"), {}, "rate limit", "rate_limited", None),
    ("a failing server", fault("server_error"), {}, "provider", "server_error", None),
    ("an edge", fault("edge_forbidden"), {}, "route", "edge_error", None),
    ("a filter", block("moderation_blocked"), {}, "request", "moderation_blocked", None),
    ("broken JSON", fault("broken_json"), {}, "route", "unrecognized", None),
    ("nothing", OPEN, {}, "organization", "access_granted", None),
]  # fmt: skip


class Ward:
    """A simulator, and the settings of one key on it."""

    def __init__(self, folder, stack):
        self.folder, self._stack = folder, stack

    async def simulate(self, scenario):
        self.simulator = Simulator(parse_scenario(f'name = "checkup"\n{scenario}'))
        self.base_url = await self.simulator.start()
        self._stack.push_async_callback(self.simulator.stop)

    def settings(self, secret=SECRET, base_url="", acts="", more="", watch="gpt-image-2"):
        port = self.simulator.origin.rpartition(":")[2]
        url = (base_url or self.base_url).format(port=port, dead=_dead_port())
        text = (
            f'[routes.sim]\nbase_url = "{url}"\ncontract = "direct"\n'
            f'[routes.relay]\nbase_url = "{self.simulator.origin}/relay/v1"\n'
            '[cadence]\nimage_gap = "1ms"\n'
            f'[[keys]]\nname = "acme"\nsecret = "env:SECRET"\nroute = "sim"\n'
            f'watch = ["{watch}"]\n{acts}\n{more}'
        )
        path = self.folder / "access-monitor.toml"
        path.write_text(text)
        return load(path, {"SECRET": secret, "RELAY": RELAY, "ADMIN": ADMIN}, now=NOW)

    async def examine(self, settings, model=None, key="acme", environ=None):
        plan = plan_of(settings, key, model, NOW.date())
        report = await checkup(settings, plan, environ or {}, NOW, Attempts())
        # what failed without a word may have been billed, and counts
        assert report.cost_usd >= self.simulator.ledger.billed() - 1e-6
        assert report.cost_usd <= cost(settings, plan)
        assert self.simulator.ledger.count(what="foreign_key") == 0
        return report


def _dead_port():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


@pytest.fixture
async def ward(tmp_path, anyio_backend, monkeypatch):
    monkeypatch.setenv("NO_PROXY", "*")
    async with AsyncExitStack() as stack:
        yield Ward(tmp_path, stack)


def results(report):
    return {check.name: str(check.result) for check in report.checks}


@pytest.mark.parametrize(
    ("scenario", "given", "owner", "diagnosis", "decides"),
    [row[1:] for row in REFUSALS],
    ids=[row[0] for row in REFUSALS],
)
async def test_each_fault_names_its_owner(ward, scenario, given, owner, diagnosis, decides):
    await ward.simulate(KEY + scenario)
    besides = {name: value for name, value in given.items() if name != "model"}
    report = await ward.examine(ward.settings(**besides), given.get("model"))
    told = [(check.name, str(check.result), check.evidence) for check in report.checks]
    assert (report.verdict.owner, report.verdict.diagnosis) == (owner, diagnosis), told
    if decides:
        assert results(report)[decides] == "problem", told
    assert bool(report.verdict.not_worth) == (diagnosis != "access_granted")
    assert report.verdict.advice
    text = str(report.as_json())
    assert SECRET not in text
    assert ADMIN not in text


async def test_what_comes_after_the_decision_is_skipped_and_a_bad_secret_is_sent_nowhere(ward):
    await ward.simulate(KEY + OPEN)
    report = await ward.examine(ward.settings(secret="sk-or-FAKE-000000000000001"))
    assert set(list(results(report).values())[1:]) == {"skipped"}
    assert ward.simulator.ledger.totals()["requests"] == 0


async def test_a_proxy_that_is_none_is_the_problem_and_nothing_is_sent(ward, monkeypatch):
    await ward.simulate(KEY + OPEN)
    monkeypatch.setenv("NO_PROXY", "")
    monkeypatch.setenv("HTTPS_PROXY", "http://acme:FAKE-word@127.0.0.1:99999")
    report = await ward.examine(ward.settings(base_url="https://api.example/v1"))
    assert results(report)["connection"] == "problem"
    assert (report.verdict.owner, report.verdict.diagnosis) == ("network", "network_error")
    assert "HTTPS_PROXY names http://127.0.0.1:99999" in report.verdict.advice
    assert "FAKE-word" not in str(report.as_json())


async def test_an_open_key_passes_every_check_with_timings(ward):
    await ward.simulate(KEY + OPEN)
    report = await ward.examine(ward.settings(acts=ACTS))
    assert {name for name, result in results(report).items() if result != "ok"} == {"tls"}
    timed = {check.name for check in report.checks if check.took_ms}
    assert timed >= {"connection", "first_byte", "key", "listed", "control", "gate:images"}
    assert results(report).keys() >= {"gate:edits", "gate:image_tool", "credit"}


async def test_surfaces_that_differ_are_told_apart(ward):
    await ward.simulate(KEY + '[keys.capabilities."gpt-image-2:image_tool"]\nopen = "always"\n')
    report = await ward.examine(ward.settings())
    found = results(report)
    assert (found["gate:images"], found["gate:image_tool"]) == ("problem", "ok")
    assert found["control"] == "ok"
    assert "open already through: image_tool" in report.verdict.advice


async def test_two_routes_are_compared_and_never_merged(ward):
    await ward.simulate(KEY + PROVIDER + OPEN)
    beside = (
        '[[keys]]\nname = "relay"\nsecret = "env:RELAY"\nroute = "relay"\nwatch = ["gpt-image-2"]\n'
    )
    settings = ward.settings(more=beside)
    report = await ward.examine(settings)
    own, other = report.as_json()["routes"]
    assert (own["route"], own["contract"], own["effect"]) == ("sim", "direct", "gated")
    assert (other["route"], other["contract"], other["effect"]) == ("relay", "provider", "granted")
    assert other["latency_ms"] > 0
    assert (other["cost_usd"] > 0, other["cost_estimated"]) == (True, True)
    assert (report.verdict.owner, report.verdict.diagnosis) == (
        "organization",
        "verification_required",
    )
    for word in ("relay/gpt-image-2:images", "Mapping:", "Billing and limits:", "Data:", "Shape:"):
        assert word in report.verdict.advice
    turned = await ward_of_relay(settings)
    assert (turned.verdict.owner, turned.verdict.diagnosis) == ("organization", "access_granted")
    assert "says nothing of an OpenAI organization" in turned.verdict.advice
    assert ward.simulator.ledger.count(what="foreign_key") == 0


async def ward_of_relay(settings):
    plan = plan_of(settings, "relay", None, NOW.date())
    return await checkup(settings, plan, {}, NOW, Attempts())


async def test_so_many_other_keys_are_not_all_probed(ward):
    await ward.simulate(KEY)
    many = "".join(
        f'[[keys]]\nname = "relay-{n}"\nsecret = "env:RELAY"\nroute = "relay"\n'
        'watch = ["gpt-image-2", "gpt-image-2:edits"]\n'
        for n in range(14)
    )
    plan = plan_of(ward.settings(more=many), "acme", None, NOW.date())
    assert [one.name for one in plan.others] == [f"relay-{n}/gpt-image-2:images" for n in range(10)]
    assert plan.left_out == 4


async def test_a_control_that_a_provider_does_not_have_is_no_finding(ward):
    await ward.simulate(
        KEY + PROVIDER
        + 'gate.open = "always"\n[[keys.blocks]]\nwhat = "model_not_found"\nmodels = ["gpt-5.4-nano"]\n'
    )  # fmt: skip
    beside = (
        '[[keys]]\nname = "relay"\nsecret = "env:RELAY"\nroute = "relay"\n'
        'watch = ["gpt-image-2:images"]\n'
    )
    report = await ward.examine(ward.settings(more=beside), "gpt-image-2", key="relay")
    assert results(report)["control"] == "skipped"
    assert report.verdict.diagnosis == "access_granted"


async def test_a_relay_without_a_channel_is_the_routes_problem(ward):
    await ward.simulate(KEY + PROVIDER + block("no_channel"))
    beside = (
        '[[keys]]\nname = "relay"\nsecret = "env:RELAY"\nroute = "relay"\nwatch = ["gpt-image-2"]\n'
    )
    report = await ward.examine(ward.settings(more=beside), key="relay")
    assert (report.verdict.owner, report.verdict.diagnosis) == ("route", "model_unavailable")


async def test_the_date_that_the_api_sends_is_told(ward):
    await ward.simulate(
        KEY
        + OPEN
        + '[[models]]\nname = "gpt-image-2"\nlike = "gpt-image-2"\nshutdown = 2026-11-30\n'
    )
    report = await ward.examine(ward.settings())
    assert results(report)["model"] == "problem"
    assert "gpt-image-2 will be shut down on 2026-11-30" in report.verdict.advice


async def test_a_stale_base_url_is_told_without_what_may_be_secret_in_it(ward):
    await ward.simulate(KEY + OPEN)
    url = "https://acme:FAKE-word@relay.example/v1?key=FAKEtoken123456#FAKEtoken123456"
    report = await ward.examine(ward.settings(), environ={"OPENAI_BASE_URL": url})
    assert 'OPENAI_BASE_URL is "https://relay.example/v1", the settings' in report.verdict.advice
    assert "FAKE" not in str(
        [check.evidence for check in report.checks if check.name == "variables"]
    )


async def test_stale_variables_are_told_although_the_settings_are_right(ward):
    await ward.simulate(KEY + OPEN)
    stale = {"OPENAI_ORG_ID": "org-stale", "OPENAI_PROJECT_ID": "proj_acme"}
    report = await ward.examine(ward.settings(acts=ACTS), environ=stale)
    assert results(report)["variables"] == "problem"
    assert report.verdict.diagnosis == "access_granted"
    assert 'OPENAI_ORG_ID is "org-stale"' in report.verdict.advice
    assert "OPENAI_PROJECT_ID" not in report.verdict.advice


async def test_a_wrong_organization_is_told_from_a_wrong_key(ward):
    await ward.simulate(KEY + OPEN)
    report = await ward.examine(ward.settings(acts='organization = "org-other"'))
    assert results(report)["key"] == "ok"
    assert "acts for project proj_acme" in report.verdict.advice


async def test_an_admin_key_adds_the_projects_own_rows(ward):
    await ward.simulate(KEY + ALLOWED + "images_per_minute = 7\n")
    report = await ward.examine(ward.settings(acts=ACTS, more=MANAGED))
    by_name = {check.name: check for check in report.checks}
    assert by_name["model_permissions"].result == "ok"
    assert "images per 1 minute: 7" in by_name["rate_limits"].evidence
    assert report.verdict.diagnosis == "verification_required"


async def test_an_admin_key_that_is_refused_is_no_finding(ward):
    await ward.simulate(KEY + OPEN)
    report = await ward.examine(ward.settings(acts=ACTS, more=MANAGED))
    assert results(report)["model_permissions"] == "skipped"
    assert report.verdict.diagnosis == "access_granted"


@pytest.mark.parametrize(
    ("model", "target"),
    [
        (None, "acme/gpt-5.1:summary"),
        ("gpt-5.1", "acme/gpt-5.1:summary"),
        ("gpt-5.1:chat", "acme/gpt-5.1:chat"),
        ("gpt-image-2", "acme/gpt-image-2:images"),
    ],
)
async def test_the_model_may_be_left_out_or_be_another_than_the_watched(ward, model, target):
    await ward.simulate(KEY)
    plan = plan_of(ward.settings(watch="gpt-5.1:summary"), "acme", model, NOW.date())
    assert plan.target.name == target


async def test_an_unknown_model_wants_its_surface(ward):
    await ward.simulate(KEY)
    with pytest.raises(ValueError, match="did you mean 'gpt-image-2'"):
        plan_of(ward.settings(), "acme", "gpt-imgae-2", NOW.date())
