"""The shell lines of the pages are such as bash and the command line take. Those that can be are run by
tests/system/test_documented_lines.py.
"""

import re
import shlex
import subprocess

import pytest
import typer
from pages import PAGES, ROOT, blocks, prose

from monitor.cli.commands import app

SHELL = [block for page in PAGES for block in blocks(page, "sh")]
#: Where a line calls the command, or a container or pod that is named like it; not a namespace.
CALL = re.compile(r"(?<!-n )(?<!etc/)(?<![\w.-])access-monitor (?!access-monitor[- :])(?=[a-z])")


def test_there_are_shell_lines_on_the_pages_that_have_some() -> None:
    assert {block.page for block in SHELL} >= {
        "README.md", "docs/settings.md", "docs/states.md", "docs/diagnosis.md", "docs/running.md",
        "docs/page.md", "docs/architecture.md", "docs/contributing.md",
    }  # fmt: skip


@pytest.mark.parametrize("page", PAGES)
def test_every_block_has_a_language(page: str) -> None:
    assert [block.text for block in blocks(page) if not block.language] == []


@pytest.mark.parametrize("block", SHELL, ids=lambda block: block.text.splitlines()[0][:60])
def test_bash_can_read_the_block(block) -> None:
    done = subprocess.run(
        ["bash", "-n"], input=block.text, text=True, capture_output=True, check=False, timeout=20
    )
    assert (done.returncode, done.stderr) == (0, "")


def calls() -> list[str]:
    """The words after `access-monitor` in each line of a block that calls it."""
    found = []
    for block in SHELL:
        for line in block.text.splitlines():
            for match in CALL.finditer(line):
                found.append(re.split(r" (?:[|<>&;]|2>)", line[match.end() :])[0])
    return found


@pytest.mark.parametrize("words", sorted(set(calls())))
def test_the_command_line_takes_the_words(words: str) -> None:
    command = typer.main.get_command(app)
    context = command.make_context("access-monitor", shlex.split(words))
    while hasattr(command, "resolve_command"):
        name, command, rest = command.resolve_command(
            context, [*context._protected_args, *context.args]
        )
        context = command.make_context(name, rest, parent=context)
    assert not context.args


def test_the_targets_of_make_that_are_named_exist() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    known = set(re.findall(r"^([a-z-]+):", makefile, re.MULTILINE))
    lines = "".join(block.text for block in SHELL)
    named = set(re.findall(r"^make ([a-z-]+)", lines, re.MULTILINE))
    for page in PAGES:
        named |= set(re.findall(r"`make ([a-z-]+)`", prose(page)))
    assert named - known == set()
    assert len(named) > 5
