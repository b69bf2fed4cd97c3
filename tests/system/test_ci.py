"""The action's steps as a runner runs them, and the examples for other pipelines."""

import asyncio
import os
import re
import sys
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
import yaml
from pages import ROOT, blocks

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(150)]

ACTION = yaml.safe_load((ROOT / "action.yml").read_text(encoding="utf-8"))
KEY = "sk-sim-FAKE-acme-prod-0001"
SCENARIO = f"""
name = "pipeline"
[[keys]]
name = "acme"
secret = "{KEY}"
"""
OPEN = '[keys.gate]\nopen = "always"\n'


@dataclass
class Job:
    """What a job has at its end."""

    status: int
    log: str
    outputs: dict[str, str]
    summary: str


async def bash(text: str, environ: dict[str, str], folder: Path) -> tuple[int, str]:
    process = await asyncio.create_subprocess_exec(
        "bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", text, cwd=folder, env=environ,
        stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    said, _ = await asyncio.wait_for(process.communicate(), 100)
    return process.returncode, said.decode()


async def run_action(lab, **inputs: str) -> Job:
    """Run the steps with these inputs, as a runner does: one shell each, stopping at the first that fails."""
    given = {name: one.get("default", "") for name, one in ACTION["inputs"].items()} | inputs
    files = {
        name: lab.folder / name for name in ("GITHUB_OUTPUT", "GITHUB_STEP_SUMMARY", "GITHUB_PATH")
    }
    for file in files.values():
        file.write_text("")
    environ = {
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "HOME": str(lab.folder),
        "RUNNER_TEMP": str(lab.folder),
        "GITHUB_ACTION_PATH": str(ROOT),
        **{name: str(file) for name, file in files.items()},
    }
    status, log = 0, ""
    for step in ACTION["runs"]["steps"]:
        assert step["shell"] == "bash"
        own = {
            name: re.sub(r"\$\{\{ inputs\.([\w-]+) \}\}", lambda m: given[m[1]], value)
            for name, value in step.get("env", {}).items()
        }
        assert "${{" not in step["run"] + "".join(own.values())
        status, said = await bash(step["run"], environ | own, lab.folder)
        log += said
        if status:
            break
    outputs = dict(line.split("=", 1) for line in files["GITHUB_OUTPUT"].read_text().splitlines())
    told = {re.search(r"outputs\.([\w-]+)", one["value"])[1] for one in ACTION["outputs"].values()}
    # a step that cannot ask has none
    assert outputs.keys() == (
        set() if "::error::access-monitor" in log or "fail-on" in log else told
    )
    return Job(status, log, outputs, files["GITHUB_STEP_SUMMARY"].read_text())


async def test_the_action_is_red_on_a_shut_gate_and_green_on_an_open_one(lab):
    await lab.simulate(SCENARIO)
    asked = {"key": KEY, "base-url": lab.base_url, "targets": "gpt-image-2\ngpt-5.1:stream"}
    job = await run_action(lab, **asked)
    assert job.status == 1, job.log
    assert job.outputs["state"] == "unverified"
    assert job.outputs["diagnosis"] == "verification_required"
    assert job.outputs["request-id"].startswith("req_")
    assert job.summary.count("| **gated** | `verification_required` |") == 2
    assert "* `verification_required`: Check in the organization's general settings" in job.summary
    assert "::error::gpt-image-2:images: verification_required. Check in" in job.log
    assert KEY not in job.log + job.summary
    assert "warning" not in job.log

    lenient = await run_action(lab, **asked, **{"fail-on": "locked, blocked"})
    assert (lenient.status, lenient.outputs["state"]) == (0, "unverified"), lenient.log

    await lab.replay(SCENARIO + OPEN)
    job = await run_action(lab, **asked)
    assert (job.status, job.outputs["state"], job.outputs["diagnosis"]) == (
        0,
        "available",
        "access_granted",
    )
    assert job.summary.count("| **granted** | `access_granted` |") == 2
    assert KEY not in job.log + job.summary


async def test_a_server_that_repeats_the_key_and_writes_markup_puts_neither_into_the_job(lab):
    await lab.simulate(SCENARIO + '[[keys.faults]]\nwhat = "echo"\n')
    job = await run_action(lab, **{"key": KEY, "base-url": lab.base_url})
    assert job.status == 1, job.log
    assert KEY not in job.log + job.summary
    row = next(line for line in job.summary.splitlines() if line.startswith("| `gpt-image-2"))
    *_, said, _, _ = row.split(" | ")
    assert said.startswith("`")
    assert said.endswith("`")
    assert "`" not in said[1:-1]


@pytest.mark.parametrize("empty", ["", " "])
async def test_what_is_not_set_lets_nothing_pass(lab, empty):
    await lab.simulate(SCENARIO)
    asked = {"key": KEY, "base-url": lab.base_url, "fail-on": empty, "targets": empty}
    job = await run_action(lab, **asked)
    assert (job.status, job.outputs["state"]) == (1, "unverified"), job.log


async def test_the_action_waits_and_refuses_inputs_that_it_does_not_know(lab):
    await lab.simulate(SCENARIO)
    asked = {"key": KEY, "base-url": lab.base_url}
    job = await run_action(lab, **asked, timeout="2s")
    assert (job.status, job.outputs["state"]) == (1, "unverified"), job.log
    assert "not all available within" in job.log
    for wrong in ({"fail-on": "gatet"}, {"timeout": "soon"}, {"targets": "gpt image two:images"}):
        job = await run_action(lab, **asked, **wrong)
        assert job.status != 0
        assert job.outputs == {}
        assert "::error::" in job.log
        assert "Traceback" not in job.log


async def test_the_lines_for_gitlab_and_jenkins_write_a_report(lab):
    await lab.simulate(SCENARIO + OPEN)
    _, gitlab = blocks("docs/ci.md", "yaml")
    install, *lines = yaml.safe_load(gitlab.text)["access"]["script"]
    assert install.startswith("pip install ")
    (jenkins,) = blocks("docs/ci.md", "sh")
    environ = {
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "HOME": str(lab.folder),
        "OPENAI_API_KEY": KEY,
        "OPENAI_BASE_URL": lab.base_url,
    }
    for text in (*(line.replace("30m", "2s") for line in lines), jenkins.text):
        status, said = await bash(text, environ, lab.folder)
        assert status in (0, 124), said
        report = ET.parse(lab.folder / "access.xml").getroot()
        assert report.get("tests") == "1"


def test_the_inputs_and_outputs_are_all_explained() -> None:
    page = (ROOT / "docs" / "ci.md").read_text(encoding="utf-8")
    for name in (*ACTION["inputs"], *ACTION["outputs"]):
        assert f"`{name}`" in page
    example = yaml.safe_load(next(blocks("docs/ci.md", "yaml")).text)
    used = example["jobs"]["images"]["steps"][0]["with"]
    assert used.keys() <= ACTION["inputs"].keys()
