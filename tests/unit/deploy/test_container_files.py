"""The container's and Kubernetes' files agree with the program and with each other."""

import re
import tomllib

import pytest

from monitor.config import load

SECRET_TEXT = "sk-test-FAKE-acme-prod-0001"


@pytest.fixture
def dockerfile(root):
    return (root / "deploy" / "container" / "Dockerfile").read_text()


@pytest.fixture
def version(root):
    return tomllib.loads((root / "pyproject.toml").read_text())["project"]["version"]


def files_named(settings: str) -> set[str]:
    return set(re.findall(r'^[^#\n]*"file:([^"]+)"', settings, re.MULTILINE))


def loads(settings: str, tmp_path) -> bool:
    """Whether the program takes the settings, with secrets in the files that they name."""
    for file in files_named(settings):
        here = tmp_path / file.lstrip("/")
        here.parent.mkdir(parents=True, exist_ok=True)
        here.write_text("json://acme.example/x" if "slack" in file else SECRET_TEXT)
    path = tmp_path / "access-monitor.toml"
    path.write_text(settings.replace('"file:/', f'"file:{tmp_path}/'))
    return bool(load(path, {"STATE_DIRECTORY": str(tmp_path)}).targets())


def test_the_version_is_the_same_everywhere(dockerfile, compose, manifests, version, root):
    assert f"ARG VERSION={version}\n" in dockerfile
    assert compose["services"]["access-monitor"]["image"] == f"access-monitor:{version}"
    pod = manifests["StatefulSet"]["spec"]["template"]["spec"]
    assert pod["containers"][0]["image"] == f"access-monitor:{version}"
    assert f"newTag: {version}\n" in (root / "deploy/kubernetes/kustomization.yaml").read_text()


def test_the_user_is_the_same_everywhere(dockerfile, compose, manifests):
    user = re.search(r"^USER (\d+):(\d+)$", dockerfile, re.MULTILINE).groups()
    assert compose["services"]["access-monitor"]["user"] == ":".join(user)
    context = manifests["StatefulSet"]["spec"]["template"]["spec"]["securityContext"]
    assert (context["runAsUser"], context["runAsGroup"]) == tuple(map(int, user))
    assert context["fsGroup"] == int(user[1])


def test_the_dockerfile_names_one_base_and_no_address(dockerfile):
    bases = set(re.findall(r"^FROM (\S+)", dockerfile, re.MULTILINE))
    (base,) = bases
    # by its digest, or by its full version: never what moves under a name
    assert re.fullmatch(
        r"docker\.io/library/python:3\.12\.\d+-slim-[a-z]+(@sha256:[0-9a-f]{64})?", base
    )
    assert f'org.opencontainers.image.base.name="{base.partition("@")[0]}"' in dockerfile
    assert "://" not in dockerfile


def test_compose_gives_the_secrets_that_its_settings_name(compose, root, tmp_path):
    settings = (root / "deploy" / "container" / "access-monitor.toml").read_text()
    mounted = {f"/run/secrets/{name}" for name in compose["services"]["access-monitor"]["secrets"]}
    assert files_named(settings) == mounted
    assert loads(settings, tmp_path)


def test_kubernetes_gives_the_secrets_that_its_settings_name(manifests, tmp_path):
    settings = manifests["ConfigMap"]["data"]["access-monitor.toml"]
    mounts = manifests["StatefulSet"]["spec"]["template"]["spec"]["containers"][0]["volumeMounts"]
    place = {mount["name"]: mount["mountPath"] for mount in mounts}["secrets"]
    assert files_named(settings) == {
        f"{place}/{name}" for name in manifests["Secret"]["stringData"]
    }
    assert loads(settings, tmp_path)


def test_the_volume_is_where_the_image_keeps_its_state(dockerfile, compose, manifests):
    state = re.search(r"^VOLUME (\S+)$", dockerfile, re.MULTILINE)[1]
    assert f"STATE_DIRECTORY={state}" in dockerfile
    assert f"state:{state}" in compose["services"]["access-monitor"]["volumes"]
    mounts = manifests["StatefulSet"]["spec"]["template"]["spec"]["containers"][0]["volumeMounts"]
    assert {"name": "state", "mountPath": state} in mounts


def test_compose_takes_all_rights_away(compose):
    service = compose["services"]["access-monitor"]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert {"max-size", "max-file"} <= set(service["logging"]["options"])
    assert not {"ports", "privileged", "cap_add", "environment"} & set(service)


def test_the_pod_keeps_to_the_restricted_profile(manifests):
    pod = manifests["StatefulSet"]["spec"]["template"]["spec"]
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert pod["automountServiceAccountToken"] is False
    for container in pod["containers"]:
        context = container["securityContext"]
        assert context["allowPrivilegeEscalation"] is False
        assert context["readOnlyRootFilesystem"] is True
        assert context["capabilities"] == {"drop": ["ALL"]}
        assert {"requests", "limits"} == set(container["resources"])
    kinds = {kind for volume in pod["volumes"] for kind in volume if kind != "name"}
    assert kinds <= {"configMap", "secret", "persistentVolumeClaim", "emptyDir", "projected"}
    labels = manifests["Namespace"]["metadata"]["labels"]
    assert labels["pod-security.kubernetes.io/enforce"] == "restricted"


def test_there_is_one_pod_and_everything_selects_it(manifests):
    stateful = manifests["StatefulSet"]["spec"]
    labels = stateful["template"]["metadata"]["labels"]
    assert stateful["replicas"] == 1
    assert stateful["selector"]["matchLabels"] == labels
    assert stateful["serviceName"] == manifests["Service"]["metadata"]["name"]
    assert manifests["Service"]["spec"]["selector"] == labels
    policy = manifests["NetworkPolicy"]["spec"]
    assert policy["podSelector"]["matchLabels"] == labels
    assert (set(policy["policyTypes"]), policy["ingress"]) == ({"Ingress", "Egress"}, [])
