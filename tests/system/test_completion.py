"""What a real bash completes, once `--install-completion` has been run in it."""

import asyncio
import os
import pty
import re
import shlex
import shutil
import sys
from pathlib import Path

import pytest

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.skipif(shutil.which("bash") is None, reason="there is no bash"),
]

#: No secret can be read here: completing needs none.
SETTINGS = """
[routes.relay]
base_url = "https://relay.example/v1"
contract = "provider"
[[keys]]
name = "acme-prod"
secret = "env:NOT_SET_FAKE"
organization = "org-acmeFAKE0001"
watch = ["gpt-image-2", "gpt-5.1:summary", "gpt-5.1:stream"]
[[keys]]
name = "acme-lab"
secret = "file:/nowhere/key"
watch = ["gpt-image-2"]
[[pools]]
name = "example-pool"
file = "/nowhere/keys.txt"
watch = ["gpt-image-2"]
[[channels]]
name = "ops-slack"
url = "env:NOT_SET_FAKE"
"""


async def bash(lab, text: str) -> str:
    environ = lab.environ | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    process = await asyncio.create_subprocess_exec(
        "bash", "--noprofile", "--norc", "-c", text, cwd=lab.folder, env=environ,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    said, _ = await asyncio.wait_for(process.communicate(), 60)
    return said.decode()


async def completed(lab, *lines: str) -> list[list[str]]:
    """What bash offers at the end of each line."""
    parts = ["source ~/.bashrc", "complete -p access-monitor >/dev/null || exit"]
    for line in lines:
        words = shlex.split(line) + ([""] if line.endswith(" ") else [])
        parts.append(f"COMP_WORDS=({shlex.join(words)}) COMP_CWORD={len(words) - 1}")
        parts.append(
            'COMPREPLY=(); _access_monitor_completion access-monitor; echo "${COMPREPLY[@]}"'
        )
    return [line.split() for line in (await bash(lab, "\n".join(parts))).splitlines()]


async def test_names_of_the_settings_are_completed_in_bash_and_no_secret_is_needed(lab):
    lab.settings.write_text(SETTINGS)
    said = await bash(lab, "access-monitor --install-completion; true")
    assert "bash completion installed" in said
    found = await completed(
        lab,
        "access-monitor chec",
        "access-monitor check acme-p",
        "access-monitor wait acme-prod/gpt-5",
        "access-monitor declare verified ",
        "access-monitor diagnose ",
        "access-monitor alerts test o",
        "access-monitor silence add ch",
        "access-monitor silence add ex",
        "access-monitor check --config other.toml acme",
    )
    assert found == [
        ["check"],
        [
            "acme-prod",
            "acme-prod/gpt-image-2",
            "acme-prod/gpt-5.1:summary",
            "acme-prod/gpt-5.1:stream",
        ],
        ["acme-prod/gpt-5.1:summary", "acme-prod/gpt-5.1:stream"],
        ["org-acmeFAKE0001", "acme-prod", "acme-lab"],
        ["acme-prod", "acme-lab"],
        ["ops-slack"],
        ["channel:ops-slack"],
        ["example-pool"],
        [],
    ]
    lab.settings.write_text("[[keys]\nname =")
    assert await completed(lab, "access-monitor check acme") == [[]]
    lab.settings.unlink()
    assert await completed(lab, "access-monitor check d") == [["default", "default/gpt-image-2"]]


async def typed(lab, *lines: str) -> list[str]:
    """What stands in an interactive bash after a tab at the end of each line."""
    ours, its = pty.openpty()
    environ = lab.environ | {
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "TERM": "dumb", "PS1": "",
    }  # fmt: skip
    process = await asyncio.create_subprocess_exec(
        "bash", "--noprofile", "--norc", "-i", cwd=lab.folder, env=environ,
        stdin=its, stdout=its, stderr=its, start_new_session=True,
    )  # fmt: skip
    os.close(its)
    said = ""
    try:
        os.write(ours, b"source ~/.bashrc\n")
        for line in lines:  # Ctrl-A goes to the line's beginning
            os.write(ours, f"{line}\t\x01echo it is \n".encode())
        os.write(ours, b"exit\n")
        while process.returncode is None or said.count("\nit is ") < len(lines):
            said += (await asyncio.to_thread(os.read, ours, 10_000)).decode().replace("\r", "")
    except OSError:  # bash has ended
        pass
    finally:
        os.close(ours)
        await process.wait()
    return re.findall(r"(?m)^it is (.*?) *$", said)


async def test_what_has_a_colon_is_completed_at_a_real_prompt(lab):
    lab.settings.write_text(SETTINGS)
    (lab.folder / "out").touch()  # a file that bash would take instead
    await bash(lab, "access-monitor --install-completion; true")
    assert await typed(
        lab,
        "access-monitor check acme-prod/gpt-5.1:su",
        "access-monitor check acme-prod/gpt-5.1:s",
        "access-monitor silence add channel:o",
        "access-monitor silence add channel:",
        "access-monitor wait acme-prod/gpt-im",
    ) == [
        "access-monitor check acme-prod/gpt-5.1:summary",
        "access-monitor check acme-prod/gpt-5.1:s",  # or stream
        "access-monitor silence add channel:ops-slack",
        "access-monitor silence add channel:ops-slack",
        "access-monitor wait acme-prod/gpt-image-2",
    ]


async def test_what_cannot_be_read_completes_nothing_and_says_nothing(lab):
    lab.settings.write_text(SETTINGS)
    os.mkfifo(lab.folder / "pipe")
    await bash(lab, "access-monitor --install-completion; true")
    lines = [f"access-monitor check --config {path} acme" for path in ("pipe", "~nouser/x", ".")]
    assert await completed(lab, *lines) == [[]] * 3
