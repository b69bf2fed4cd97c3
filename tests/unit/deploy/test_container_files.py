"""The container's and Kubernetes' files agree with the program and with each other."""

import re
import tomllib
from typing import Any

import pytest

from monitor.config import Settings, load

SECRET_TEXT = "sk-test-FAKE-acme-prod-0001"
#: By a word of the file's name, where it is no key and no token.
TEXTS = {"slack": "json://acme.example/x", "database": "postgresql://monitor:FAKE@database/monitor"}


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
        here.write_text(next((text for word, text in TEXTS.items() if word in file), SECRET_TEXT))
    path = tmp_path / "access-monitor.toml"
    path.write_text(settings.replace('"file:/', f'"file:{tmp_path}/'))
    return load(path, {"STATE_DIRECTORY": str(tmp_path)})


def loads(settings: str, tmp_path) -> bool:
    """Whether the program takes the settings, and watches something."""
    return bool(load_of(settings, tmp_path).targets())


def ours(compose) -> dict[str, Any]:
    """The services that run the program: all but the fleet's database."""
    return {name: one for name, one in compose["services"].items() if name != "database"}


def test_the_version_is_the_same_everywhere(dockerfile, compose, manifests, fleet, version, root):
    assert f"ARG VERSION={version}\n" in dockerfile
    images = [one["image"] for one in ours(compose).values()]
    images += [one["image"] for pod in pods_of(manifests, fleet) for one in pod["containers"]]
    assert images == [f"access-monitor:{version}"] * 9
    for name in ("kubernetes", "kubernetes-fleet"):
        assert f"newTag: {version}\n" in (root / f"deploy/{name}/kustomization.yaml").read_text()


def test_the_user_is_the_same_everywhere(dockerfile, compose, manifests, fleet):
    user = re.search(r"^USER (\d+):(\d+)$", dockerfile, re.MULTILINE).groups()
    assert {one["user"] for one in ours(compose).values()} == {":".join(user)}
    for pod in pods_of(manifests, fleet):
        context = pod["securityContext"]
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


def pods_of(manifests, fleet):
    """The one pod, and a fleet's worker and page."""
    spread = [one for one in fleet.values() if one["kind"] == "Deployment"]
    return [pod_of(manifests), *(one["spec"]["template"]["spec"] for one in spread)]


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
    fleets = {"/run/secrets/database", "/run/secrets/database-password"}
    assert {f"/run/secrets/{name}" for name in compose["secrets"]} == daemon | page | fleets
    assert loads(settings, tmp_path)


def test_compose_gives_a_fleet_what_its_settings_name(compose, root, tmp_path):
    settings = (root / "deploy" / "container" / "access-monitor-fleet.toml").read_text()
    workers = [one for name, one in compose["services"].items() if name.startswith("worker-")]
    services = [*workers, compose["services"]["fleet-web"]]
    *given, page = ({f"/run/secrets/{name}" for name in one["secrets"]} for one in services)
    database = {"/run/secrets/database"}
    assert page == of_the_page(settings) | database
    assert given == [(files_named(settings) - page) | database] * 2
    assert len({one["hostname"] for one in workers}) == 2
    place = "./access-monitor-fleet.toml:/etc/access-monitor/access-monitor.toml:ro"
    assert [one["volumes"] for one in services] == [[place]] * 3
    assert load_of(settings, tmp_path).fleet


def test_kubernetes_gives_a_fleet_what_its_settings_name(fleet, tmp_path):
    settings = fleet["ConfigMap"]["data"]["access-monitor.toml"]
    worker, page = (
        one["spec"]["template"]["spec"] for one in fleet.values() if one["kind"] == "Deployment"
    )
    places = [places_of(pod["containers"][0]) for pod in (worker, page)]
    mounted = [{place for name, place in one.items() if name != "settings"} for one in places]
    database = "/run/secrets/access-monitor-database"
    assert mounted[0] == {"/run/secrets/access-monitor", database}
    assert mounted[1] == {"/run/secrets/access-monitor-web", database}
    of_page = of_the_page(settings)
    assert {one.rpartition("/")[0] for one in of_page} | {database} == mounted[1]
    assert {one.rpartition("/")[0] for one in files_named(settings) - of_page} == mounted[0]
    assert load_of(settings, tmp_path).fleet


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
    for name in ("access-monitor", "web"):
        assert f"state:{state}" in compose["services"][name]["volumes"]
    for container in pod_of(manifests)["containers"]:
        assert places_of(container)["state"] == state


def test_compose_takes_all_rights_away(compose):
    for service in compose["services"].values():
        assert service["read_only"] is True
        assert service["cap_drop"] == ["ALL"]
        assert service["security_opt"] == ["no-new-privileges:true"]
        assert {"max-size", "max-file"} <= set(service["logging"]["options"])
        assert not {"privileged", "cap_add"} & set(service)
        names = {"MALLOC_ARENA_MAX", "POSTGRES_USER", "POSTGRES_PASSWORD_FILE"}
        assert service.get("environment", {}).keys() <= names  # no secret
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


def test_every_pod_keeps_to_the_restricted_profile(manifests, fleet):
    for pod in pods_of(manifests, fleet):
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


def test_a_rollout_and_a_drain_leave_a_worker(fleet):
    worker = next(one["spec"] for one in fleet.values() if one["kind"] == "Deployment")
    labels = worker["template"]["metadata"]["labels"]
    assert worker["replicas"] == 2
    assert worker["strategy"]["rollingUpdate"] == {"maxSurge": 1, "maxUnavailable": 0}
    budget = fleet["PodDisruptionBudget"]["spec"]
    assert (budget["minAvailable"], budget["selector"]["matchLabels"]) == (1, labels)
    affinity = worker["template"]["spec"]["affinity"]["podAntiAffinity"]
    ((term,),) = affinity.values()
    assert term["podAffinityTerm"]["topologyKey"] == "kubernetes.io/hostname"
    assert term["podAffinityTerm"]["labelSelector"]["matchLabels"] == labels


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
