"""What is in the image, what is not, and what its build may see."""

import io
import json
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator
from pathlib import Path

from tools import IMAGE, UID, check, inside, inspect, must, podman

TREE = Path(__file__).resolve().parents[3]


def the_image() -> None:
    config = inspect("image", ".Config")
    check.show(
        "the image's user is fixed and not root", config["User"] == f"{UID}:{UID}", config["User"]
    )
    check.show(
        "one volume", list(config["Volumes"]) == ["/var/lib/access-monitor"], *config["Volumes"]
    )
    test = inspect("image", ".HealthCheck")["Test"]
    check.show(
        "the health check is our own", test == ["CMD", "access-monitor", "healthcheck"], test
    )
    labels = {
        name.removeprefix("org.opencontainers.image."): value
        for name, value in config["Labels"].items()
    }
    said = inside("access-monitor", "--version").split()[-1]
    check.show("the label has the program's version", labels.get("version") == said, said)

    base = json.loads(must("image", "inspect", labels["base.name"]))[0]
    whole = inspect("image", ".Size")
    own = whole - base["Size"]
    check.show(
        "size", own < 150e6, f"{whole / 1e6:.0f} MB, of it {own / 1e6:.0f} MB beside the base"
    )
    what = (
        "from importlib.metadata import distributions as all;"
        "print(*sorted(f'{one.name} {one.version}' for one in all()), sep=', ')"
    )
    packages = inside("/opt/access-monitor/bin/python", "-c", what).strip()
    unwanted = re.findall(
        r"\b(pip|setuptools|pytest|mypy|ruff|hatchling|openai|cryptography) ", packages
    )
    check.show(
        "packages: what runs, nothing else", not unwanted, f"{packages.count(',') + 1}: {packages}"
    )
    tools = [
        tool
        for tool in ("pip", "uv", "curl", "wget", "gcc", "git", "make")
        if podman("run", "--rm", "--entrypoint", "sh", IMAGE, "-c", f"command -v {tool}").returncode
        == 0
    ]
    check.show("no installer, compiler or downloader", not tools, tools)


def files_of(image: str) -> Iterator[tuple[str, str, bytes]]:
    """Every file of every layer of an image, with its layer's digest; and the image's description."""
    with tempfile.TemporaryDirectory() as folder:
        archive = Path(folder) / "image.tar"
        must("save", "--format", "docker-archive", "-o", archive, image, patience=300)
        with tarfile.open(archive) as outer:
            for one in outer:
                if not one.isfile():
                    continue
                content = outer.extractfile(one).read()
                if not one.name.endswith(".tar"):
                    yield "", one.name, content
                    continue
                with tarfile.open(fileobj=io.BytesIO(content)) as layer:
                    for file in layer:
                        data = layer.extractfile(file).read() if file.isfile() else b""
                        yield f"sha256:{one.name.removesuffix('.tar')}", file.name, data


#: A key as the vendor makes them, a Slack webhook, a private key. Not looked for in the base image:
#: its libraries bring test keys of their own.
SECRET_PATTERNS = re.compile(
    rb"\bsk-(?!sim-FAKE|test-FAKE)(?:proj-|admin-)?[A-Za-z0-9_]{32,}"
    rb"|hooks\.slack\.com/services/T[A-Z0-9]{8,}/B[A-Z0-9]{8,}/[a-zA-Z0-9]{24}\b"
    rb"|-----BEGIN (?:RSA |EC |OPENSSH )?PRIVATE KEY-----\r?\n[A-Za-z0-9+/]{60}"
)


def builder_settings() -> list[bytes]:
    """What this machine's pip was told and an image must not know: where it fetches from."""
    listed = subprocess.run(
        [sys.executable, "-m", "pip", "config", "list"], capture_output=True, text=True, check=True
    ).stdout
    found = re.findall(r"index-url='([^']+)'|find-links='([^']+)'", listed)
    return [word.encode() for pair in found for value in pair for word in value.split()]


def no_secrets_in_layers(known: list[str]) -> None:
    needles = [*map(str.encode, known), *builder_settings()]
    base = inspect("image", ".Config.Labels")["org.opencontainers.image.base.name"]
    bases = json.loads(must("image", "inspect", base))[0]["RootFS"]["Layers"]
    layers, count, hits = set(), 0, []
    for layer, name, content in files_of(IMAGE):
        count += 1
        layers.add(layer)
        hits += [(name, needle.decode()) for needle in needles if needle in content]
        if layer not in bases:
            hits += [(name, found[0][:24].decode()) for found in SECRET_PATTERNS.finditer(content)]
    check.show(
        "no secret in any layer, nor where the builder's pip fetches from",
        count > 1000 and layers.issuperset(bases) and not hits,
        hits or f"{count} files in {len(layers) - 1} layers",
    )


def the_build_sees_no_secrets(folder: Path) -> None:
    """Plant what lies about in a folder of sources, and list what a build would be given."""
    shutil.copy(TREE / ".dockerignore", folder)
    planted = [
        ".env",
        "access-monitor.toml",
        "monitor.db",
        ".git/config",
        "secrets/openai",
        "monitor/.env.local",
        "monitor/x.db-wal",
        "deploy/container/secrets/openai",
        "deploy/container/access-monitor.toml",
    ]
    for name in [*planted, "pyproject.toml", "monitor/cli/app.py", "deploy/container/init.py"]:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("planted")
    (folder / "everything").write_text("FROM scratch\nCOPY . /\n")
    must(
        "build", "-q", "-f", folder / "everything", "-t", "localhost/access-monitor-context", folder
    )
    image = "localhost/access-monitor-context"
    seen = sorted(name for _, name, content in files_of(image) if content == b"planted")
    must("rmi", "-f", "localhost/access-monitor-context")
    check.show(
        "a build is given the sources, and no settings, databases or secrets that lie beside them",
        seen == ["deploy/container/init.py", "monitor/cli/app.py", "pyproject.toml"],
        seen,
    )
