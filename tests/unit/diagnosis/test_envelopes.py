"""Wherever a gateway hides the error, the innermost one is found."""

import json

import pytest

from monitor.access.diagnosis import envelope
from monitor.access.words import Code, Gate


def _wrap(text: str, depth: int) -> str:
    for _ in range(depth):
        text = json.dumps({"success": False, "error": {"message": text, "code": "FORBIDDEN"}})
    return text


def _envelopes(message: str) -> dict[str, str | bytes]:
    inner = {"message": message, "type": "invalid_request_error", "param": None, "code": None}
    error = {"error": inner}
    text = json.dumps(error)
    event = json.dumps(
        {"type": "response.failed", "response": {"status": "failed", "error": inner}}
    )
    return {
        "as the vendor sends it": text,
        "the inner object only": json.dumps(inner),
        "a message and nothing else": json.dumps({"message": message}),
        "top-level array": json.dumps([error]),
        "errors[]": json.dumps({"success": False, "errors": [inner], "result": None}),
        "error[]": json.dumps({"error": [inner]}),
        "detail as text": json.dumps({"detail": message}),
        "detail as object": json.dumps({"detail": error}),
        "body.error": json.dumps({"msg": "not what was expected", "body": error, "status": 403}),
        "error as text": json.dumps({"success": False, "error": f"403 {message}"}),
        "one string deep": _wrap(text, 1),
        "two strings deep": _wrap(text, 2),
        "three strings deep": _wrap(text, 3),
        "a JSON string of JSON": json.dumps(text),
        "a relay's metadata as text": json.dumps(
            {"error": {"message": "Provider said no", "code": 403, "metadata": {"raw": text}}}
        ),
        "a relay's metadata as prose": json.dumps(
            {"error": {"message": "Provider said no", "code": 403, "metadata": {"raw": message}}}
        ),
        "metadata appended to the message": json.dumps(
            {"error": {"message": f"Provider said no ({json.dumps({'raw': text})})", "code": 403}}
        ),
        "Python's repr": str(error),
        "an SDK's exception": f"Error code: 403 - {error}",
        "two SDKs' exceptions": f"acme.BadRequestError: AcmeException - Error code: 400 - {error}",
        "an exception with JSON": f"acme.NotFoundError: AcmeException - {text}",
        "another SDK's exception": f'POST "https://api.example/v1/x": 403 Forbidden {json.dumps(inner)}',
        "status and prose": f"403 {message}",
        "prose": message,
        "a client's prose about a stream": f"Stream disconnected before completion: {message}",
        "cut in the message": text[: text.index("gpt-image-2")],
        "cut in a nested string": _wrap(text, 1)[:150],
        "cut before the end": text[:-3],
        "trailing garbage": text + "\n\nHave a nice day!",
        "two objects": text + "\n" + json.dumps({"status": "bye"}),
        "typographic quotes": text.replace('"', "”"),
        "full-width colons": text.replace('":', '"：'),
        "byte-order mark": "\ufeff" + text,
        "UTF-16": text.encode("utf-16"),
        "padding": "\r\n\t " + text + " \x00\x00",
        "error event": f"event: error\ndata: {text}\n\n",
        "error event, bare": f"event: error\ndata: {json.dumps(inner)}\n\n",
        "error type": f"data: {json.dumps({'type': 'error', 'error': inner})}\n\n",
        "failed event": f"event: response.failed\ndata: {event}\n\n",
        "failed event after pings": f'data: {{"type": "ping"}}\n\ndata: {event}\n\n',
        "failed event over several lines": "event: response.failed\ndata: "
        + json.dumps(json.loads(event), indent=2)
        + "\n\n",
        "a stream with CRLF": f"event: error\r\ndata: {text}\r\n\r\n",
        "a comment first": f": keep-alive\n\ndata: {text}\n\ndata: [DONE]\n\n",
        "bare JSON at a stream's end": f'data: {{"type": "ping"}}\n\n{text}\n',
        "error of a choice": json.dumps({"choices": [{"finish_reason": "error", "error": inner}]}),
    }


_SENTENCE = "Your organization must be verified to use the model `gpt-image-2`."


@pytest.mark.parametrize("name", list(_envelopes(_SENTENCE)))
@pytest.mark.parametrize("status", [200, 403, None])
def test_the_gate_is_found_in(read_answer, name, status):
    found = read_answer(status, _envelopes(_SENTENCE)[name])
    assert (found.code, found.gate) == (Code.VERIFICATION_REQUIRED, Gate.MODEL)


@pytest.mark.parametrize(
    "headers",
    [
        {"content-type": "text/html; charset=utf-8"},
        {"content-type": "application/json; charset=no-such-charset"},
        {"content-type": "text/plain; charset=zip\x00"},
        {"content-type": ""},
    ],
)
def test_a_wrong_content_type_changes_nothing(read_answer, error_body, headers):
    assert read_answer(403, error_body(_SENTENCE), headers).code is Code.VERIFICATION_REQUIRED


def test_a_declared_charset_is_used_when_the_text_is_no_utf8(read_answer):
    body = json.dumps({"error": {"message": "无效的令牌"}}, ensure_ascii=False).encode("gbk")
    found = read_answer(401, body, {"content-type": "application/json; charset=GBK"})
    assert (found.code, found.message) == (Code.INVALID_CREDENTIALS, "无效的令牌")


def test_the_message_is_the_innermost_one(read_answer):
    body = {
        "error": {"message": json.dumps({"error": {"message": "The real reason"}}), "code": 400}
    }
    assert read_answer(500, body).message == "The real reason"


def test_a_status_found_inside_counts_more_than_the_outer_one(read_answer):
    assert read_answer(200, {"error": {"message": "Hm.", "code": 402}}).code is Code.QUOTA_EXHAUSTED
    assert read_answer(500, {"error": {"message": "Hm.", "code": "400"}}).code is Code.BAD_REQUEST


def test_an_empty_error_beside_a_payload_is_no_error(read_answer):
    body = {
        "error": {"message": "", "type": "", "param": "", "code": None},
        "choices": [{"message": {"content": "hi"}, "finish_reason": "stop"}],
    }
    assert read_answer(200, body).code is Code.ACCESS_GRANTED


@pytest.mark.parametrize("empty", [None, "", {}, [], False, "null", {"message": ""}])
def test_empty_errors_are_none(empty):
    assert not envelope.is_error(empty)


def test_control_and_bidirectional_characters_are_removed_from_the_message(read_answer):
    found = read_answer(400, {"message": "\x1b[31mred\u202e\u200b\r\n  line \ud800two\x00"})
    assert found.message == "[31mred line two"


def test_the_message_is_capped(read_answer, error_body):
    assert len(read_answer(400, error_body("x" * 5_000)).message) == 500


def test_a_web_page_shows_its_title(read_answer):
    found = read_answer(502, "<html><head><title>acme | 502</title></head></html>")
    assert found.message == "acme | 502"


def test_the_request_id_is_kept(read_answer, error_body):
    found = read_answer(400, error_body("no"), {"x-request-id": "req_FAKE"})
    assert (found.request_id, found.status) == ("req_FAKE", 400)
