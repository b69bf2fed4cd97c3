"""The worked examples of docs/architecture.md, followed word for word in a copy of the project."""

import hashlib
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from pages import ROOT, Block, blocks, read

PAGE = "docs/architecture.md"
EXAMPLES = re.findall(r"^### (How to add .*)$", read(PAGE), re.MULTILINE)
#: What tools leave in a folder that is worked in. mypy's notes come along, or lint would take a minute.
MADE = (
    *(".git", ".venv", ".pytest_cache", ".ruff_cache", ".import_linter_cache", ".hypothesis"),
    *("__pycache__", "build", "dist", "bench.json"),
)
KEPT = ".mypy_cache"
#: Which takes a minute where the words of the domain have changed.
LINT = "make lint\n"


@pytest.fixture
def clone() -> Iterator[Path]:
    """The project as it stands, with the same libraries; in a short path, as messages shorten long ones."""
    with TemporaryDirectory(prefix="clone-") as name:
        yield copied(Path(name) / "a")


def copied(folder: Path) -> Path:
    shutil.copytree(ROOT, folder, ignore=shutil.ignore_patterns(*MADE))
    (folder / ".venv").mkdir()
    for part in Path(sys.prefix).iterdir():
        if part.name != ".ready":
            (folder / ".venv" / part.name).symlink_to(part)
    # younger than the lock, or make would install everything anew
    (folder / ".venv" / ".ready").touch()
    return folder


def text_of(heading: str) -> str:
    """What stands under the heading, before the next one."""
    return re.split(r"^#{1,3} ", read(PAGE).partition(f"### {heading}\n")[2], flags=re.MULTILINE)[0]


def named(heading: str) -> set[str]:
    """The files that the example says it touches."""
    (sentence,) = re.findall(
        r"(?:It|one entry of the catalog\. It) touches (.*?)\.\n\n", text_of(heading), re.DOTALL
    )
    return set(re.findall(r"`([^`]+)`", sentence))


def change(folder: Path, block: Block) -> None:
    """Do what a block says to one file."""
    head, *lines = block.text.splitlines()
    path = folder / head[4:]
    text = path.read_text(encoding="utf-8")
    before = "".join(f"{line[1:]}\n" for line in lines if line[:1] in ("", " ", "-"))
    after = "".join(f"{line[1:]}\n" for line in lines if line[:1] in ("", " ", "+"))
    if head.startswith("+++"):
        assert not before, "only added lines"
        path.write_text(text + after, encoding="utf-8")
        return
    assert head.startswith("--- ")
    assert text.count(before) == 1, (
        f"{head[4:]} has these lines {text.count(before)} times:\n{before}"
    )
    path.write_text(text.replace(before, after), encoding="utf-8")


def run(folder: Path, text: str) -> None:
    """Run these lines, in order; each must succeed."""
    done = subprocess.run(
        ["bash", "-euxo", "pipefail", "-c", text],
        cwd=folder,
        # before the folder that the libraries' own list of folders names
        env={**os.environ, "PYTHONPATH": str(folder)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-6000:]


def state(folder: Path) -> dict[str, str]:
    """Each file of the project and what is in it."""
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file() and not {*path.relative_to(folder).parts} & {*MADE, KEPT}
    }


def test_there_are_the_four_examples() -> None:
    assert [one.rpartition(" ")[2] for one in EXAMPLES] == ["model", "rule", "event", "surface"]


@pytest.mark.timeout(1500)
def test_each_example_works_and_touches_the_files_that_it_names_and_no_others(clone) -> None:
    """One after the other in one copy: what each of them ends with is run once, when all are done."""
    before = state(clone)
    for heading in EXAMPLES:
        steps = [block for block in blocks(PAGE) if block.heading == heading]
        assert {block.language for block in steps} == {"diff", "sh"}
        assert steps[-1].text.endswith(LINT)
        for block in steps:
            if block.language == "diff":
                change(clone, block)
            else:
                run(clone, block.text.removesuffix(LINT))
        after = state(clone)
        touched = {path for path in before | after if before.get(path) != after.get(path)}
        assert touched == named(heading)
        before = after
    run(clone, LINT)
    assert state(clone) == before
