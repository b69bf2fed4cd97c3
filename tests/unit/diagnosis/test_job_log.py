"""The answers in a job's log: found in every form that is printed, and nothing else."""

import json
import random
import textwrap
import time
from collections.abc import Iterator

import pytest

from monitor.access.diagnosis import job_log, log_lines
from monitor.access.diagnosis.job_log import JobLog, answers_in, is_log
from monitor.access.words import Code, Gate

WORDS = (
    "Your organization must be verified to use the model `gpt-image-2`. Please go to:"
    " https://platform.example/settings and click on Verify Organization. If you just verified, it can take"
    " up to 15 minutes for access to propagate."
)
GATE = {"error": {"message": WORDS, "type": "invalid_request_error", "param": None, "code": None}}
RATE = {
    "error": {
        "message": "Rate limit reached for gpt-5.1 in organization org-acmeFAKE on requests per min (RPM):"
        " Limit 3, Used 3, Requested 1. Please try again in 20s.",
        "type": "requests",
        "param": None,
        "code": "rate_limit_exceeded",
    }
}
PRETTY = json.dumps(GATE, indent=2)
RAISED = f"openai.PermissionDeniedError: Error code: 403 - {GATE!r}"
#: as the client has said it since 3.0
SAID = f"openai.PermissionDeniedError: Error code: 403 - {WORDS}"
NODE = f"""PermissionDeniedError: 403 {WORDS}
    at APIError.generate (/app/node_modules/openai/error.js:45:20)
  status: 403,
  error: {{
    message: '{WORDS}',
    type: 'invalid_request_error'
  }}"""
#: as Node prints the exception of the AI SDK
INSPECTED = f"""Error [AI_APICallError]: {WORDS}
  statusCode: 403,
  responseBody: '{{\\n' +
    '  "error": {{\\n' +
    '    "message": "{WORDS}",\\n' +
    '    "type": "invalid_request_error"\\n' +
    '  }}\\n' +
    '}}',"""
COLOURED = PRETTY.replace('"error"', '\x1b[0m\x1b[34;1m"error"\x1b[0m\x1b[1;39m').replace(
    "{", "\x1b[1;39m{\x1b[0m"
)
TERMINATED = {
    "error": {
        "message": "Your access was terminated due to violation of our policies.",
        "type": "access_terminated",
    }
}
#: an error's fields by themselves
MISMATCHED = {
    "message": "OpenAI-Project header should match project for API key",
    "type": "invalid_request_error",
    "code": "mismatched_project",
}
REGION = {
    "code": "unsupported_country_region_territory",
    "message": "Country, region, or territory not supported",
    "param": None,
    "type": "request_forbidden",
}


def refused(message: str, **fields: object) -> str:
    return json.dumps({"error": {"message": message} | fields})


def read(text: str) -> JobLog:
    return answers_in(line + "\n" for line in text.split("\n"))


def before_each(prefix: str, text: str) -> str:
    return "\n".join(prefix + line for line in text.split("\n"))


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (json.dumps(GATE), 1),
        (f"+ curl\n{PRETTY}", 2),
        (COLOURED, 1),
        (before_each("2026-11-20T14:05:00.1234567Z ", f"+ curl\n{PRETTY}"), 2),
        (before_each("[2026-11-20T14:05:00.123Z] ", PRETTY), 1),
        (before_each("web-1  | ", PRETTY), 1),
        (f"##[error]{json.dumps(GATE)}", 1),
        (f"event: error\ndata: {json.dumps(GATE)}", 2),
        (json.dumps({"level": "error", "msg": json.dumps(GATE)}), 1),
        (json.dumps({"level": "error", "msg": PRETTY}), 1),
        (json.dumps({"msg": f"body={json.dumps(json.dumps(GATE))}"}), 1),
        (json.dumps({"msg": RAISED}), 1),
        (RAISED, 1),
        (SAID, 1),
        (f"ERROR the request failed: Error code: 403 - {WORDS}", 1),
        (json.dumps({"msg": f"failed: Error code: 403 - {WORDS}", "level": "error"}), 1),
        (f"PermissionDeniedError('Error code: 403 - {WORDS}')", 1),
        ("\n".join(textwrap.wrap(SAID, 80)), 1),
        (f"Traceback (most recent call last):\n  File x\n{RAISED}\nError: exit code 1", 3),
        (repr(json.dumps(GATE).encode()), 1),
        (NODE, 1),
        (json.dumps({"detail": WORDS}), 1),
        (json.dumps(GATE)[:150], 1),
        ("\n".join(textwrap.wrap(RAISED, 80)), 1),
        (before_each("2026-11-20T14:05:00.1234567Z ", "\n".join(textwrap.wrap(RAISED, 80))), 1),
        (PRETTY.replace('    "type"', 'Downloading 10 %\n    "type"'), 1),
        (json.dumps({"error": {"message": f"relay: {json.dumps(GATE)}", "type": "relay"}}), 1),
        # cut, or with another program's line among its own
        (PRETTY.replace('    "type"', '+ echo "done"\n    "type"'), 1),
        ("\n".join(PRETTY.split("\n")[:4]), 1),
        (json.dumps({"error": {**GATE["error"], "details": [*range(80)]}}, indent=1), 1),
        (f"openai.PermissionDeniedError: {PRETTY}", 1),
        (f"openai.PermissionDeniedError: {json.dumps(GATE)}", 1),
        (INSPECTED, 1),
        (NODE.replace("message: '", "message:\n      '"), 1),
    ],
    ids=lambda value: str(value)[:40],
)
def test_the_gate_is_found_once_in_every_form(text: str, line: int) -> None:
    (one,) = read(f"{text}\nnothing more").answers
    assert (one.diagnosis.code, one.diagnosis.gate) == (Code.VERIFICATION_REQUIRED, Gate.MODEL)
    assert (one.count, one.lines) == (1, [line])


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("openai.APIConnectionError: Connection error.", Code.NETWORK_ERROR),
        ("openai.APITimeoutError: Request timed out.", Code.NETWORK_ERROR),
        ("openai.InternalServerError: Error code: 502", Code.EDGE_ERROR),
        (
            "openai.InternalServerError: <html>\n<head><title>502 Bad Gateway</title></head>\n</html>",
            Code.EDGE_ERROR,
        ),
        ("RateLimitError: 429 You exceeded your current quota.", Code.QUOTA_EXHAUSTED),
        ("Error code: 404 - {'detail': 'Not Found'}", Code.WRONG_ENDPOINT),
        (f"Error code: 429 - {RATE!r}", Code.RATE_LIMITED),
        ("openai.APIStatusError: Error code: 418 - a teapot", Code.UNRECOGNIZED),
        (
            "PermissionDeniedError: Error code: 403 - Organization verification is currently not available.",
            Code.VERIFICATION_LOCKED,
        ),
        (
            '[{"error": {"code": 400, "message": "API key not valid.", "status": "INVALID_ARGUMENT"}}]',
            Code.INVALID_CREDENTIALS,
        ),
        # a body that was not told is not an empty one, which would be an edge's
        ("openai.PermissionDeniedError: Error code: 403", Code.UNRECOGNIZED),
        (
            f"openai.RateLimitError: {json.dumps(TERMINATED, indent=4)}",
            Code.ACCOUNT_DEACTIVATED,
        ),
        (
            refused("Insufficient credits. Add more using https://x.example", code=402),
            Code.QUOTA_EXHAUSTED,
        ),
        (
            refused("Requests under Azure OpenAI API have exceeded call rate limit", code="429"),
            Code.RATE_LIMITED,
        ),
        (refused("User's credit limit is 0", code="insufficient_user_quota"), Code.QUOTA_EXHAUSTED),
        (
            refused("Rate limit reached for gpt-image-2 on input-images per min: Limit 5"),
            Code.RATE_LIMITED,
        ),
        (json.dumps(MISMATCHED), Code.ORGANIZATION_MISMATCH),
        (json.dumps(REGION), Code.REGION_BLOCKED),
    ],
)
def test_what_else_the_clients_say_is_found(text: str, code: Code) -> None:
    (one,) = read(text).answers
    assert (one.diagnosis.code, one.lines) == (code, [1])


@pytest.mark.parametrize(
    "text",
    [
        "npm ERR! code E404",
        '{"level":"error","error":null,"status":403}',
        '{"error": {"code": "E404", "summary": "not in the registry"}}',
        '{"error": {"code": 404, "message": "bucket not found", "status": "NOT_FOUND"}}',
        '{"error": {"message": "No such customer", "type": "invalid_request_error", "doc_url": "x"}}',
        '{"error": {"message": "Session expired", "type": "OAuthException", "fbtrace_id": "A"}}',
        '{"error": {"root_cause": [], "type": "index_not_found_exception", "reason": "none"}}',
        "error code: 137",
        "Error code: 404",
        "Error code: 404 - the artifact was not uploaded",
        "    except openai.RateLimitError: pass",
        "    raise openai.APIError(text)",
        "the organization must be verified before the release",
        "GET /v1/models 403 Forbidden",
        'assert body == {"error": None}',
        '{"object": "response", "status": "completed", "error": null}',
        # programs' own exceptions, as they log them
        '{"error":{"type":"java.net.SocketTimeoutException","message":"Read timed out","stack_trace":"x"}}',
        '{"error":{"type":"java.net.SocketTimeoutException","message":"Read timed out","code":"x',
        '{"error":{"type":"timeout","message":"Read timed out","stack_trace":"cut',
        '{"error":{"type":"TimeoutError","message":"Navigation timeout of 30000 ms exceeded"}}',
        '{"error":{"message":"connect ECONNREFUSED 127.0.0.1:5432","type":"Error"}}',
        '{"error":{"message":"User not found","type":"NOT_FOUND","path":["a"]}}',
        '{"error":{"type":"TypeError","message":"Cannot read properties of undefined","stack":"x"}}',
        '{"error":{"type":"AssertionError","message":"expected 403 to equal 200"}}',
        '{"message":"connect ECONNREFUSED","type":"system","code":"ECONNREFUSED"}',
        '{"message":"Rate limit exceeded","type":"request","code":"rate_limit_exceeded","user":"a"}',
        "MyAppError: Error code: 404",
        "KafkaError: Error code: 503 - broker gone",
        "botocore.ClientError: Error code: 403",
    ],
)
def test_what_is_no_answer_of_the_api_is_not_found(text: str) -> None:
    assert read(f"before\n{text}\nafter").answers == []


def test_equal_answers_are_one_and_others_of_a_line_are_told_apart() -> None:
    again = RATE | {
        "error": RATE["error"] | {"message": RATE["error"]["message"].replace("20s", "7s")}
    }
    found = read(f"a: Error code: 429 - {RATE!r}; b: {RAISED}\nx\nError code: 429 - {again!r}")
    rate, gate = found.answers
    assert (rate.diagnosis.code, rate.count, rate.lines) == (Code.RATE_LIMITED, 2, [1, 3])
    assert (gate.diagnosis.code, gate.count, gate.lines) == (Code.VERIFICATION_REQUIRED, 1, [1])
    assert rate.diagnosis.retry_after == 20


@pytest.mark.parametrize(
    "message",
    [
        "Your organization must be verified to use the model gpt-image-2. Pl...",
        "Invalid {', 'type': 'x'}}",
    ],
)
def test_an_answer_that_is_cut_or_has_a_bracket_in_its_words_takes_nothing_of_the_next(
    message,
) -> None:
    first = f"a: Error code: 403 - {{'error': {{'message': '{message} b: "
    found = read(f"{first}Error code: 429 - {RATE!r}").answers
    gated = message.startswith("Your")
    assert [(one.diagnosis.code, one.count) for one in found] == [
        (Code.VERIFICATION_REQUIRED if gated else Code.UNRECOGNIZED, 1),
        (Code.RATE_LIMITED, 1),
    ]


def test_a_printed_answer_that_is_cut_takes_nothing_of_the_next_one() -> None:
    cut = "\n".join(PRETTY.split("\n")[:4])
    found = read(f"{cut}\nthe rest was lost\n{json.dumps(RATE, indent=2)}").answers
    assert [(one.diagnosis.code, one.lines) for one in found] == [
        (Code.VERIFICATION_REQUIRED, [1]),
        (Code.RATE_LIMITED, [6]),
    ]


def test_what_follows_on_the_last_line_of_an_answer_is_read() -> None:
    wrapped = "\n".join(textwrap.wrap(RAISED, 80))
    found = read(f"{wrapped}; b: Error code: 429 - {RATE!r}").answers
    assert [(one.diagnosis.code, one.lines) for one in found] == [
        (Code.VERIFICATION_REQUIRED, [1]),
        (Code.RATE_LIMITED, [wrapped.count("\n") + 1]),
    ]


def test_a_sentence_of_the_gate_takes_nothing_of_the_next_answer_on_its_line() -> None:
    found = read(f"a: {WORDS} b: Error code: 429 - {RATE!r}").answers
    assert [one.diagnosis.code for one in found] == [Code.VERIFICATION_REQUIRED, Code.RATE_LIMITED]


def test_an_answer_that_a_summary_cuts_is_the_same_answer() -> None:
    cut = "FAILED test_a.py::test_a - openai.PermissionDeniedError: Error code: 403 - {'error': {'message': "
    (one,) = read(f"E   {RAISED}\n====\n{cut}'Your organization must be ver...").answers
    assert (one.diagnosis.code, one.lines) == (Code.VERIFICATION_REQUIRED, [1, 3])


def test_answers_in_a_line_without_end_are_all_found() -> None:
    line = ("x" * 30_000 + json.dumps(GATE)) * 20
    parts = (line[at : at + 10_000] for at in range(0, len(line), 10_000))
    (one,) = answers_in(parts).answers
    assert (one.count, set(one.lines)) == (20, {1})


@pytest.mark.parametrize(
    "answer",
    [
        f"HTTP 403: {json.dumps(GATE)} ",
        RAISED,
        json.dumps({"error": {"message": f"relay: {json.dumps(GATE)}", "type": "relay"}}),
        f"except {RAISED.partition(' Error code')[0]} {json.dumps(GATE)}",
        RAISED[:200],
    ],
    ids=["object", "raised", "nested", "quoted", "cut"],
)
def test_an_answer_across_the_pieces_of_a_line_is_one_at_every_place(
    answer: str, monkeypatch
) -> None:
    seam = 800
    monkeypatch.setattr(log_lines, "PIECE", 1_900)  # less 900, and 200 before an answer
    monkeypatch.setattr(log_lines, "ANSWER_CAP", 900)
    (alone,) = read(answer).answers
    for place in range(seam - len(answer) - 20, seam + 220):
        found = answers_in([" " * place + answer + " " * 2_000]).answers
        assert [(one.diagnosis, one.count) for one in found] == [(alone.diagnosis, 1)], place


def test_colours_do_not_move_the_pieces_of_a_line() -> None:
    one = "\x1b[31mx\x1b[0m" * 40 + RAISED
    line = one * 300
    # a part may end within a colour's sign
    parts = (line[at : at + 10_007] for at in range(0, len(line), 10_007))
    (found,) = answers_in(parts).answers
    assert found.count == 300


def seconds(text: str) -> float:
    """Of the processor, to read it."""
    begun = time.process_time()
    read(text)
    return time.process_time() - begun


@pytest.mark.parametrize(
    "unit",
    [
        '"error":{',
        '"error": {"message": "',
        f'{{"message": {"x" * 300}' + '"error":{' * 800,
        '"error": {\n',
        '{"error":' * 800 + "\n",
        '{"error":' * 300 + '{"message":""}' + "}" * 300 + "\n",
        '"error": {' + '\\"' * 3_500 + "\n",
        "openai.APIError: <\n",
        "openai.APIError: <\n" + "<p>\n" * 5,
        "Error code: 403 - {'error': {'message': 'x",
        "Error code: 403 - {'error': {'message': 'x\n",
        'a({"error":{f:function(){return 1}}});',
        '{"message":"a","type":"b","code":"c","d":{',
    ],
    ids=lambda unit: unit[:40],
)
def test_text_that_only_looks_like_answers_costs_little_more_than_answers(unit: str) -> None:
    size = 25_000
    once, fourfold = (unit * (length // len(unit) + 1) for length in (size, 4 * size))
    answers = "\n".join(
        RAISED.replace("gpt-image-2", f"m{n}") for n in range(4 * size // len(RAISED))
    )
    spent = seconds(fourfold)
    assert spent < 20 * seconds(answers)
    assert spent < 10 * seconds(once)


def test_what_is_kept_is_bounded_and_the_rest_is_counted(monkeypatch) -> None:
    monkeypatch.setattr(job_log, "ANSWERS_CAP", 3)
    monkeypatch.setattr(job_log, "LINES_CAP", 5)
    names = ("images", "sound", "speech", "video", "words")
    text = "\n".join(RAISED.replace("gpt-image-2", name) for name in names for _ in range(7))
    found = read(text)
    assert [(one.count, one.lines) for one in found.answers] == [
        (7, [1, 2, 3, 4, 5]),
        (7, [8, 9, 10, 11, 12]),
        (7, [15, 16, 17, 18, 19]),
    ]
    assert (found.left_out, found.lines) == (14, 35)


def noise(seed: int) -> Iterator[str]:
    """Lines as they are in logs; many speak of errors."""
    draw = random.Random(seed)
    while True:
        number = draw.randrange(10**6)
        yield draw.choice(
            (
                f"2026-11-20T14:05:01.1234567Z Collecting package-{number}==1.{number % 9}",
                json.dumps(
                    {"level": "error", "msg": "miss", "status": 404, "error": None, "n": number}
                ),
                json.dumps({"error": {"code": f"E{number}", "summary": "not there"}}),
                f"ERROR: test_{number} failed with error code: 1",
                f"GET /v1/models/{number} HTTP/1.1 403 Error",
                f"    raise RuntimeError('Error: 500 in {number}')",
            )
        )


def test_twenty_answers_among_noise_are_found_in_their_lines() -> None:
    forms = (json.dumps(GATE), PRETTY, RAISED, json.dumps({"msg": json.dumps(GATE)}), NODE)
    lines: list[str] = []
    expected = []
    source = noise(7)
    for place in range(20):
        lines += [next(source) for _ in range(97 + place)]
        expected.append(len(lines) + 1)
        lines += forms[place % len(forms)].split("\n")
    found = read("\n".join(lines))
    assert sorted(line for one in found.answers for line in one.lines) == expected
    assert {one.diagnosis.code for one in found.answers} == {Code.VERIFICATION_REQUIRED}
    assert found.lines == len(lines)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (PRETTY, False),
        ("line\n" * 199, False),
        ("line\n" * 200, True),
        ('{"a": 1}\n' * 200, True),
        (json.dumps([GATE] * 100, indent=1), False),
        (json.dumps(GATE) + "\nline" * 200, True),
        ("[2026-11-20T14:05:00Z] line\n" * 200, True),
        ("HTTP/1.1 200 OK\n\n" + "line\n" * 200, False),
        ("<html>\n" + "<p>\n" * 200, False),
        ("data: {}\n\n" * 200, False),
        ("$ curl -s x\n" + "line\n" * 200, False),
        ("<34>Oct 11 22:14:15 host su: line\n" * 200, True),
    ],
    ids=lambda value: repr(value)[:30],
)
def test_a_long_text_is_a_log_unless_it_is_one_answer(text: str, *, expected: bool) -> None:
    assert is_log(text) is expected


def test_the_beginning_of_a_long_value_is_no_log() -> None:
    text = json.dumps({"data": ["x"] * 300}, indent=1)
    assert not is_log(text[:1500], cut=True)
    assert is_log(f"{PRETTY}\n" + "line\n" * 200, cut=True)
