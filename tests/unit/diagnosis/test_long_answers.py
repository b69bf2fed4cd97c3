"""What is skipped to be quick with long answers must not change what they mean."""

import json

import pytest

from monitor.access.words import Code, Surface

CHUNK = {
    "object": "chat.completion.chunk",
    "model": "gpt-5.1-2025-11-13",
    "choices": [{"index": 0, "delta": {"content": "hi"}, "finish_reason": None}],
}
LAST = {"choices": [{"index": 0, "delta": {}, "finish_reason": "length"}]}


def stream(*frames: object) -> str:
    return "".join(f"data: {json.dumps(frame)}\n\n" for frame in frames)


@pytest.mark.parametrize(
    "frame",
    [
        'event: error\ndata: {"message": "Slow down", "code": "rate_limit_exceeded"}',
        'event: ERROR\ndata: {"message": "Slow down", "code": "rate_limit_exceeded"}',
        'data: {"\\u0065rror": {"message": "Slow down", "code": "rate_limit_exceeded"}}',
        'data: {"choices": [{"error": {"message": "Slow down", "code": "rate_limit_exceeded"}}]}',
        'data: {"detail": "Too many requests"}',
        'data: {"success": false, "message": "Too many requests"}',
    ],
)
def test_an_error_frame_is_found_in_a_long_stream(read_answer, frame):
    body = stream(*[CHUNK] * 200) + frame + "\n\n" + stream(LAST)
    assert read_answer(200, body, surface=Surface.STREAM).code is Code.RATE_LIMITED


@pytest.mark.parametrize(
    ("last", "code"),
    [
        (LAST, Code.ACCESS_GRANTED),
        ({"choices": [{"delta": {}}, {"delta": {}, "finish_reason": "stop"}]}, Code.ACCESS_GRANTED),
        ({"choices": [{"delta": {}, "finish_reason": "content_filter"}]}, Code.MODERATION_BLOCKED),
        ({"choices": []}, Code.UNRECOGNIZED),
        ({"choices": None}, Code.UNRECOGNIZED),
        (CHUNK, Code.UNRECOGNIZED),
    ],
)
def test_a_long_stream_is_granted_only_by_its_end(read_answer, last, code):
    body = stream(*[CHUNK] * 200, last)
    assert read_answer(200, body, surface=Surface.STREAM, model="gpt-5.1").code is code


def test_one_frame_of_another_model_is_enough(read_answer):
    body = stream(*[CHUNK] * 100, CHUNK | {"model": "gpt-4o"}, *[CHUNK] * 100, LAST)
    assert read_answer(200, body, surface=Surface.STREAM, model="gpt-5.1").code is Code.UNRECOGNIZED


def test_what_a_wrapper_adds_to_a_long_message_is_read(read_answer):
    long = "lorem ipsum dolor sit amet " * 60
    body = {"error": {"message": f"Rate limit reached. {json.dumps({'message': long})}"}}
    assert read_answer(400, body).code is Code.RATE_LIMITED


@pytest.mark.parametrize("name", ["message", "Message", "'message'", '\\"message\\"', "“message”"])
def test_a_field_of_a_cut_answer_is_found_however_it_is_quoted(read_answer, name):
    quoted = name if name[0] in "'\\“" else f'"{name}"'
    body = f'{{"error": {{{quoted} : "Incorrect API key provided: sk-F'
    assert read_answer(400, body).code is Code.INVALID_CREDENTIALS
