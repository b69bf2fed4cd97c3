"""Whatever comes back, there is a diagnosis; and nothing but a proof is granted."""

import json
from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monitor.access.diagnosis import diagnose, read_listing
from monitor.access.diagnosis.answer import WAIT_CAP
from monitor.access.diagnosis.explaining import explain, explain_row
from monitor.access.observation import Diagnosis, Failure, Observation
from monitor.access.words import Code, Effect, ProbeKind, Surface

_REFUSAL = json.dumps(
    {
        "error": {
            "message": "Your organization must be verified to use the model `gpt-image-2`.",
            "type": "invalid_request_error",
            "param": None,
            "code": None,
        }
    }
).encode()
_PIECES = (
    b"[", b"]", b"{", b"}", b'"', b"'", b":", b",", b"\\", b"\\u", b"\\ud800", b"null", b"1e999",
    b"data: ", b"event: error\n", b"\n\n", b"<html>", b"<", b'{"error":', b'"message":', b'"code":',
    b'{"choices":[', b'"finish_reason":', b'{"data":[{"b64_json":', b'"object":"response"',
    b'"status":"completed"', b"\xff\xfe", b"\xef\xbb\xbf", b"Limit: 0/1min", b"try again in 9",
    "令牌".encode(), "”".encode(), b"verified", b"organization", b"\x00", b"NaN",
)  # fmt: skip

statuses = st.none() | st.integers(-1, 1_000)
headers = st.dictionaries(
    st.sampled_from(["content-type", "retry-after", "retry-after-ms", "date", "x-request-id"]),
    st.text(max_size=60) | st.sampled_from(["text/html; charset=gbk", "application/json", "1e999"]),
)
pieces = st.lists(st.sampled_from(_PIECES) | st.binary(max_size=6), max_size=60).map(b"".join)
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(
                ["error", "message", "code", "type", "status", "choices", "finish_reason", "data",
                 "response", "output", "object", "id", "detail", "metadata", "raw", "usage", "model",
                 "incomplete_details", "delta", "content", "b64_json", "url"]
            )
            | st.text(max_size=5),
            inner,
            max_size=6,
        )
    ),
    max_leaves=25,
)  # fmt: skip
bodies = st.one_of(
    st.binary(max_size=300),
    pieces,
    values.map(lambda value: json.dumps(value).encode()),
    values.map(lambda value: f"data: {json.dumps(value)}\n\n".encode()),
    values.map(lambda value: json.dumps({"error": {"message": json.dumps(value)}}).encode()),
    values.map(lambda value: str(value).encode("utf-8", "surrogatepass")),
)


@settings(max_examples=400, deadline=timedelta(seconds=5))
@given(
    status=statuses,
    body=bodies,
    headers=headers,
    surface=st.none() | st.sampled_from(Surface),
    model=st.none() | st.sampled_from(["gpt-5.1", "o3", ""]) | st.text(max_size=10),
    kind=st.sampled_from(ProbeKind),
    truncated=st.booleans(),
    failure=st.none() | st.none() | st.none() | st.sampled_from(Failure),
)
def test_there_is_a_diagnosis_for_everything(
    status, body, headers, surface, model, kind, truncated, failure
):
    observation = Observation(
        status, headers, body, truncated, failure, kind=kind, surface=surface, model=model
    )
    found = diagnose(observation)
    assert isinstance(found, Diagnosis)
    assert len(found.message) <= 500
    assert found.message.isprintable()
    assert found.retry_after is None or 0 <= found.retry_after <= WAIT_CAP
    free = read_listing(observation)
    assert free is None or not free.effect.conclusive
    if kind is ProbeKind.LISTING:
        assert not found.effect.conclusive
    if status is not None and not 200 <= status < 300:
        assert found.code is not Code.ACCESS_GRANTED


@settings(max_examples=300, deadline=timedelta(seconds=5))
@given(
    status=st.sampled_from([None, 200, 201, 400, 403, 404, 500]),
    surface=st.none() | st.sampled_from(Surface),
    place=st.integers(0, len(_REFUSAL)),
    length=st.integers(0, 40),
    put=st.binary(max_size=12) | st.sampled_from(_PIECES),
    prefix=st.sampled_from([b"", b"data: ", b"[", b'{"data":', b'{"choices":[', b'"', b"Error: "]),
)
def test_a_mutated_refusal_is_never_granted_or_locked(status, surface, place, length, put, prefix):
    body = prefix + _REFUSAL[:place] + put + _REFUSAL[place + length :]
    found = diagnose(Observation(status, {}, body, surface=surface, model="gpt-image-2"))
    assert found.effect not in (Effect.GRANTED, Effect.LOCKED)


forms = st.sampled_from(
    [
        "{}",
        "HTTP/2 200\r\ncontent-type: application/json\r\n\r\n{}",
        "> POST /v1/responses HTTP/2\n< HTTP/2 200\n<\n{}\n* done",
        'Traceback (most recent call last):\n  File "a.py"\nopenai.APIError: {}',
        "2026-11-20 14:05:03 ERROR {}\n2026-11-20 14:05:04 INFO on",
        "see\n```\n{}\n```",
        "> {}",
        "$ curl https://api.example/v1/responses -d x\n{}",
    ]
)


@settings(max_examples=300, deadline=timedelta(seconds=5))
@given(
    status=st.none() | st.sampled_from([200, 400, 403]),
    form=forms,
    place=st.integers(0, len(_REFUSAL)),
    length=st.integers(0, 40),
    put=st.binary(max_size=12) | st.sampled_from(_PIECES),
)
def test_a_mutated_refusal_is_never_granted_or_locked_in_any_form(status, form, place, length, put):
    body = (_REFUSAL[:place] + put + _REFUSAL[place + length :]).decode("utf-8", "replace")
    given = Observation(status, body=form.replace("{}", body).encode())
    found = explain(given).diagnosis
    assert found.effect not in (Effect.GRANTED, Effect.LOCKED)


@settings(max_examples=300, deadline=timedelta(seconds=5))
@given(body=bodies, form=forms, row=st.dictionaries(
    st.sampled_from(["id", "status", "headers", "body", "endpoint", "model", "more"]), values
))  # fmt: skip
def test_a_paste_and_a_row_of_anything_have_a_diagnosis(body, form, row):
    before, _, after = form.partition("{}")
    pasted = Observation(None, body=before.encode() + body + after.encode())
    assert isinstance(explain(pasted).diagnosis, Diagnosis)
    assert isinstance(explain_row(row), Diagnosis)


@pytest.mark.parametrize("status", [200, 403])
@pytest.mark.parametrize(
    "body",
    [
        b"[" * 100_000,
        b'{"error":' * 50_000,
        b'{"a":' * 5_000 + b"1" + b"}" * 5_000,
        b'"' * 100_000,
        b"\\" * 100_000,
        b"{'" * 50_000,
        b"data: [" * 20_000,
        b"data: {\n" * 20_000,
        b"-" * 100_000,
        b"9" * 100_000,
        b'{"code":' + b"9" * 10_000 + b"}",
        b"try again in " + b"1" * 100_000,
        b"retry in 1s " * 10_000,
        b"limit:" + b" " * 100_000,
        b"<" * 100_000,
        b"\xff" * 100_000,
        "令牌".encode() * 40_000,
        b'{"message":"' * 10_000,
    ],
    ids=lambda body: body[:12].decode("latin-1"),
)
def test_hostile_bodies_are_only_unrecognized_or_worse(status, body):
    found = diagnose(Observation(status, {}, body))
    assert not found.effect.conclusive


def test_strings_in_strings_are_followed_only_so_far():
    text = "the end"
    for _ in range(12):
        text = json.dumps({"error": {"message": text}})
    assert diagnose(Observation(400, {}, text.encode())).code is Code.BAD_REQUEST
