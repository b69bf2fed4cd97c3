"""What a real bash completes, once `--install-completion` has been run in it."""

import asyncio
import os
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
watch = ["gpt-image-2", "gpt-5.1"]
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
        ["acme-prod", "acme-prod/gpt-image-2", "acme-prod/gpt-5.1"],
        ["acme-prod/gpt-5.1"],
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
