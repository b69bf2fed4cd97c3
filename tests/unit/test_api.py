"""The Python API: what it takes, what it gives, and what it does without."""

import json
import subprocess
import sys
from types import SimpleNamespace

import httpx
import pytest

from monitor import api

GATE = {
    "error": {
        "message": "Your organization must be verified to use the model `gpt-image-2`.",
        "type": "invalid_request_error",
        "param": None,
        "code": None,
    }
}
KEY = "sk-test-FAKE-acme-prod-0001"


def test_an_answer_is_diagnosed_by_status_headers_and_body() -> None:
    found = api.diagnose(403, {"X-Request-ID": "req_FAKE"}, json.dumps(GATE).encode())
    assert (found.code, found.effect, found.owner, found.gate) == (
        "verification_required", "gated", "organization", "model",
    )  # fmt: skip
    assert found.message == GATE["error"]["message"]
    assert found.request_id == "req_FAKE"
    assert found.waiting_helps
    assert found.advice.startswith("Check in the organization's general settings")


@pytest.mark.parametrize("body", [GATE, json.dumps(GATE), json.dumps(GATE).encode()])
def test_the_body_may_be_bytes_text_or_a_value(body) -> None:
    assert api.diagnose(403, None, body).code is api.Code.VERIFICATION_REQUIRED


def test_a_status_alone_and_nothing_at_all_are_answers_too() -> None:
    limited = api.diagnose(429, {"Retry-After": "20"})
    assert (limited.code, limited.retry_after) == (api.Code.RATE_LIMITED, 20)
    assert api.diagnose(None).code is api.Code.UNRECOGNIZED


def test_a_success_counts_where_it_is_known_what_was_asked_for() -> None:
    served = {
        "object": "response",
        "status": "completed",
        "model": "gpt-5.1-2025-11-13",
        "output": [
            {"type": "message", "content": [{"type": "output_text", "text": "copperlizard"}]}
        ],
    }
    asked = api.diagnose(200, {}, served, model="gpt-5.1", surface="responses")
    assert asked.effect is api.Effect.GRANTED
    assert api.diagnose(200, {}, served, model="o3").effect is api.Effect.INCONCLUSIVE
    with pytest.raises(ValueError, match="moon"):
        api.diagnose(200, {}, served, surface="moon")


def test_a_response_of_httpx_is_enough_and_its_key_is_not_repeated() -> None:
    odd = {"error": {"message": f"The key {KEY[8:]} is odd", "type": "relay_error", "param": None}}
    request = httpx.Request(
        "POST", "https://relay.example/v1/images/edits", headers={"Authorization": f"Bearer {KEY}"}
    )
    found = api.diagnose(httpx.Response(500, json=odd, request=request))
    assert found.effect is api.Effect.INCONCLUSIVE
    assert KEY[8:] not in found.message
    assert "is odd" in found.message
    assert api.diagnose(httpx.Response(403, json=GATE)).gate is api.Gate.MODEL


def test_a_response_that_was_not_read_or_knows_little_is_no_error() -> None:
    unread = httpx.Response(403, stream=httpx.ByteStream(b"x"))
    assert api.diagnose(unread).effect is not api.Effect.GRANTED
    small = SimpleNamespace(status_code=403, headers={}, content=json.dumps(GATE).encode())
    assert api.diagnose(small).code is api.Code.VERIFICATION_REQUIRED


def test_a_status_that_is_none_names_what_to_give() -> None:
    with pytest.raises(TypeError, match="status is '403': give a number such as 403"):
        api.diagnose("403", {}, b"")  # type: ignore[arg-type]


def test_a_paste_is_explained_and_a_log_searched() -> None:
    text = f"Error code: 403 - {GATE!r}"
    assert api.explain(text).code is api.Code.VERIFICATION_REQUIRED
    assert api.explain("too many", status=429).code is api.Code.RATE_LIMITED
    log = f"start\n{text}\nend\n{text}"
    for given in (log, log.splitlines(), log.splitlines(keepends=True)):
        (answer,) = api.explain_log(given)
        assert (answer.diagnosis.gate, answer.count, answer.lines) == ("model", 2, (2, 4))


def test_what_it_has_is_kept() -> None:
    """These names are promised in docs/python.md: adding is fine, taking away is not."""
    assert set(api.__all__) == {
        "Answer", "Code", "Diagnosis", "Effect", "Gate", "Owner", "Response", "Surface", "diagnose",
        "explain", "explain_log",
    }  # fmt: skip
    fields = api.Diagnosis.__dataclass_fields__
    assert list(fields) == [
        "code", "effect", "owner", "gate", "message", "advice", "waiting_helps", "retry_after", "request_id",
        "rule",
    ]  # fmt: skip


@pytest.mark.parametrize("used", ["", "; monitor.api.diagnose(403, {}, b'{}')"])
def test_nothing_that_the_daemon_needs_is_imported(used: str) -> None:
    script = f"import sys, monitor.api{used}; print(*sorted(sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60
    )
    loaded = {name.partition(".")[0] for name in done.stdout.split()}
    heavy = {
        "aiohttp",
        "alembic",
        "apprise",
        "apscheduler",
        "asyncio",
        "httpx",
        "jinja2",
        "pydantic",
        "rich",
    }
    heavy |= {"pydantic_core", "sqlalchemy", "sqlite3", "sqlmodel", "structlog", "typer"}
    assert loaded & heavy == set()
    ours = {name for name in done.stdout.split() if name.startswith("monitor")}
    assert all(name in ("monitor", "monitor.api") or ".access" in name for name in ours)
    # what the first call needs is not loaded before it
    assert ("monitor.access.diagnosis" in ours) is bool(used)
