"""The files of deploy/, as they are shipped."""

from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def root() -> Path:
    return ROOT


@pytest.fixture
def manifests() -> dict[str, Any]:
    """The manifests of the one pod."""
    return of_folder("kubernetes")


@pytest.fixture
def fleet() -> dict[str, Any]:
    """The manifests that a fleet has of its own."""
    return of_folder("kubernetes-fleet")


def of_folder(name: str) -> dict[str, Any]:
    """The manifests that kustomization.yaml lists: by kind, or `KIND/NAME` beside the first."""
    folder = ROOT / "deploy" / name
    put = yaml.safe_load((folder / "kustomization.yaml").read_text())
    paths = [one["path"] for one in put.get("patches", ()) if "path" in one]
    listed = [one for one in put["resources"] if "/" not in one] + paths
    assert sorted([*listed, "kustomization.yaml"]) == sorted(p.name for p in folder.iterdir())
    found: dict[str, Any] = {}
    for name in listed:
        for one in yaml.safe_load_all((folder / name).read_text()):
            kind = one["kind"]
            found[f"{kind}/{one['metadata']['name']}" if kind in found else kind] = one
    return found


@pytest.fixture
def compose() -> Any:
    return yaml.safe_load((ROOT / "deploy" / "container" / "compose.yaml").read_text())
