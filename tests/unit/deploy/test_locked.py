"""What the image installs: the lock's entries for what the program needs, and no tools of its makers."""

import runpy
import tomllib
from importlib.metadata import requires

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

LOCK = """\
alpha==1.0 \\
    --hash=sha256:aa
    # via the-project (pyproject.toml)
beta==2.0 ; sys_platform == 'win32' \\
    --hash=sha256:bb \\
    --hash=sha256:b2
    # via
    #   alpha
    #   tool
gamma-x==3.0 \\
    --hash=sha256:cc
    # via beta
rest==1.1 \\
    --hash=sha256:ee
    # via tool
tool==4.0 \\
    --hash=sha256:dd
    # via the-project (pyproject.toml:dev)
"""


@pytest.fixture
def needed(root):
    return runpy.run_path(str(root / "deploy" / "container" / "locked.py"))["needed"]


def names(entries):
    return [entry.split("==")[0] for entry in entries]


def test_it_follows_who_asked_from_the_project_down_and_leaves_its_groups_out(needed):
    assert names(needed(LOCK, "the-project")) == ["alpha", "beta", "gamma-x"]


def test_a_package_of_the_lock_comes_with_what_it_needs(needed):
    assert names(needed(LOCK, "tool")) == ["beta", "gamma-x", "rest", "tool"]


def test_what_several_need_comes_once(needed):
    assert names(needed(LOCK, "the-project", "tool")) == [
        "alpha",
        "beta",
        "gamma-x",
        "rest",
        "tool",
    ]


def test_entries_are_printed_whole_with_marker_and_hashes(needed):
    assert needed(LOCK, "beta")[0] == LOCK[LOCK.index("beta") : LOCK.index("gamma-x")]


def test_the_real_lock_gives_all_that_the_installed_packages_say_they_need(needed, root):
    found = set(names(needed((root / "requirements.lock").read_text(), "access-monitor")))
    project = tomllib.loads((root / "pyproject.toml").read_text())["project"]
    waiting, wanted = [(word, ()) for word in project["dependencies"]], set()
    while waiting:
        word, extras = waiting.pop()
        requirement = Requirement(word)
        name = canonicalize_name(requirement.name)
        applies = requirement.marker is None or any(
            requirement.marker.evaluate({"extra": extra}) for extra in extras or ("",)
        )
        if applies and (name, tuple(requirement.extras)) not in wanted:
            wanted.add((name, tuple(requirement.extras)))
            waiting += [(one, tuple(requirement.extras)) for one in requires(name) or []]
    assert {name for name, _ in wanted} <= found


def test_the_real_lock_gives_no_tools_of_tests_and_builds(needed, root):
    found = set(names(needed((root / "requirements.lock").read_text(), "access-monitor")))
    assert not found & {
        "pytest",
        "mypy",
        "ruff",
        "hatchling",
        "openai",
        "cryptography",
        "hypothesis",
    }
