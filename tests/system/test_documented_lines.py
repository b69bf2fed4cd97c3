"""The shell lines of the README and docs/ that can be run here, as they stand there."""

import asyncio
import json
import os
import re
import shutil
import signal
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
from pages import PAGES, ROOT, Block, blocks

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(150)]

#: What is run here, by page; and why the lines of the other pages are not.
HERE = ("README.md", "docs/settings.md", "docs/states.md", "docs/diagnosis.md", "docs/page.md")
ELSEWHERE = {
    "docs/running.md": "needs root and systemd, a container engine or a cluster: see tests/system/systemd"
    " and tests/system/container",
    "docs/ci.md": "see test_ci.py",
    "docs/architecture.md": "see test_worked_examples.py",
    "docs/metrics.md": "a real Prometheus asks for the same: see web/test_prometheus.py",
    "docs/webhook.md": "see test_webhook.py",
    "docs/export.md": "see test_export.py",
    "docs/contributing.md": "these are the tests, and they are not run within themselves",
}
#: Lines of the README that are not run: the tests themselves, and what needs a package registry.
NOT_RUN = re.compile(r"^(make test|make test-system|python3 -m venv|\.venv/bin/pip)\b")

SECRET = "sk-sim-FAKE-acme-prod-0001"
SCENARIO = f"""
name = "documented"
[[keys]]
name = "acme-prod"
secret = "{SECRET}"
organization = "org-acmeFAKE0001"
"""
OPEN = '[keys.gate]\nopen = "always"\n'
ROUTE = '\n[routes.openai]\nbase_url = "{base_url}"\ncontract = "direct"\nrate = 500.0\n'
REFUSAL = {
    "error": {
        "message": "Your organization must be verified to use the model `gpt-image-2`.",
        "type": "invalid_request_error",
        "param": None,
        "code": None,
    }
}


@pytest.fixture
async def there(lab, fast):
    """A folder like a clone of the project, with a simulated API behind the usual route."""
    await lab.open_ends()
    await lab.simulate(SCENARIO)
    shutil.copytree(ROOT / "config", lab.folder / "config")
    minimal = lab.folder / "config" / "minimal.toml"
    minimal.write_text(minimal.read_text() + ROUTE.format(base_url=lab.base_url) + fast)
    for name in ("deploy", "requirements.lock"):
        (lab.folder / name).symlink_to(ROOT / name)
    (lab.folder / ".venv").symlink_to(sys.prefix)
    # what people paste with, and from
    (lab.folder / "bin").mkdir()
    answer = f"HTTP/1.1 403 Forbidden\ncontent-type: application/json\n\n{json.dumps(REFUSAL)}\n"
    (lab.folder / "answer.txt").write_text(answer)
    log = [f"step {number}" for number in range(300)]
    (lab.folder / "job.log").write_text("\n".join([*log, f"Error code: 403 - {REFUSAL!r}", *log]))
    row = {"id": "a", "status": 403, "body": json.dumps(REFUSAL)}
    (lab.folder / "answers.jsonl").write_text(json.dumps(row) + "\n")
    for name in ("pbpaste", "curl"):
        tool = lab.folder / "bin" / name
        tool.write_text(f"#!/bin/sh\ncat '{lab.folder}/answer.txt'\n")
        tool.chmod(0o755)
    lab.environ |= {
        "PATH": f"{lab.folder}/bin:{Path(sys.executable).parent}:{os.environ['PATH']}",
        "OPENAI_API_KEY": SECRET,
        "SLACK_WEBHOOK_URL": lab.environ["SLACK_URL"],
        "XDG_STATE_HOME": str(lab.folder / "state"),
    }
    return lab


def of_page(page: str, heading: str | None = None) -> list[Block]:
    return [one for one in blocks(page, "sh") if heading in (None, one.heading)]


async def run(lab, text: str) -> str:
    """Run the lines one after the other; each must succeed. Returns what they print."""
    process = await asyncio.create_subprocess_exec(
        "bash", "-eo", "pipefail", "-c", text, cwd=lab.folder, env=lab.environ,
        stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    said, _ = await asyncio.wait_for(process.communicate(), 90)
    assert process.returncode == 0, f"{text}\n{said.decode()}"
    return said.decode()


async def opened(lab, daemon: asyncio.subprocess.Process) -> None:
    """Open the gate when the daemon has told that it is shut, and end the daemon when it has told of that."""

    def told(title: str) -> bool:
        return any(
            f"{title}: gpt-image-2:images (acme-prod)" in one.text for one in lab.slack.arrivals
        )

    await lab.until(lambda: told("Not verified"), "the refusal in Slack")
    await lab.replay(SCENARIO + OPEN)
    await lab.until(lambda: told("Available"), "the opening in Slack")
    daemon.send_signal(signal.SIGTERM)
    assert await daemon.wait() == 0


def test_every_page_with_shell_lines_is_run_here_or_says_why_not() -> None:
    assert {page for page in PAGES if of_page(page)} == {*HERE, *ELSEWHERE}


@pytest.fixture
async def installed(tmp_path_factory) -> Path:
    """An environment with the wheel of this folder and what the wheel says that it needs, nothing else."""
    folder = tmp_path_factory.mktemp("installed")
    # the versions that are tested: what is released tomorrow breaks no test of today
    lock = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    pins = re.findall(r"^([\w.-]+==[\w.]+)", lock, re.MULTILINE)
    (folder / "constraints.txt").write_text("\n".join(pins))
    python = folder / "venv" / "bin" / "python"
    wheel = f"{folder}/access_monitor-{version('access-monitor')}-py3-none-any.whl[demo]"
    for command in (
        [sys.executable, "-m", "hatchling", "build", "-d", str(folder), "-t", "wheel"],
        [sys.executable, "-m", "venv", str(folder / "venv")],
        [str(python), "-m", "pip", "install", "-q", "-c", f"{folder}/constraints.txt", wheel],
    ):
        process = await asyncio.create_subprocess_exec(
            *command, cwd=ROOT, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
        )
        said, _ = await process.communicate()
        assert process.returncode == 0, said.decode()
    return folder / "venv"


@pytest.mark.timeout(400)
async def test_the_demo_of_the_readme_runs_from_the_wheel_and_shows_the_guarantee(there, installed):
    (there.folder / ".venv").unlink()
    (there.folder / ".venv").symlink_to(installed)
    there.environ["PATH"] = os.environ["PATH"]
    (block,) = of_page("README.md", "See it work")
    assert block.text == "make demo\n"
    # a make that finds what is installed
    shutil.copy(ROOT / "Makefile", there.folder)
    said = await run(there, "make -o .venv/.ready demo")
    assert said.startswith("Watch it in a browser: http://127.0.0.1:")
    assert "Available: gpt-image-2:images (acme-prod)" in said
    assert said.rstrip().endswith(" 0 dead.")
    where = "import monitor; print(monitor.__file__)"
    assert str(installed) in await run(there, f"cd / && {installed}/bin/python -c '{where}'")


async def test_a_real_key_takes_five_lines(there):
    five, more = of_page("README.md", "A real key")
    lines = five.text.splitlines()
    assert len(lines) == 5
    lines = [line.split(" | .venv/bin/pip")[0] for line in lines if not NOT_RUN.match(line)]
    assert (len(lines), lines[-1].startswith(".venv/bin/access-monitor run")) == (3, True)
    lines[-1] = f"exec {lines[-1]}"
    text = "\n".join(lines).replace("sk-…", SECRET)
    text = text.replace("https://hooks.slack.com/services/…", there.environ["SLACK_URL"])
    del there.environ["OPENAI_API_KEY"], there.environ["SLACK_WEBHOOK_URL"]
    daemon = await there.launch("bash", "-ec", text, log="run")
    await opened(there, daemon)
    there.environ |= {"OPENAI_API_KEY": SECRET, "SLACK_WEBHOOK_URL": there.environ["SLACK_URL"]}
    said = await run(there, more.text)
    assert "1 key, 1 target, 1 channel: all good" in said
    assert "ops-slack: delivered" in said
    assert "access_granted" in said


async def test_the_lines_of_the_settings_make_and_check_a_file(there):
    (block,) = of_page("docs/settings.md")
    said = await run(there, block.text)
    assert "all good" in said
    assert "env:OPENAI_API_KEY" in said
    assert SECRET not in said
    written = (there.folder / "access-monitor.toml").read_text()
    assert written == (ROOT / "config" / "access-monitor.toml").read_text()
    assert json.loads((there.folder / "access-monitor.schema.json").read_text())["type"] == "object"


@pytest.mark.parametrize("page", ["docs/states.md", "docs/diagnosis.md"])
async def test_the_lines_of_the_page_work_on_a_monitor_that_has_run(there, fast, page):
    keys = (
        '[monitor]\ndatabase = "sqlite:///monitor.db"\n[[keys]]\nname = "acme-prod"\n'
        'secret = "env:OPENAI_API_KEY"\norganization = "org-acmeFAKE0001"\nwatch = ["gpt-image-2"]\n'
        '[[channels]]\nname = "ops-slack"\nurl = "env:SLACK_WEBHOOK_URL"\n'
    )
    there.settings.write_text(keys + ROUTE.format(base_url=there.base_url) + fast)
    await opened(there, await there.daemon())
    said = "".join([await run(there, block.text) for block in of_page(page)])
    assert "Traceback" not in said
    if page == "docs/states.md":
        assert "verified: org-acmeFAKE0001, at " in said
        assert "the next try of a verification makes sense from " in said
        assert "cleared: acme-prod, at " in said
    else:
        assert "rate_limited" in said
        assert "1 answer, 1 time, in 601 lines" in said
        assert "access_granted (owner: organization)" in said
        assert "# Access evidence: `acme-prod/gpt-image-2:images`" in said


def documents(text: str) -> list[Any]:
    """JSON documents, one right after the other."""
    found = []
    while text.strip():
        document, end = json.JSONDecoder().raw_decode(text)
        found.append(document)
        text = text[end:]
    return found


@pytest.mark.skipif(shutil.which("curl") is None, reason="there is no curl")
async def test_the_lines_of_the_page_start_it_and_ask_its_api(there, fast):
    (there.folder / "bin" / "curl").unlink()  # the real one
    (tokens,) = blocks("docs/page.md", "toml")
    keys = (
        '[monitor]\ndatabase = "sqlite:///monitor.db"\nlog_format = "json"\n'
        '[[keys]]\nname = "acme-prod"\nsecret = "env:OPENAI_API_KEY"\nwatch = ["gpt-image-2"]\n'
    )
    page = f'[web]\nlisten = "127.0.0.1:0"\n{tokens.text}'
    there.settings.write_text(keys + ROUTE.format(base_url=there.base_url) + page + fast)
    await there.daemon()
    await there.told("unverified")
    there.environ["WEB_TOKEN"] = "FAKE-token-0000001"
    start, reading, writing, stream = of_page("docs/page.md")
    address = await there.page_address(
        await there.launch("bash", "-ec", f"exec {start.text}", log="web")
    )

    def here(block: Block) -> str:
        assert "http://127.0.0.1:8090/" in block.text
        return block.text.replace("http://127.0.0.1:8090/", address)

    said = await run(there, here(reading))
    status, unverified, history, _, dead, silences, openapi = documents(said)
    target = "acme-prod/gpt-image-2:images"
    assert [one["target"] for one in status["targets"]] == [target]
    assert [one["target"] for one in unverified["targets"]] == [target]
    assert target in {one["target"] for one in history["events"]}
    assert dead["notifications"] == []
    assert silences == {"silences": [], "ended": []}
    assert openapi["openapi"].startswith("3.1")

    *handed, first = documents(await run(there, here(writing)))
    assert [one["state"] for one in handed] == ["waiting"] * 4
    assert (first["id"], first["kind"]) == (1, "declare")

    await there.launch("bash", "-ec", f"exec {here(stream)}", log="stream")
    log = there.folder / "stream.log"
    await there.until(lambda: "event: transition" in log.read_text(), "events on the stream")
