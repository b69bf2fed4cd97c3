"""What is shipped, and what comes with it: licences, pinned hashes, the wheel, the source distribution."""

import re
import subprocess
import sys
import tarfile
import zipfile
from importlib.metadata import distribution
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).parents[2]

#: Permissive licences, as SPDX writes them.
PERMISSIVE = {
    "0BSD", "Apache-2.0", "BSD-2-Clause", "BSD-3-Clause", "ISC", "MIT", "PSF-2.0", "Unlicense",
}  # fmt: skip
#: The same by other names, from metadata that is older than SPDX expressions.
SPELLINGS = {
    "Apache 2.0": "Apache-2.0",
    "ISC License": "ISC",
    "License :: OSI Approved :: Apache Software License": "Apache-2.0",
    "License :: OSI Approved :: BSD License": "BSD-3-Clause",
    "License :: OSI Approved :: MIT License": "MIT",
}
#: Not permissive, and taken knowingly: why.
EXCEPTIONS = {
    "certifi": ("MPL-2.0", "a list of certificates, used as it is; its terms end at its own file"),
}


def canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def closure(name: str, *extras: str) -> set[str]:
    """The distributions that an installation of this one with these extras needs here."""
    found: dict[str, frozenset[str]] = {}
    waiting = [(name, frozenset(extras))]
    while waiting:
        wanted, more = waiting.pop()
        place = canonical(wanted)
        if place in found and more <= found[place]:
            continue
        found[place] = found.get(place, frozenset()) | more
        for text in distribution(wanted).requires or ():
            needed = Requirement(text)
            if needed.marker is None or any(
                needed.marker.evaluate({"extra": extra}) for extra in more or {""}
            ):
                waiting.append((needed.name, frozenset(needed.extras)))
    return set(found) - {canonical(name)}


SHIPPED = sorted(closure("access-monitor", "demo"))


def licence_of(name: str) -> str:
    """As its metadata says: the SPDX expression, else the older field, else the classifier."""
    metadata = distribution(name).metadata
    said = metadata.get("License-Expression") or metadata.get("License")
    if not said:
        classifiers = metadata.get_all("Classifier") or []
        said = next((one for one in classifiers if one.startswith("License ::")), "none")
    return SPELLINGS.get(said, said)


@pytest.mark.parametrize("name", SHIPPED)
def test_what_comes_with_it_is_under_a_permissive_licence(name: str) -> None:
    licence = licence_of(name)
    if name in EXCEPTIONS:
        assert licence == EXCEPTIONS[name][0]
        return
    parts = re.split(r" AND | OR ", licence.replace("(", "").replace(")", ""))
    assert set(parts) <= PERMISSIVE, f"{name}: {licence}"


def test_every_exception_is_still_needed() -> None:
    assert set(EXCEPTIONS) <= set(SHIPPED)


def test_everything_that_comes_with_it_is_pinned_by_hash() -> None:
    lock = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    entries = re.split(r"\n(?=[A-Za-z0-9])", lock)
    hashed = {
        canonical(entry.partition("==")[0].strip())
        for entry in entries
        if "--hash=sha256:" in entry
    }
    assert set(SHIPPED) <= hashed


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The wheel and the source distribution, built from this folder without a network."""
    folder = tmp_path_factory.mktemp("dist")
    build(ROOT, folder)
    (wheel,), (source,) = folder.glob("*.whl"), folder.glob("*.tar.gz")
    return wheel, source


def build(source: Path, destination: Path, *targets: str) -> None:
    command = [sys.executable, "-m", "hatchling", "build", "-d", str(destination), *targets]
    subprocess.run(command, cwd=source, check=True, capture_output=True, timeout=100)


def contents(wheel: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(wheel) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def test_the_wheel_holds_the_package_and_nothing_else(built: tuple[Path, Path]) -> None:
    names = set(contents(built[0]))
    package = {
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / "monitor").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    about = {name for name in names if ".dist-info/" in name}
    assert names - about == package
    assert {name.partition(".dist-info/")[2] for name in about} == {
        "METADATA", "RECORD", "WHEEL", "entry_points.txt", "licenses/LICENSE",
    }  # fmt: skip
    assert {Path(name).suffix for name in package} == {
        ".py",
        ".toml",
        ".mako",
        ".html",
        ".css",
        ".js",
        ".svg",
    }


def test_the_source_distribution_builds_the_same_wheel(
    built: tuple[Path, Path], tmp_path: Path
) -> None:
    wheel, source = built
    with tarfile.open(source) as archive:
        # Python 3.11.2, which Debian 12 has, knows no filters yet
        archive.extraction_filter = getattr(tarfile, "data_filter", lambda member, _: member)
        archive.extractall(tmp_path)
    (folder,) = tmp_path.iterdir()
    build(folder, tmp_path / "again", "-t", "wheel")
    (again,) = (tmp_path / "again").glob("*.whl")
    assert again.name == wheel.name
    assert contents(again) == contents(wheel)


def test_the_source_distribution_holds_what_is_worked_with_and_nothing_else(
    built: tuple[Path, Path],
) -> None:
    with tarfile.open(built[1]) as archive:
        names = [Path(*Path(name).parts[1:]) for name in archive.getnames()]
    tops = {name.parts[0] for name in names if name.parts}
    assert tops - {".gitignore"} == {
        "CHANGELOG.md", "LICENSE", "Makefile", "PKG-INFO", "README.md", "action.yml", "config", "deploy",
        "docs", "monitor", "pyproject.toml", "requirements.lock", "tests",
    }  # fmt: skip
    assert not [name for name in names if name.suffix in (".pyc", ".db", ".log", ".pem", ".env")]
