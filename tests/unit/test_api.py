"""The Python API: what it takes, what it gives, and what it does without."""

import io
import json
import socket
import subprocess
import sys
import threading
from types import SimpleNamespace

import httpx
import pytest
import requests

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


@pytest.mark.parametrize("header", ["Authorization", "api-key", "X-Api-Key", "x-goog-api-key"])
def test_a_key_is_not_repeated_whatever_header_it_was_sent_in(header: str) -> None:
    key = "0123456789abcdefFAKE0123456789"
    body = {"error": {"code": "401", "message": f"Access denied due to invalid key {key}"}}
    request = httpx.Request("POST", "https://acme.example/openai", headers={header: key})
    found = api.diagnose(httpx.Response(401, json=body, request=request))
    assert found.message == "Access denied due to invalid key [hidden]"


def test_a_stream_of_requests_is_not_read_from_the_network() -> None:
    diagnosed = threading.Event()
    before_the_body = []

    def stall() -> None:
        taken, _ = server.accept()
        with taken:
            taken.recv(65_536)
            taken.sendall(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\n")
            before_the_body.append(diagnosed.wait(20))
            taken.sendall(b"{}")

    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=stall)
        thread.start()
        url = f"http://127.0.0.1:{server.getsockname()[1]}/v1/images/edits"
        with requests.get(url, stream=True, timeout=60) as response:
            api.diagnose(response)
            diagnosed.set()
            thread.join()
    assert before_the_body == [True]


def test_a_response_of_requests_that_was_read_is_diagnosed() -> None:
    response = requests.Response()
    response.status_code = 403
    response.raw = io.BytesIO(json.dumps(GATE).encode())
    assert response.content
    assert api.diagnose(response).gate is api.Gate.MODEL


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


def test_a_log_may_be_bytes_and_its_lines_end_with_newlines_only(tmp_path) -> None:
    path = tmp_path / "job.log"
    text = f"10 %\r20 %\r30 %\nError code: 403 - {GATE!r}\n"
    path.write_bytes(b"\xff" + text.encode())
    with (
        path.open("rb") as as_bytes,
        path.open(newline="\n", errors="replace") as as_text,
    ):
        for given in (as_bytes, as_text, path.read_bytes(), text):
            (answer,) = api.explain_log(given)
            assert (answer.diagnosis.gate, answer.lines) == ("model", (2,))


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
