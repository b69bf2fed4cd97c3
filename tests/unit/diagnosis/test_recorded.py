"""Recorded answers, a row each: what counts as known, and the surface that an endpoint names."""

import pytest

from monitor.access.diagnosis.explaining import explain_row, surface_of
from monitor.access.diagnosis.pasted import as_json, of_bytes
from monitor.access.words import Code, Surface

SERVED = '{"object": "chat.completion", "choices": [{"message": {"content": "Hi"}, "finish_reason": "stop"}]}'


@pytest.mark.parametrize(
    ("endpoint", "surface"),
    [
        ("POST /v1/images/generations", Surface.IMAGES),
        ("POST https://relay.example/v1/images/edits", Surface.EDITS),
        ("POST /v1/responses", Surface.RESPONSES),
        ("POST /v1/responses stream", Surface.STREAM),
        ("POST /v1/responses (stream: true)", Surface.STREAM),
        ("POST /v1/responses with reasoning.summary", Surface.SUMMARY),
        ("POST /v1/responses (image_generation tool)", Surface.IMAGE_TOOL),
        ("POST {azure}/openai/responses?api-version=2025-04-01-preview", Surface.RESPONSES),
        ("POST /v1/chat/completions", Surface.CHAT),
        ("POST /v1/chat/completions (relay, stream)", Surface.STREAM),
        ("GET /v1/models", Surface.MODELS),
        ("GET /v1/models/gpt-image-2", Surface.MODELS),
        ("GET /v1/responses/resp_1", None),
        ("some gateway", None),
        ("", None),
    ],
)
def test_an_endpoint_names_its_surface(endpoint, surface):
    assert surface_of(endpoint) is surface


def test_the_endpoint_decides_what_proves_a_success():
    row = {"status": 200, "body": SERVED, "endpoint": "POST /v1/chat/completions"}
    assert explain_row(row).code is Code.ACCESS_GRANTED
    assert explain_row(row | {"endpoint": "POST /v1/responses"}).code is Code.UNRECOGNIZED
    assert (
        explain_row(row | {"endpoint": "POST /v1/chat/completions stream"}).code
        is Code.UNRECOGNIZED
    )
    assert explain_row(row | {"model": "gpt-5.1", "endpoint": None}).code is Code.ACCESS_GRANTED


def test_another_model_in_the_payload_is_no_success():
    row = {
        "status": 200,
        "body": SERVED.replace("{", '{"model": "gpt-4o", ', 1),
        "model": "gpt-5.1",
    }
    assert explain_row(row).code is Code.UNRECOGNIZED


@pytest.mark.parametrize("status", [429, "429"])
def test_a_status_may_be_written_as_digits(status):
    assert explain_row({"status": status, "body": "no"}).code is Code.RATE_LIMITED


def test_an_answer_without_a_status_is_read_as_a_paste():
    assert explain_row({"body": "HTTP/2 429\n\n{}"}).code is Code.RATE_LIMITED
    assert explain_row({"body": "curl: (6) Could not resolve host: x"}).code is Code.NETWORK_ERROR


@pytest.mark.parametrize("status", [None, True, 4.29, "soon", [429], {}])
@pytest.mark.parametrize("headers", [None, "x", [1], {"A": 1, "Retry-After": "7"}])
@pytest.mark.parametrize(
    "body", [None, 1, [], {"error": {"message": "Incorrect API key provided"}}]
)
def test_fields_of_a_wrong_kind_count_as_unknown(status, headers, body):
    row = {
        "status": status,
        "headers": headers,
        "body": body,
        "endpoint": 7,
        "model": [],
        "more": 1,
    }
    found = explain_row(row)
    assert found.code is (Code.INVALID_CREDENTIALS if isinstance(body, dict) else Code.UNRECOGNIZED)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("{'a': None, 'b': [True, False]}", '{"a": null, "b": [true, false]}'),
        ("""{'a': "it's \\"so\\"", 'b': 'None'}""", '{"a": "it\'s \\"so\\"", "b": "None"}'),
        (r"{'a': 'x\n\x41\u0042\'c'}", '{"a": "x\\nAB\'c"}'),
        ("{'a': b'x', 'b': u'y'}", '{"a": "x", "b": "y"}'),
        ("{'a': open('x')}", None),
        ("{'a': 'never ends", None),
        ("{'a': 1}, {'b': 2}", None),
        ("'a'", None),
        ("", None),
        ("[" * 5_000, None),
    ],
)
def test_a_python_literal_becomes_json_without_being_evaluated(text, expected):
    assert as_json(text) == expected


def test_printed_bytes_are_their_text():
    assert of_bytes(repr('{"a": "无权"}'.encode())) == '{"a": "无权"}'
    assert of_bytes("b'无'") == "无"
    assert of_bytes("b'a") is None
