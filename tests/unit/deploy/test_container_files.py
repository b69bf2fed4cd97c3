"""The container's and Kubernetes' files agree with the program and with each other."""

import re
import tomllib

import pytest

from monitor.config import Settings, load

SECRET_TEXT = "sk-test-FAKE-acme-prod-0001"


@pytest.fixture
def dockerfile(root):
    return (root / "deploy" / "container" / "Dockerfile").read_text()


@pytest.fixture
def version(root):
    return tomllib.loads((root / "pyproject.toml").read_text())["project"]["version"]


def files_named(settings: str) -> set[str]:
    return set(re.findall(r'^[^#\n]*"file:([^"]+)"', settings, re.MULTILINE))


def load_of(settings: str, tmp_path) -> Settings:
    """The settings as the program takes them, with secrets in the files that they name."""
    for file in files_named(settings):
        here = tmp_path / file.lstrip("/")
        here.parent.mkdir(parents=True, exist_ok=True)
        here.write_text("json://acme.example/x" if "slack" in file else SECRET_TEXT)
    path = tmp_path / "access-monitor.toml"
    path.write_text(settings.replace('"file:/', f'"file:{tmp_path}/'))
    return load(path, {"STATE_DIRECTORY": str(tmp_path)})


def loads(settings: str, tmp_path) -> bool:
    """Whether the program takes the settings, and watches something."""
    return bool(load_of(settings, tmp_path).targets())


def test_the_version_is_the_same_everywhere(dockerfile, compose, manifests, version, root):
    assert f"ARG VERSION={version}\n" in dockerfile
    images = [one["image"] for one in compose["services"].values()]
    images += [one["image"] for one in pod_of(manifests)["containers"]]
    assert images == [f"access-monitor:{version}"] * 4
    assert f"newTag: {version}\n" in (root / "deploy/kubernetes/kustomization.yaml").read_text()


def test_the_user_is_the_same_everywhere(dockerfile, compose, manifests):
    user = re.search(r"^USER (\d+):(\d+)$", dockerfile, re.MULTILINE).groups()
    assert {one["user"] for one in compose["services"].values()} == {":".join(user)}
    context = pod_of(manifests)["securityContext"]
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


def pod_of(manifests):
    return manifests["StatefulSet"]["spec"]["template"]["spec"]


def places_of(container) -> dict[str, str]:
    """Where a container has which volume."""
    return {mount["name"]: mount["mountPath"] for mount in container["volumeMounts"]}


def of_the_page(settings: str) -> set[str]:
    """The files that the page's tokens are in."""
    return files_named(settings[settings.index("[[web.tokens]]") :])


def test_compose_gives_each_service_the_secrets_that_its_settings_name(compose, root, tmp_path):
    settings = (root / "deploy" / "container" / "access-monitor.toml").read_text()
    daemon, page = (
        {f"/run/secrets/{name}" for name in compose["services"][one]["secrets"]}
        for one in ("access-monitor", "web")
    )
    assert page == of_the_page(settings)
    assert daemon == files_named(settings) - page
    assert {f"/run/secrets/{name}" for name in compose["secrets"]} == daemon | page
    assert loads(settings, tmp_path)


def test_kubernetes_gives_each_container_the_secrets_that_its_settings_name(manifests, tmp_path):
    settings = manifests["ConfigMap"]["data"]["access-monitor.toml"]
    pod = pod_of(manifests)
    given = []
    for container, volume in zip(pod["containers"], ("secrets", "web-secrets"), strict=True):
        (secret,) = (one["secret"]["secretName"] for one in pod["volumes"] if one["name"] == volume)
        of_secret = {
            one["metadata"]["name"]: one for key, one in manifests.items() if "Secret" in key
        }
        place = places_of(container)[volume]
        given.append({f"{place}/{name}" for name in of_secret[secret]["stringData"]})
    daemon, page = given
    assert page == of_the_page(settings)
    assert daemon == files_named(settings) - page
    # nothing of the daemon's is lent to the page
    assert set(places_of(pod["containers"][1])) == {"state", "settings", "web-secrets"}
    assert loads(settings, tmp_path)


def test_the_volume_is_where_the_image_keeps_its_state(dockerfile, compose, manifests):
    state = re.search(r"^VOLUME (\S+)$", dockerfile, re.MULTILINE)[1]
    assert f"STATE_DIRECTORY={state}" in dockerfile
    for service in compose["services"].values():
        assert f"state:{state}" in service["volumes"]
    for container in pod_of(manifests)["containers"]:
        assert places_of(container)["state"] == state


def test_compose_takes_all_rights_away(compose):
    for service in compose["services"].values():
        assert service["read_only"] is True
        assert service["cap_drop"] == ["ALL"]
        assert service["security_opt"] == ["no-new-privileges:true"]
        assert {"max-size", "max-file"} <= set(service["logging"]["options"])
        assert not {"privileged", "cap_add"} & set(service)
        assert service.get("environment", {}).keys() <= {"MALLOC_ARENA_MAX"}  # no secret
    assert "ports" not in compose["services"]["access-monitor"]


def test_the_page_is_reached_where_it_listens_and_from_this_machine_only(compose, root, tmp_path):
    page = compose["services"]["web"]
    text = (root / "deploy" / "container" / "access-monitor.toml").read_text()
    listen = load_of(text, tmp_path).web.listen
    assert not listen.loopback
    assert page["command"] == ["web"]
    assert page["ports"] == [f"127.0.0.1:{listen.port}:{listen.port}"]
    assert page["healthcheck"]["test"] == ["CMD", "access-monitor", "healthcheck", "--web"]


def test_the_port_of_the_page_is_the_same_in_all_manifests(manifests, tmp_path):
    listen = load_of(manifests["ConfigMap"]["data"]["access-monitor.toml"], tmp_path).web.listen
    daemon, page = pod_of(manifests)["containers"]
    assert "ports" not in daemon
    assert page["args"] == ["web"]
    assert page["ports"] == [{"name": "page", "containerPort": listen.port}]
    (port,) = manifests["Service"]["spec"]["ports"]
    assert (port["port"], port["targetPort"]) == (listen.port, "page")
    (rule,) = manifests["NetworkPolicy"]["spec"]["ingress"]
    assert rule["ports"] == [{"protocol": "TCP", "port": "page"}]
    # somebody is named: a rule without `from` would let everybody in
    assert [list(one) for one in rule["from"]] == [["namespaceSelector"]]
    for probe in ("livenessProbe", "readinessProbe"):
        assert page[probe]["httpGet"]["port"] == "page"


def test_the_pod_keeps_to_the_restricted_profile(manifests):
    pod = pod_of(manifests)
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
    assert set(policy["policyTypes"]) == {"Ingress", "Egress"}
