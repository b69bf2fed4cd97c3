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

import yaml
from tools import check

DEPLOY = Path(__file__).resolve().parents[3] / "deploy"
VALIDATOR = "kubernetes-validate==1.37.0"
#: The oldest and the newest that docs/running.md promises.
VERSIONS = ("1.29", "1.37")
ONE, FLEET = DEPLOY / "kubernetes", DEPLOY / "kubernetes-fleet"
#: What the fleet has of its own for something of the one pod's.
INSTEAD = ("StatefulSet access-monitor", "ConfigMap access-monitor")


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


def manifests(folder: Path) -> list[Path]:
    # kustomization.yaml is kustomize's own: it has no schema, and a unit test reads its list
    return sorted(file for file in folder.glob("*.yaml") if file.name != "kustomization.yaml")


def named(*texts: str) -> dict[str, Any]:
    """The documents of YAML texts by kind and name."""
    found = [one for text in texts for one in yaml.safe_load_all(text) if one]
    return {f"{one['kind']} {one['metadata']['name']}": one for one in found}


def the_manifests(folder: Path) -> None:
    one, fleet = manifests(ONE), manifests(FLEET)
    files = [*one, *fleet]
    command = validator(folder)
    for version in VERSIONS:
        done = run(command, "--strict", "--kubernetes-version", version, *files)
        said = done.stdout + done.stderr
        passed = [file.name for file in files if f"{file} passed" in said]
        check.show(
            f"Kubernetes {version}: the manifests are valid, strictly",
            done.returncode == 0 and len(passed) == len(files) and "WARN" not in said,
            " ".join(passed) or said,
        )
    if shutil.which("kubectl"):
        written = named(*(file.read_text() for file in one))
        put_together("the one pod", ONE, set(written))
        of_fleet = named(*(file.read_text() for file in fleet))
        whole = put_together("the fleet", FLEET, (set(written) - {INSTEAD[0]}) | set(of_fleet))
        settings = whole.get(INSTEAD[1], {}).get("data")
        check.show("the fleet has its own settings", settings == of_fleet[INSTEAD[1]]["data"])
        what_selects_which_pods(whole)
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


def put_together(what: str, folder: Path, expected: set[str]) -> dict[str, Any]:
    done = run("kubectl", "kustomize", folder)
    whole = named(done.stdout)
    check.show(
        f"kustomize puts {what} together",
        done.returncode == 0 and not done.stderr and set(whole) == expected,
        done.stderr or ", ".join(whole),
    )
    return whole


def what_selects_which_pods(whole: dict[str, Any]) -> None:
    """Of the fleet's pods, the Service and the budget select those that they are for, the policies all."""
    pods = {
        name: one["spec"]["template"]["metadata"]["labels"].items()
        for name, one in whole.items()
        if one["kind"] == "Deployment"
    }

    def selected(labels: dict[str, str]) -> list[str]:
        return [name for name, its in pods.items() if labels.items() <= its]

    found = {
        name: selected(selector.get("matchLabels", selector))
        for name, one in whole.items()
        if (
            selector := one.get("spec", {}).get("selector")
            or one.get("spec", {}).get("podSelector")
        )
    }
    page, worker = "Deployment access-monitor-page", "Deployment access-monitor-worker"
    check.show(
        "the fleet's Service, budget and policies select the pods that they are for",
        found
        == {
            page: [page],
            worker: [worker],
            "Service access-monitor": [page],
            "PodDisruptionBudget access-monitor-worker": [worker],
            "NetworkPolicy access-monitor": [page, worker],
            "NetworkPolicy access-monitor-database": [page, worker],
        },
        found,
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
    file = DEPLOY / "container" / "compose.yaml"
    done = run("docker-compose", "--file", file, "--profile", "fleet", "config")
    version = run("docker-compose", "version", "--short").stdout.strip()
    check.show(
        "docker-compose config", done.returncode == 0 and not done.stderr, done.stderr or version
    )
    services = yaml.safe_load(done.stdout)["services"]
    ordinary = sorted(name for name, one in services.items() if "profiles" not in one)
    check.show(
        "without a profile: the daemon and its page",
        ordinary == ["access-monitor", "web"],
        ordinary,
    )
    fleet = {name: one for name, one in services.items() if one.get("profiles") == ["fleet"]}
    check.show(
        "profile fleet: workers of different names, their page and a database",
        sorted(fleet) == ["database", "fleet-web", "worker-a", "worker-b"]
        and all(one.get("hostname", name) == name for name, one in fleet.items()),
        ", ".join(fleet),
    )
    the_workers(fleet)


def the_workers(fleet: dict[str, Any]) -> None:
    """Two of the same, as confined as the one daemon, which wait for the database and share no volume."""
    a, b = (fleet[name] | {"hostname": ""} for name in ("worker-a", "worker-b"))
    volumes = [one.rpartition("/")[2] for one in a["volumes"]]
    check.show(
        "the workers are alike, and have their settings and no volume",
        a == b and volumes == ["access-monitor.toml:ro"],
        volumes,
    )
    rights = ("read_only", "cap_drop", "security_opt")
    found = {name: [one.get(right) for right in rights] for name, one in fleet.items()}
    check.show(
        "all of the fleet is confined: the database, too",
        all(one == [True, ["ALL"], ["no-new-privileges:true"]] for one in found.values()),
    )
    waits = {name for name, one in fleet.items() if "database" in one.get("depends_on", {})}
    secrets = {name: [one["source"] for one in its["secrets"]] for name, its in fleet.items()}
    given = {name: ["openai", "slack", "database"] for name in ("worker-a", "worker-b")}
    given |= {"fleet-web": ["web", "database"], "database": ["database-password"]}
    check.show(
        "all wait for the database, and each is given the secrets that it needs",
        waits == set(fleet) - {"database"} and secrets == given,
        secrets,
    )


def main() -> int:
    with tempfile.TemporaryDirectory() as name:
        the_manifests(Path(name))
    compose()
    print(f"{check.passed} passed, {check.failed} failed")
    return min(check.failed, 1)


if __name__ == "__main__":
    sys.exit(main())
