"""The manifests against the API's schemas, and compose.yaml against docker-compose.

kubernetes-validate is installed into a throw-away environment where it is not at hand; docker-compose is
the distribution's. Prints a line for each thing shown, and `N passed, M failed` at the end; the exit
status says the same.
"""

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from tools import check

DEPLOY = Path(__file__).resolve().parents[3] / "deploy"
VALIDATOR = "kubernetes-validate==1.37.0"
#: The oldest and the newest that docs/running.md promises.
VERSIONS = ("1.29", "1.37")


def run(*command: object, **options: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(word) for word in command], capture_output=True, text=True, check=False, **options
    )


def validator(folder: Path) -> str:
    """The validator's path, installed if need be."""
    found = shutil.which("kubernetes-validate")
    if found is None:
        run(sys.executable, "-m", "venv", folder)
        installed = run(folder / "bin" / "pip", "install", "--quiet", VALIDATOR)
        assert installed.returncode == 0, installed.stderr
        found = str(folder / "bin" / "kubernetes-validate")
    return found


def kinds_of(text: str) -> list[str]:
    """The kinds of the documents in a YAML text."""
    lines = [line for line in text.splitlines() if line.startswith("kind: ")]
    return [line.removeprefix("kind: ") for line in lines]


def the_manifests(folder: Path) -> None:
    # kustomization.yaml is kustomize's own: it has no schema there, and a unit test reads its list
    files = sorted(
        set((DEPLOY / "kubernetes").glob("*.yaml")) - {DEPLOY / "kubernetes" / "kustomization.yaml"}
    )
    command = validator(folder)
    for version in VERSIONS:
        done = run(command, "--strict", "--kubernetes-version", version, *files)
        said = done.stdout + done.stderr
        passed = [file.name for file in files if f"{file.name} passed" in said]
        check.show(
            f"Kubernetes {version}: the manifests are valid, strictly",
            done.returncode == 0 and len(passed) == len(files) and "WARN" not in said,
            " ".join(passed) or said,
        )
    if shutil.which("kubectl"):
        done = run("kubectl", "kustomize", DEPLOY / "kubernetes")
        kinds = kinds_of(done.stdout)
        written = [kind for file in files for kind in kinds_of(file.read_text())]
        check.show(
            "kustomize puts them together",
            done.returncode == 0 and sorted(kinds) == sorted(written),
            done.stderr or " ".join(kinds),
        )
    # a validator that passes everything shows nothing
    bad = folder / "bad.yaml"
    text = (DEPLOY / "kubernetes" / "statefulset.yaml").read_text()
    # in the last container, the page's
    before, _, after = text.rpartition("readOnlyRootFilesystem")
    bad.write_text(f"{before}readOnlyRoot{after}")
    done = run(command, "--strict", bad)
    check.show(
        "a misspelt field is refused",
        done.returncode != 0 and "readOnlyRoot" in done.stdout + done.stderr,
    )


def compose() -> None:
    if shutil.which("docker-compose") is None:
        for words in (
            ("update", "-qq"),
            ("install", "-y", "-qq", "--no-install-recommends", "docker-compose"),
        ):
            done = run(
                "apt-get",
                *words,
                env={"DEBIAN_FRONTEND": "noninteractive", "PATH": "/usr/sbin:/usr/bin:/sbin:/bin"},
            )
            assert done.returncode == 0, done.stderr
    done = run(
        "docker-compose", "--file", DEPLOY / "container" / "compose.yaml", "config", "--quiet"
    )
    said = (done.stdout + done.stderr).strip()
    version = run("docker-compose", "version", "--short").stdout.strip()
    check.show("docker-compose config", done.returncode == 0 and not said, said or version)


def main() -> int:
    with tempfile.TemporaryDirectory() as name:
        the_manifests(Path(name))
    compose()
    print(f"{check.passed} passed, {check.failed} failed")
    return min(check.failed, 1)


if __name__ == "__main__":
    sys.exit(main())
