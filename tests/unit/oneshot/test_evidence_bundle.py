"""The evidence bundle: composed of records alone, pure, with nothing secret and nothing that formats."""

import json
import re
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from monitor.access.memory import TargetState
from monitor.access.words import (
    Code,
    Contract,
    DeclarationKind,
    Gate,
    ProbeKind,
    State,
    Surface,
)
from monitor.catalog import builtin
from monitor.config import Route
from monitor.oneshot.evidence_bundle import Asked, ProjectRules, bundle
from monitor.oneshot.evidence_text import markdown
from monitor.store.records import Declaration, Run, TargetStatus
from monitor.store.target_queries import Granted, TargetRecord

DECLARED = datetime(2026, 11, 20, 14, 5, tzinfo=UTC)
NOW = DECLARED + timedelta(hours=1)
WORDS = "Your organization must be verified to use the model `gpt-image-2`."
ROUTE = Route("https://api.openai.com/v1", Contract.DIRECT)

Make = Callable[..., Any]


def run(minutes: int, code: Code | None = Code.VERIFICATION_REQUIRED, **values: Any) -> Run:
    at = DECLARED + timedelta(minutes=minutes)
    made = Run(
        target="acme-prod/gpt-image-2:images",
        route="openai",
        kind=ProbeKind.FULL,
        diagnosis=code,
        status=403,
        gate=Gate.MODEL if code is Code.VERIFICATION_REQUIRED else None,
        message=WORDS,
        first_at=at,
        last_at=at + timedelta(minutes=4),
        count=10,
        request_ids=(f"req_{minutes}a", f"req_{minutes}b"),
        request_times=(at + timedelta(minutes=3), at + timedelta(minutes=4)),
        headers={"x-ratelimit-remaining-images": "4", "retry-after": "7", "openai-version": "2020"},
        latency_mean_ms=120.0,
        latency_min_ms=80.0,
        latency_max_ms=250.0,
        latency_median_ms=118.0,
        latency_p95_ms=240.0,
        reused=9,
        fresh=1,
        connect_ms=12.0,
        tls_ms=30.5,
        first_byte_ms=110.0,
        cost_usd=0.0,
    )
    return replace(made, **values)


def status(**values: Any) -> TargetStatus:
    made = TargetStatus(
        target="acme-prod/gpt-image-2:images",
        key="acme-prod",
        organization="org-acme",
        project="proj_acme",
        route="openai",
        contract=Contract.DIRECT,
        model="gpt-image-2",
        surface=Surface.IMAGES,
        state=State.PROPAGATING,
        since=DECLARED,
        blocker=None,
        last_probe_at=NOW,
        last_diagnosis=Code.VERIFICATION_REQUIRED,
        next_probe_at=NOW,
        spend_today_usd=0.0,
    )
    return replace(made, **values)


def known(*runs: Run, **values: Any) -> TargetRecord:
    made = TargetRecord(
        status=status(),
        memory=TargetState(State.PROPAGATING, DECLARED, declared_at=DECLARED, gated_seen=True),
        declarations=(Declaration(1, DeclarationKind.VERIFIED, "org-acme", DECLARED, "settings"),),
        start=DECLARED,
        runs=runs,
        runs_left_out=0,
        identity=None,
        beside=(),
    )
    return replace(made, **values)


def made_of(target_record: TargetRecord, **asked: Any) -> dict[str, Any]:
    values = {
        "route": ROUTE,
        "catalog": builtin(),
        "reference": "env:KEY",
        "fingerprint": "sha256:0a0b",
    }
    return bundle(target_record, Asked(**(values | asked)), NOW)


def test_it_has_all_that_support_asks_for() -> None:
    made = made_of(known(run(0), run(10, Code.SERVER_ERROR, status=503), run(20)))
    assert (made["organization"], made["project"], made["model"]) == (
        "org-acme",
        "proj_acme",
        "gpt-image-2",
    )
    assert made["request"]["method"] == "POST"
    assert made["request"]["url"] == "https://api.openai.com/v1/images/generations"
    assert made["request"]["json"]["model"] == "gpt-image-2"
    assert made["answers"]["since"] == made["state"]["declared_at"] == "2026-11-20T14:05:00Z"
    assert made["answers"]["count"] == 30
    assert made["answers"]["runs"][1]["requests"] == [
        {"id": "req_10a", "at": "2026-11-20T14:18:00Z", "status": 503},
        {"id": "req_10b", "at": "2026-11-20T14:19:00Z", "status": 503},
    ]
    assert made["rate_limits"] == {"x-ratelimit-remaining-images": "4", "retry-after": "7"}
    assert made["headers"] == {"openai-version": "2020"}
    assert made["key"] == {
        "name": "acme-prod",
        "reference": "env:KEY",
        "fingerprint": "sha256:0a0b",
    }
    assert {"access-monitor", "python", "httpx", "openai-version"} <= set(made["versions"])
    assert json.loads(json.dumps(made)) == made


def ruled_out(made: dict[str, Any], owner: str) -> tuple[bool, str]:
    (one,) = [other for other in made["ruled_out"] if other["owner"] == owner]
    return one["ruled_out"], one["because"]


def test_what_never_was_answered_is_ruled_out_by_the_gates_own_answers() -> None:
    made = made_of(known(run(0)))
    assert ruled_out(made, "project") == (
        True,
        "none of the answers said so; 10 came from the gate",
    )


def test_what_was_answered_is_ruled_out_by_a_later_answer_of_the_gate_only() -> None:
    later = made_of(known(run(0, Code.RATE_LIMITED), run(10)))
    assert ruled_out(later, "rate limit") == (
        True,
        "seen (rate_limited 10), but the gate answered after it, last at 2026-11-20T14:19:00Z",
    )
    still = made_of(known(run(0), run(10, Code.RATE_LIMITED)))
    assert ruled_out(still, "rate limit") == (
        False,
        "seen (rate_limited 10), last at 2026-11-20T14:19:00Z",
    )


def test_without_an_answer_of_the_gate_nothing_is_ruled_out() -> None:
    for runs in ((), (run(0, Code.SERVER_ERROR),)):
        made = made_of(known(*runs))
        assert not any(one["ruled_out"] for one in made["ruled_out"])


def test_a_listing_speaks_for_the_key_and_a_neighbours_success_for_its_credit() -> None:
    beside = Granted(status(target="acme-prod/o3:responses"), NOW, "req_9")
    free = run(30, None, kind=ProbeKind.LISTING, status=200)
    made = made_of(known(run(0), identity=free, beside=(beside,)))
    assert "GET /models with the same headers succeeded" in ruled_out(made, "key")[1]
    assert ruled_out(made, "billing")[0]
    assert "another target of the key was granted" in ruled_out(made, "billing")[1]
    assert "granted at 2026-11-20T15:05:00Z (`acme-prod/o3:responses`)." in markdown(made)
    for other in (
        replace(beside, at=DECLARED - timedelta(minutes=1)),
        replace(beside, status=status(key="other")),
        replace(beside, at=None),
    ):
        assert not ruled_out(made_of(known(run(0), beside=(other,))), "billing")[0]


def test_of_text_surfaces_the_gates_answer_speaks_for_credit_too() -> None:
    text = known(run(0), status=status(model="o3", surface=Surface.RESPONSES))
    assert ruled_out(made_of(text), "billing")[0]


def test_the_markdown_says_it_all() -> None:
    before = run(-10, first_at=DECLARED - timedelta(hours=2))
    text = markdown(made_of(known(before, run(20), runs_left_out=3)))
    assert text.startswith("# Access evidence: `acme-prod/gpt-image-2:images`\n\nComposed ")
    for part in (
        "Since 2026-11-20T14:05:00Z, when the verification was declared as completed, 20 probes",
        "The first run began before and is counted whole.",
        "3 older runs of answers are left out.",
        "| Organization | `org-acme` |",
        "| Key | `acme-prod`, kept as `env:KEY`, fingerprint `sha256:0a0b` |",
        "| Endpoint | `POST https://api.openai.com/v1/images/generations` |",
        "| `req_20b` | 2026-11-20T14:29:00Z | 403 |",
        "connect 12 ms, TLS 30.5 ms, first byte 110 ms, median 118 ms, 95th percentile 240 ms",
        "1 new and 9 reused connections",
        "- `x-ratelimit-remaining-images`: `4`",
        "- Ruled out: a rate limit. None of the answers said so; 20 came from the gate.",
        "| Declared | verified for `org-acme` at 2026-11-20T14:05:00Z (settings) |",
    ):
        assert part in text
    assert text.endswith("`\n")
    assert "None" not in text.replace("None of", "")


def test_after_a_list_that_came_the_last_answer_is_the_last_full_probes() -> None:
    memory = TargetState(State.AVAILABLE, last_full=Code.ACCESS_GRANTED, last_full_at=DECLARED)
    listed = known(status=status(last_diagnosis=None), memory=memory)
    text = markdown(made_of(listed))
    assert "| Last answer | access_granted at 2026-11-20T14:05:00Z |" in text
    assert "verification_required at 2026-11-20T" in markdown(made_of(known()))


def test_a_first_light_is_that_of_the_present_opening() -> None:
    """Before a relapse the target may have been open already, as the answers below say."""
    memory = TargetState(State.PROPAGATING, first_light_at=NOW)
    text = markdown(made_of(known(memory=memory)))
    assert re.search(r"\| First granted answer of this opening \| 2026-", text)


def test_a_bundle_of_little_is_still_one() -> None:
    little = known(
        status=status(organization=None, project=None, last_diagnosis=None, last_probe_at=None),
        memory=TargetState(),
        declarations=(),
    )
    text = markdown(made_of(little, fingerprint=None))
    assert "None yet." in text
    assert "kept as `env:KEY` |" in text
    assert "Not ruled out: a rate limit. No answer has told of the gate yet." in text


def test_a_providers_bundle_says_that_openai_cannot_see_it() -> None:
    relay = Route("https://relay.example/v1", Contract.PROVIDER)
    made = made_of(
        known(run(0), status=status(route="relay", contract=Contract.PROVIDER)), route=relay
    )
    assert "This is a provider's route" in markdown(made)
    assert "This is a provider's route" not in markdown(made_of(known(run(0))))


def test_the_request_of_a_multipart_probe_names_its_parts() -> None:
    text = markdown(made_of(known(run(0), status=status(surface=Surface.EDITS))))
    assert "| Request | multipart: `model`, " in text


@pytest.mark.parametrize(
    "evil", ["a|b`c\nd", "`</code><script>", "@everyone `x`", "| --- |", "\u202egnp\x1b[31m"]
)
def test_words_from_outside_stay_in_their_code_span(evil: str) -> None:
    beside = Granted(status(target=f"x/{evil}"), NOW, evil)
    runs = run(0, message=evil, request_ids=(evil, evil), headers={"x-ratelimit-x": evil})
    plain = Granted(status(target="x/y"), NOW, "z")
    tame = run(0, message="words", headers={"x-ratelimit-x": "v"})
    wild = markdown(made_of(known(runs, beside=(beside,))))
    calm = markdown(made_of(known(tame, beside=(plain,))))
    assert wild.count("`") == calm.count("`")
    assert wild.count("|") == calm.count("|")
    assert wild.count("\n") == calm.count("\n")
    assert "\x1b" not in wild
    assert "\u202e" not in wild


@pytest.mark.parametrize(
    ("rules", "owner", "ruled_out", "why", "text"),
    [
        ({"permissions": {"mode": "allow_list", "model_ids": ["gpt-5.4"]}},
         "project", False, "leave the model out", "may not use `gpt-image-2`"),
        ({"permissions": {"mode": "deny_list", "model_ids": ["gpt-5.4"]}},
         "project", True, "allow the model", "`deny_list` `gpt-5.4`"),
        ({}, "project", True, "allow the model", "No model permissions are set"),
        ({"limit": {"max_images_per_1_minute": 0}},
         "rate limit", False, "is zero", "`{\"max_images_per_1_minute\": 0}`"),
        ({"problem": "401, invalid_credentials"},
         "project", True, "none of the answers", "could not be read: `401, invalid_credentials`"),
    ],
)  # fmt: skip
def test_what_the_admin_key_read_weighs_in(rules, owner, ruled_out, why, text) -> None:
    made = made_of(known(run(0)), rules=ProjectRules("proj_acme", **rules))
    (other,) = [one for one in made["ruled_out"] if one["owner"] == owner]
    assert other["ruled_out"] is ruled_out
    assert why in other["because"]
    assert text in markdown(made)
    assert json.loads(json.dumps(made)) == made


def test_without_an_admin_key_nothing_is_said_of_it() -> None:
    made = made_of(known(run(0)))
    assert made["project_rules"] is None
    assert "admin" not in markdown(made)
