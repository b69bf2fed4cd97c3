"""Answers in the forms in which people paste them: each is found, and means what the bare answer means."""

import json

import pytest

from monitor.access.diagnosis.explaining import Explained, explain
from monitor.access.observation import Diagnosis, Observation
from monitor.access.words import Code, Effect, Gate, Surface

GATE = (
    "Your organization must be verified to use the model `gpt-image-2`. Please go to: "
    "https://platform.openai.com/settings/organization/general and click on Verify Organization. "
    "If you just verified, it can take up to 15 minutes for access to propagate."
)
OBJECT = {"error": {"message": GATE, "type": "invalid_request_error", "param": None, "code": None}}
JSON = json.dumps(OBJECT)
PRETTY = json.dumps(OBJECT, indent=2)
RAISED = f"openai.PermissionDeniedError: Error code: 403 - {OBJECT}"
STACK = (
    'Traceback (most recent call last):\n  File "draw.py", line 3, in <module>\n'
    '    draw("invalid api key")\n'
)
IMAGE = {"created": 1, "data": [{"b64_json": "iVBORw0KGgoAAAANSUhEUg==", "url": None}]}


def explained(text: str | bytes, endpoint: str = "", **given: object) -> Explained:
    body = text if isinstance(text, bytes) else text.encode()
    return explain(Observation(**{"status": None, **given}, body=body), endpoint)


def told(text: str | bytes, **given: object) -> Diagnosis:
    return explained(text, **given).diagnosis


def assumed(text: str, **given: object) -> str:
    return "; ".join(explained(text, **given).assumed)


GATES = {
    "a traceback's last line": RAISED,
    "a whole traceback": STACK + RAISED,
    "a chained traceback": f"{STACK}{RAISED}\n\nThe above exception was the direct cause of the following "
    f"exception:\n\n{STACK}RuntimeError: no picture today",
    "curl -i": f"HTTP/2 403 \r\ncontent-type: application/json\r\nx-request-id: req_FAKE\r\n\r\n{PRETTY}",
    "curl -i without the blank line": f"HTTP/1.1 403 Forbidden\ncontent-type: application/json\n{JSON}",
    "curl -i through a proxy": "HTTP/1.1 200 Connection established\n\nHTTP/2 403\ncontent-type: "
    f"application/json\n\n{JSON}",
    "curl -v": "* Trying...\n> POST /v1/images/generations HTTP/2\n> Authorization: Bearer x\n> \n"
    f"< HTTP/2 403 \n< content-type: application/json\n< \n{{ [9 bytes data]\n{JSON}\n* Connection #0 left",
    "the command and the answer": "$ curl -s https://api.example/v1/images/generations \\\n  -d '{\n"
    f'  "model": "gpt-image-2",\n  "prompt": "invalid api key"}}\'\n{JSON}',
    "a log line": f"2026-11-20 14:05:03,123 ERROR [worker] failed status=403 body={JSON}",
    "a JSON log line": json.dumps({"level": "error", "msg": "no", "status": 403, "response": JSON}),
    "log lines": f"2026-11-20 14:05:01 INFO start\n2026-11-20 14:05:02 ERROR {OBJECT}\n14:05:04 INFO on",
    "JSON": PRETTY,
    "JSON and curl's status behind it": f"{JSON}\n403",
    "a Python dict": repr(OBJECT),
    "Python bytes": repr(JSON.encode()),
    "curly quotes": "Error: {“error”: {“message”: “Your organization must be verified to use the model "
    "‘gpt-image-2’.”, “code”: null}}",
    "a sentence": "“Your organization must be verified to use the model ‘gpt-image-2’ …” what now?",
    "a fence": f"It says\n```json\n{PRETTY}\n```\nany idea?",
    "a quotation": "\n".join(f"> {line}" for line in PRETTY.splitlines()),
    "a container's log": "\n".join(f"api-1  | {line}" for line in PRETTY.splitlines()),
    "Node": f"PermissionDeniedError: 403 {GATE}\n    at APIError.generate (/app/e.js:6:2)\n  status: 403",
    "Go": f'POST "https://api.example/v1/images/generations": 403 Forbidden {JSON}',
    "colours": f"\x1b[31mERROR\x1b[0m 403 \x1b[1m{GATE}",
    "a stream": f"HTTP/2 200\ncontent-type: text/event-stream\n\nevent: error\ndata: {JSON}\n\n",
    "a recorded answer": json.dumps({"id": 7, "status": 403, "headers": {}, "body": JSON}),
    "the middle of a long text": "lorem ipsum dolor " * 200
    + f"\nthen {JSON}\n"
    + "sit amet " * 200,
}


@pytest.mark.parametrize("text", GATES.values(), ids=GATES)
def test_the_gate_is_found_in_every_form(text):
    found = told(text)
    assert (found.code, found.gate) == (Code.VERIFICATION_REQUIRED, Gate.MODEL)
    assert "Your organization must be verified" in found.message


def test_the_gate_is_found_in_a_file_that_powershell_wrote():
    assert told(JSON.encode("utf-16")).code is Code.VERIFICATION_REQUIRED


OTHERS = [
    (
        ("openai.RateLimitError: Error code: 429 - {'error': {'message': 'Rate limit reached for o3. Please "
        "try again in 12s.', 'type': 'tokens', 'code': 'rate_limit_exceeded'}}"),
        Code.RATE_LIMITED,
    ),
    ("<html><head><title>403 Forbidden</title></head><center>cloudflare</center></html>", Code.EDGE_ERROR),
    ('{"status": 401, "message": "no"}', Code.INVALID_CREDENTIALS),
    ("HTTP 429", Code.RATE_LIMITED),
    ('192.0.2.7 - - [20/Nov/2026:14:05:03 +0000] "POST /v1/responses HTTP/1.1" 429 31', Code.RATE_LIMITED),
    ('INFO:httpx:HTTP Request: POST https://api.example/v1/responses "HTTP/1.1 401 Unauthorized"',
     Code.INVALID_CREDENTIALS),
    (("openai.PermissionDeniedError: Error code: 403 - {'error': {'message': 'Organization verification is "
     "currently not available.'}}"), Code.VERIFICATION_LOCKED),
    ("the api gives 403 “Project `proj_FAKE` does not have access to model `o3`”", Code.PROJECT_DENIED),
    ("nothing that anybody knows", Code.UNRECOGNIZED),
    ("", Code.UNRECOGNIZED),
    ("openai.APIConnectionError: Connection error.", Code.NETWORK_ERROR),
    ("openai.APITimeoutError: Request timed out.", Code.NETWORK_ERROR),
    ("curl: (6) Could not resolve host: api.example", Code.NETWORK_ERROR),
    ('Post "https://api.example/v1/images/generations": unexpected EOF', Code.NETWORK_ERROR),
    ("curl: (60) SSL certificate problem: unable to get local issuer certificate", Code.NETWORK_ERROR),
    ("TypeError: fetch failed\n    at node:internal/deps/undici:1:1", Code.NETWORK_ERROR),
]  # fmt: skip


@pytest.mark.parametrize(("text", "code"), OTHERS)
def test_other_answers_are_told_apart(text, code):
    assert told(text).code is code


def test_the_words_of_a_lost_connection_do_not_hide_an_answer_with_a_status():
    assert told("HTTP 502: connection refused").code is not Code.NETWORK_ERROR


SUCCESSES = {
    "JSON": json.dumps(IMAGE),
    "curl -i": f"HTTP/1.1 200 OK\ncontent-type: application/json\n\n{json.dumps(IMAGE)}",
    "a Python dict": repr(IMAGE),
    "a fence": f"```json\n{json.dumps(IMAGE)}\n```",
    "the command and the answer": "$ curl https://api.example/v1/images/generations -d '{}'\n"
    + json.dumps(IMAGE),
}


@pytest.mark.parametrize("text", SUCCESSES.values(), ids=SUCCESSES)
def test_a_whole_success_is_granted(text):
    assert told(text).code is Code.ACCESS_GRANTED


@pytest.mark.parametrize(
    "text",
    [
        f"2026-11-20 14:05:03 INFO on\n2026-11-20 14:05:04 INFO {json.dumps(IMAGE)}",
        f"{STACK}ValueError: {json.dumps(IMAGE)}",
        f"the documentation shows\n{json.dumps(IMAGE)}\nas an example",
        f"<html>\n< HTTP/1.1 200 OK\n{json.dumps(IMAGE)}",
        f"HTTP/2 403\n\n{json.dumps(IMAGE)}",
        f"{json.dumps(IMAGE)}\n{JSON}",
    ],
)
def test_a_success_that_something_else_quotes_is_not_granted(text):
    assert told(text).effect is not Effect.GRANTED


def test_the_status_that_was_taken_is_named():
    assert "status 403, from the status line" in assumed(GATES["curl -i"])
    assert "status 403, from 'Error code: 403'" in assumed(RAISED)
    assert "status 429, from 'HTTP 429'" in assumed("HTTP 429")
    assert "status 401, from" in assumed('{"status": 401, "message": "no"}')
    assert "status 429, from 'RateLimitError'" in assumed("litellm.RateLimitError: no more of that")
    assert "none is given or found" in assumed(JSON)


def test_a_status_that_was_given_counts_more_than_one_that_is_found():
    assert told("HTTP 429", status=401).status == 401
    assert "status" not in assumed("HTTP 429", status=401)


def test_a_part_that_was_chosen_is_named():
    assert "begins in a traceback with 'openai.Perm" in assumed(STACK + RAISED).replace('"', "'")


def test_a_command_names_surface_and_model():
    text = assumed(GATES["the command and the answer"])
    assert "surface images, from POST https://api.example/v1/images/generations" in text
    assert "model gpt-image-2, from the request" in text


def test_the_surface_that_was_asked_for_decides_whether_a_success_counts():
    assert told(json.dumps(IMAGE), surface=Surface.CHAT).code is Code.UNRECOGNIZED
    assert told(json.dumps(IMAGE), endpoint="POST /v1/chat/completions").code is Code.UNRECOGNIZED


def test_headers_of_the_paste_are_read():
    found = told("HTTP/2 429\nretry-after: 20\nx-request-id: req_FAKE\n\n{}")
    assert (found.retry_after, found.request_id) == (20, "req_FAKE")
    assert told("HTTP/2 429\nretry-after: 20\n\n{}", headers={"retry-after": "7"}).retry_after == 7


def test_a_model_list_proves_nothing():
    listed = {"object": "list", "data": [{"id": "gpt-image-2", "object": "model"}]}
    found = told(json.dumps(listed), endpoint="GET /v1/models", status=200, model="gpt-image-2")
    assert found.code is Code.UNRECOGNIZED


LOST = {
    "curl: (6) Could not resolve host: api.acme.example": "name_resolution",
    "ssl.SSLCertVerificationError: [SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed: "
    "unable to get local issuer certificate (_ssl.c:1006)": "certificate",
    "tls: failed to verify certificate: x509: certificate signed by unknown authority": "certificate",
    "httpx.ConnectError: [SSL: WRONG_VERSION_NUMBER] wrong version number (_ssl.c:1006)": "no_tls",
    "curl: (35) OpenSSL SSL_connect: SSL_ERROR_SYSCALL": "tls",
    "httpx.ConnectTimeout": "connect_timeout",
    "httpx.ReadTimeout: The read operation timed out": "timeout",
    "dial tcp 127.0.0.1:8080: connect: connection refused": "refused",
    "OSError: [Errno 101] Network is unreachable": "connect",
    "Error: socket hang up": "cut",
}


@pytest.mark.parametrize("text", LOST)
def test_the_words_of_a_client_tell_why_no_answer_came(text):
    found = told(text)
    assert (found.code, found.rule) == (Code.NETWORK_ERROR, f"no_answer_{LOST[text]}")
