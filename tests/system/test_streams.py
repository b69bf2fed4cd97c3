"""Standard streams that are closed, full or of another encoding: for every command no traceback."""

import asyncio
import json
import os
import sys
from pathlib import Path

import pytest

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(400)]

SCENARIO = """
name = "streams"
[[keys]]
name = "acme"
secret = "sk-sim-FAKE-acme-0001"
"""
SETTINGS = """
[monitor]
database = "sqlite:///monitor.db"
[routes.sim]
base_url = "{base_url}"
contract = "direct"
[[keys]]
name = "acme"
secret = "env:ACME"
route = "sim"
watch = ["gpt-image-2"]
"""
COMMANDS = (
    "--help", "check", "status", "status --format json", "history", "propagation", "explain answer.txt",
    "diagnose acme --yes", "evidence acme", "config example", "alerts list",
    "declare verified acme", "healthcheck",
)  # fmt: skip
#: What a standard output can be.
ENDS = (">/dev/full", "| head -c 0", "0<&- >&- 2>&-")
#: Those that print signs of their own or of a server's, and those that also write or send.
SIGNS = ("history", "explain answer.txt", "status", "evidence acme")
SOME = ("--help", "check", "status --format json", "declare verified acme", *SIGNS)
#: Processes at once; each costs up to a second of a processor.
AT_ONCE = 3


@pytest.fixture(autouse=True)
def in_the_path(lab):
    lab.environ["PATH"] = f"{Path(sys.executable).parent}:{lab.environ['PATH']}"


@pytest.fixture
async def ran(lab):
    """A lab whose daemon has run: there is something to show, with signs that ASCII does not have."""
    await lab.simulate(SCENARIO)
    lab.environ["ACME"] = "sk-sim-FAKE-acme-0001"
    lab.settings.write_text(SETTINGS.format(base_url=lab.base_url))
    (lab.folder / "answer.txt").write_text("HTTP/1.1 403 Forbidden\n\nZugriff verweigert: “nein” →")
    (lab.folder / "answers.jsonl").write_text('{"id": 1, "status": 429}\n')
    daemon = await lab.daemon()
    await lab.told("unverified")
    daemon.terminate()
    assert await daemon.wait() == 0
    # before all that reads what was declared
    assert (await lab.call("declare", "verified", "acme")).status == 0
    return lab


async def shell(lab, line: str, **environ: str) -> tuple[int, str, str]:
    process = await asyncio.create_subprocess_shell(
        line, cwd=lab.folder, env=lab.environ | environ,
        stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    out, err = await asyncio.wait_for(process.communicate(), 90)
    return process.returncode, out.decode("latin-1"), err.decode("latin-1")


async def all_of(lab, lines, **environ: str) -> dict[str, tuple[int, str, str]]:
    """Run command lines, some at once, and say how each ended."""
    slots = asyncio.Semaphore(AT_ONCE)

    async def one(line: str):
        async with slots:
            return await shell(lab, line, **environ)

    return dict(zip(lines, await asyncio.gather(*map(one, lines)), strict=True))


async def test_no_command_has_a_traceback_on_a_full_or_closed_or_unread_output(ran):
    lines = {
        f"bash -o pipefail -c 'access-monitor {command} {end}'": (command, end)
        for command in COMMANDS
        for end in (*ENDS[:1], *([*ENDS[1:], ">/dev/full 2>&1"] if command in SOME else []))
    }
    usual = await all_of(ran, [f"access-monitor {command}" for command in COMMANDS])
    for line, (status, _, err) in (await all_of(ran, lines)).items():
        command, end = lines[line]
        right, out, _ = usual[f"access-monitor {command}"]
        assert "Traceback" not in err, line
        assert "Exception" not in err, line
        # closed on purpose: what it says is not wanted
        assert status == right if "&-" in end else status in (right, right or 1), line
        if end == ">/dev/full" and out:
            assert "standard output: No space left on device" in err, line
            assert status, line


async def test_no_command_has_a_traceback_in_an_encoding_without_our_signs(ran):
    plain = {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"}
    ended = await all_of(ran, [f"access-monitor {command}" for command in COMMANDS], **plain)
    some = [f"access-monitor {command}" for command in SIGNS]
    for encoding in ("latin-1", "ascii"):
        ended |= {
            f"{line} in {encoding}": how
            for line, how in (await all_of(ran, some, PYTHONIOENCODING=encoding)).items()
        }
    for line, (_, out, err) in ended.items():
        assert "Traceback" not in err, line
        if "json" in line:
            json.loads(out)
    assert "unknown -> unverified" in ended["access-monitor history in ascii"][1]


async def test_the_console_channel_tells_in_an_encoding_without_our_signs(lab):
    await lab.simulate(SCENARIO)
    lab.environ |= {"ACME": "sk-sim-FAKE-acme-0001", "PYTHONIOENCODING": "ascii"}
    lab.settings.write_text(SETTINGS.format(base_url=lab.base_url))
    await lab.daemon()
    await lab.until(lambda: bool(lab.logged("notification.delivered")), "the message")
    assert "unknown -> unverified" in (lab.folder / "run.log").read_text()


async def test_a_console_that_is_full_is_a_failed_delivery_and_the_daemon_stops_in_order(lab):
    await lab.simulate(SCENARIO)
    lab.environ["ACME"] = "sk-sim-FAKE-acme-0001"
    lab.settings.write_text(SETTINGS.format(base_url=lab.base_url))
    process = await asyncio.create_subprocess_shell(
        "exec access-monitor run >/dev/full 2>run.log", cwd=lab.folder, env=lab.environ
    )
    await lab.until((lab.folder / "run.log").exists, "the log")
    await lab.until(lambda: bool(lab.logged("notification.failed")), "the failure")
    process.terminate()
    assert await process.wait() == 0
    (failed, *_) = lab.logged("notification.failed")
    assert failed["reason"] == "standard output: No space left on device"
    assert "Traceback" not in (lab.folder / "run.log").read_text()


async def test_a_database_is_never_opened_as_a_standard_stream(ran):
    status, _, _ = await shell(
        ran, "access-monitor declare verified acme 0<&- >&- 2>&-; access-monitor history >/dev/null"
    )
    assert status == 0
    with (ran.folder / "monitor.db").open("rb") as database:
        assert os.read(database.fileno(), 15) == b"SQLite format 3"


async def test_a_number_that_json_does_not_have_is_refused_and_never_printed(lab):
    (lab.folder / "nan.jsonl").write_text('{"id": NaN, "status": 429}\n')
    ended = await lab.call("explain", "--jsonl", "nan.jsonl")
    assert ended.status == 2
    assert "line 1 is not JSON: NaN is no number of JSON" in ended.err
    (lab.folder / "huge.jsonl").write_text('{"id": 1e999, "status": 429, "body": {"x": -1e999}}\n')
    ended = await lab.call("explain", "--jsonl", "huge.jsonl")
    assert ended.status == 0
    found = json.loads(ended.out, parse_constant=pytest.fail)
    assert (found["id"], found["diagnosis"]) == (None, "rate_limited")
