"""`explain` as a process: its inputs, its two outputs, and what it refuses."""

import asyncio
import json
import os
import re
import sys
from pathlib import Path

import pytest
from warm_command import COMMAND

GATE = "Your organization must be verified to use the model `gpt-image-2`."
REFUSAL = json.dumps({"error": {"message": GATE, "type": "invalid_request_error", "code": None}})
FIELDS = ["diagnosis", "effect", "owner", "gate", "message", "advice", "waiting_helps"]

pytestmark = pytest.mark.anyio


async def explain(
    *arguments: str, stdin: str | bytes = b"", **environ: str
) -> tuple[int, str, str]:
    process = await asyncio.create_subprocess_exec(
        COMMAND, "explain", *arguments, env=os.environ | {"PYTHONWARNINGS": "error"} | environ,
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    given = stdin.encode() if isinstance(stdin, str) else stdin
    out, err = await asyncio.wait_for(process.communicate(given), 40)
    assert process.returncode is not None
    return process.returncode, out.decode(), err.decode()


async def test_a_file_standard_input_and_a_dash_say_the_same(tmp_path):
    file = tmp_path / "answer.json"
    file.write_text(REFUSAL)
    said = [
        await explain(str(file)),
        await explain(stdin=REFUSAL),
        await explain("-", stdin=REFUSAL),
    ]
    assert said[0] == said[1] == said[2]
    assert said[0][0] == 0


async def test_the_text_says_what_whose_and_what_to_do():
    status, out, _ = await explain(stdin=f"HTTP/2 403\nx-request-id: req_FAKE\n\n{REFUSAL}")
    assert status == 0
    for part in (
        "verification_required (gated, the gate of the model)",
        "whose problem    organization",
        GATE,
        "waiting helps    yes",
        "organization_must_be_verified",
        "req_FAKE",
        "status 403, from the status line",
    ):
        assert part in " ".join(out.split()) or part in out
    assert out.startswith("what to do       Check in the organization's general settings")
    assert out.count("No usage tier opens this gate.") == 1
    # what belongs to other diagnoses
    for part in ("photograph", "24 hours", "90 days", "service_tier"):
        assert part not in out


async def test_json_has_the_fixed_fields_and_the_status_is_told_beside_it():
    status, out, err = await explain("--format", "json", stdin=f"Error code: 403 - {REFUSAL}")
    assert status == 0
    found = json.loads(out)
    assert list(found) == FIELDS
    assert found["diagnosis"] == "verification_required"
    assert found["gate"] == "model"
    assert found["waiting_helps"] is True
    assert "assumed: status 403, from 'Error code: 403'" in err


async def test_options_alone_are_enough():
    status, out, _ = await explain("--status", "429", "--header", "Retry-After: 20")
    assert status == 0
    assert "rate_limited" in out
    assert "20 s" in out


async def test_model_and_surface_decide_whether_a_success_counts():
    served = json.dumps(
        {
            "object": "response",
            "status": "completed",
            "model": "gpt-5.1-2025-11-13",
            "output": [
                {"type": "message", "content": [{"type": "output_text", "text": "copperlizard"}]}
            ],
        }
    )
    for options, code in (
        (("--model", "gpt-5.1", "--surface", "responses"), "access_granted"),
        (("--model", "o3"), "unrecognized"),
        (("--surface", "chat"), "unrecognized"),
    ):
        _, out, _ = await explain(*options, "--status", "200", "--format", "json", stdin=served)
        assert json.loads(out)["diagnosis"] == code


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "nothing to explain"),
        (["/nowhere/answer.json"], "/nowhere/answer.json: No such file"),
        (["--status", "429", "--header", "Retry-After"], "'Name: value'"),
        (["--status", "42"], "--status"),
        (["--surface", "moon"], "--surface"),
        (["--jsonl", "x", "--model", "o3"], "--jsonl takes everything from its lines"),
        (["--jsonl", "/nowhere/answers.jsonl"], "No such file"),
        (["--jsonl", "x", "--log"], "--jsonl takes everything from its lines"),
        (["--log", "--status", "403"], "a log has answers to many requests"),
        (["--log", "/nowhere/job.log"], "/nowhere/job.log: No such file"),
    ],
)
async def test_wrong_usage_ends_with_2_and_says_why(arguments, words):
    status, out, err = await explain(*arguments)
    assert (status, out) == (2, "")
    assert words in err
    assert "Traceback" not in err


async def test_a_line_in_is_a_line_out_with_its_id():
    rows = [
        {
            "id": "a",
            "status": 403,
            "headers": {},
            "body": REFUSAL,
            "model": None,
            "note": "ignored",
        },
        {"id": 2, "status": None, "headers": None, "body": "HTTP 429"},
        {"body": {"error": {"message": "Incorrect API key provided"}}},
    ]
    text = "\n".join(json.dumps(row) for row in rows) + "\n\n"
    status, out, _ = await explain("--jsonl", "-", stdin=text)
    assert status == 0
    answers = [json.loads(line) for line in out.splitlines()]
    assert [list(answer) for answer in answers] == [["id", *FIELDS]] * 3
    assert [(a["id"], a["diagnosis"]) for a in answers] == [
        ("a", "verification_required"), (2, "rate_limited"), (None, "invalid_credentials"),
    ]  # fmt: skip


@pytest.mark.parametrize("bad", ["not json", "[]", '{"id": 1', "\xff", "[" * 100_000])
async def test_a_line_that_is_no_object_is_named_and_nothing_is_printed(tmp_path, bad):
    file = tmp_path / "answers.jsonl"
    file.write_bytes(b'{"id": 1, "status": 429}\n' + bad.encode("latin-1") + b"\n")
    status, out, err = await explain("--jsonl", str(file))
    assert (status, out) == (2, "")
    assert "line 2 is not" in err
    assert "Traceback" not in err


@pytest.mark.smoke
async def test_a_key_in_the_paste_is_not_repeated():
    secret = "sk-test-FAKE-acme-prod-0001"
    text = f"openai.APIError: the key {secret} with Authorization: Bearer {secret} is odd"
    for form in ("text", "json"):
        _, out, err = await explain("--format", form, stdin=text)
        assert secret not in out + err


async def test_what_moves_a_cursor_is_not_printed():
    _, out, err = await explain(stdin="HTTP 403 \x1b]0;title\x07 no\u202e entry \x1b[2J")
    assert all(c.isprintable() or c == "\n" for c in out + err)


async def test_a_long_answer_is_cut_and_said_so(tmp_path):
    file = tmp_path / "long.txt"
    file.write_bytes(b"HTTP/1.1 429 Too Many Requests\n\n" + b"x" * 2_000_000)
    status, out, err = await explain(str(file))
    assert status == 0
    assert "rate_limited" in out
    assert "longer than 1048576 bytes" in err


def job_log(path: Path, megabytes: int, answers: int) -> list[int]:
    """Write a log of that size with so many answers in it; returns the lines in which they begin."""
    refused = {"error": json.loads(REFUSAL)["error"] | {"param": None}}
    forms = (REFUSAL, json.dumps(refused, indent=2), f"Error code: 403 - {refused!r}")
    places, lines, size = [], [], 0
    while size < megabytes * 1_000_000:
        if len(places) < answers and size >= len(places) * megabytes * 1_000_000 // answers:
            places.append(len(lines) + 1)
            lines += forms[len(places) % 3].split("\n")
        line = f"2026-11-20T14:05:01.{len(lines):07}Z error: step {len(lines)} failed with code 1"
        lines.append(line)
        size += len(line) + 1
    path.write_text("\n".join(lines))
    return places


@pytest.mark.parametrize("answers", [0, 1, 20])
async def test_every_answer_in_a_job_log_of_5_mb_is_found_in_its_line(tmp_path, answers):
    log = tmp_path / "job.log"
    places = job_log(log, 5, answers)
    status, out, err = await explain(str(log), "--format", "json")
    assert (status, err) == (0, "")
    found = json.loads(out)
    assert [one["lines"] for one in found] == ([places] if answers else [])
    for one in found:
        assert list(one) == [*FIELDS, "count", "lines"]
        assert (one["diagnosis"], one["count"]) == ("verification_required", answers)


def proc_status(pid: int) -> str:
    return Path(f"/proc/{pid}/status").read_text()


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="looks into /proc")
async def test_a_log_takes_no_more_memory_when_it_is_ten_times_as_long(tmp_path):
    used = []
    for megabytes in (2, 20):
        log = tmp_path / f"{megabytes}.log"
        job_log(log, megabytes, 3)
        process = await asyncio.create_subprocess_exec(
            COMMAND, "explain", stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
        )
        process.stdin.transport.set_write_buffer_limits(high=0)
        process.stdin.write(log.read_bytes())
        await process.stdin.drain()  # all but what is in the pipe is read
        status = proc_status(process.pid)
        process.stdin.close()
        out, _ = await asyncio.wait_for(process.communicate(), 60)
        assert b"3 times: lines 1, " in out
        used.append(int(re.search(r"VmHWM:\s+(\d+) kB", status)[1]) / 1024)
    assert used[1] - used[0] < 4, used


@pytest.mark.smoke
async def test_a_short_log_is_read_as_one_where_it_is_asked_for():
    text = f"step 1\nError code: 401 - {{'error': {{'message': 'Incorrect API key provided'}}}}\n{REFUSAL}"
    status, out, _ = await explain("--log", stdin=text)
    assert status == 0
    assert out.index("1 time: line 2") < out.index("invalid_credentials (blocked)")
    assert out.index("1 time: line 3") < out.index("verification_required (gated")
    assert out.endswith("\n2 answers, 2 times, in 3 lines\n")
    _, out, _ = await explain("--log", stdin="nothing\n")
    assert out == "no answer in 1 line\n"
    _, out, _ = await explain("--log", stdin=text.encode("utf-16"))
    assert out.endswith("\n2 answers, 2 times, in 3 lines\n")


async def test_it_starts_without_what_the_other_commands_need():
    # pydantic is left out of the list: Typer reads every option with it
    script = (
        "import sys; from monitor.cli.commands import app;"
        "app(['explain', '--status', '429'], standalone_mode=False);"
        "heavy = {'monitor.config', 'monitor.store', 'httpx', 'sqlalchemy', 'rich', 'apprise', 'structlog',"
        " 'http.client'};"
        "print(sorted(heavy & set(sys.modules)))"
    )
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        script,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
    )
    out, _ = await process.communicate()
    assert out.decode().splitlines()[-1] == "[]"


def long_traceback(last: str) -> str:
    return "Traceback (most recent call last):\n" + '  File "x.py", line 1, in f\n' * 250 + last


@pytest.mark.parametrize(
    ("paste", "code"),
    [
        (
            long_traceback(
                "litellm.exceptions.RateLimitError: RateLimitError: OpenAIException - Request too large for"
                " gpt-5 on tokens per min (TPM): Limit 30000, Requested 40000."
            ),
            "rate_limited",
        ),
        (
            long_traceback(
                'requests.exceptions.HTTPError: 401 Client Error: {"message":"You have insufficient'
                ' permissions for this operation. Missing scopes: api.responses.write."}'
            ),
            "missing_scope",
        ),
        (
            "* Connected\n> POST /v1/images HTTP/2\n>\n< HTTP/2 502 \n< server: cloudflare\n<\n"
            "<html><title>502 Bad gateway</title>\n" + "<p>Bad gateway</p>\n" * 220,
            "edge_error",
        ),
    ],
    ids=["litellm", "requests", "curl"],
)
async def test_a_long_paste_that_has_no_answer_of_a_log_is_explained_as_one(paste, code):
    status, out, err = await explain("--format", "json", stdin=paste)
    assert (status, json.loads(out)["diagnosis"]) == (0, code)
    assert "assumed: that it is one answer" in err
    # as a log it is asked for, and the form is a log's
    _, out, _ = await explain("--log", "--format", "json", stdin=paste)
    assert json.loads(out) == []
