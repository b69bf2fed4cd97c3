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
    """The Kubernetes manifests that kustomization.yaml lists, by kind."""
    folder = ROOT / "deploy" / "kubernetes"
    listed = yaml.safe_load((folder / "kustomization.yaml").read_text())["resources"]
    assert sorted([*listed, "kustomization.yaml"]) == sorted(p.name for p in folder.iterdir())
    loaded = [yaml.safe_load((folder / name).read_text()) for name in listed]
    return {one["kind"]: one for one in loaded}


@pytest.fixture
def compose() -> Any:
    return yaml.safe_load((ROOT / "deploy" / "container" / "compose.yaml").read_text())
