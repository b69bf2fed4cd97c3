"""The units, the settings beside them and the documentation speak of the same things."""

from pathlib import Path

import pytest

from monitor.config import load

DEPLOY = Path(__file__).parents[3] / "deploy"
FOLDER = DEPLOY / "systemd"
UNIT, PAGE, WORKER = (
    (FOLDER / f"{name}.service").read_text(encoding="utf-8")
    for name in ("access-monitor", "access-monitor-web", "access-monitor-worker@")
)
#: Settings of a service that the page's may have otherwise.
OF_THEIR_OWN = {
    "ExecStart", "ExecReload", "Environment", "LoadCredential", "TimeoutStartSec", "MemoryHigh", "MemoryMax",
    "TasksMax",
    "LimitNOFILE", "IPAddressDeny", "IPAddressAllow",
}  # fmt: skip


def service(unit: str) -> dict[str, list[str]]:
    """The settings of the section [Service], each with its values."""
    found: dict[str, list[str]] = {}
    for line in unit.partition("[Service]\n")[2].partition("\n[")[0].splitlines():
        if line and not line.startswith("#"):
            name, _, value = line.partition("=")
            found.setdefault(name, []).append(value)
    return found


@pytest.fixture
def credentials(tmp_path):
    values = {
        "secret_openai": "sk-test-FAKE-acme-prod-0001",
        "secret_slack": "https://hooks.slack.com/services/T0/B0/FAKE",
    }
    for name, value in values.items():
        (tmp_path / name).write_text(value)
        (tmp_path / name).chmod(0o400)
    return {"CREDENTIALS_DIRECTORY": str(tmp_path)}


def test_the_settings_of_the_service_load_with_its_credentials(credentials):
    path = FOLDER / "access-monitor.toml"
    settings = load(path, credentials)
    assert settings.warnings == ()
    assert str(settings.database) == "/var/lib/access-monitor/access-monitor.db"
    assert "StateDirectory=access-monitor\n" in UNIT
    assert "LoadCredential=secret:/etc/access-monitor/secrets\n" in UNIT
    again = load(path, credentials, secrets=False)
    assert again.targets() == settings.targets()


def test_the_token_that_the_settings_offer_is_the_pages_credential(credentials, tmp_path):
    text = (FOLDER / "access-monitor.toml").read_text(encoding="utf-8")
    offered = text[text.index("#[[web.tokens]]") : text.index("#[heartbeat]")]
    offered = "".join(line.removeprefix("#") for line in offered.splitlines(keepends=True))
    path = tmp_path / "access-monitor.toml"
    path.write_text(text + offered)
    (token,) = load(path, credentials).web.tokens  # the daemon does not need it
    prefix, folder = service(PAGE)["LoadCredential"][0].split(":")
    assert token.secret == f"credential:{prefix}_{token.name}"
    assert f"the file {folder}/{token.name}\n" in text


def test_the_page_is_as_hardened_as_the_daemon_and_shares_its_user_and_state_only():
    daemon, page = service(UNIT), service(PAGE)
    for name in daemon.keys() | page.keys():
        if name not in OF_THEIR_OWN:
            assert page.get(name) == daemon.get(name), name
    assert daemon["User"] == daemon["StateDirectory"] == ["access-monitor"]
    # users of their own, though one is named like the other: neither can look into the other's process
    assert page["PrivateUsers"] == ["yes"]
    assert page["Environment"] == [f"{daemon['Environment'][0]} MALLOC_ARENA_MAX=1"]
    assert page["LoadCredential"] == ["web:/etc/access-monitor/web-secrets"]
    assert (page["IPAddressDeny"], page["IPAddressAllow"]) == (["any"], ["localhost"])


def test_a_worker_is_as_hardened_as_the_daemon_and_keeps_nothing():
    daemon, worker = service(UNIT), service(WORKER)
    own = {"ExecStart", "User", "StateDirectory", "StateDirectoryMode"}
    for name in (daemon.keys() | worker.keys()) - own:
        assert worker.get(name) == daemon.get(name), name
    assert own & worker.keys() == {"ExecStart"}
    (start,) = worker["ExecStart"]
    assert start.replace(" --worker %H-%i", "") == daemon["ExecStart"][0]
    assert worker["RestartPreventExitStatus"] == ["2"]
    # the database may be away for longer than ten tries
    assert "StartLimitIntervalSec=0\n" in WORKER


def test_the_documentation_installs_what_the_units_start():
    page = (DEPLOY.parent / "docs" / "running.md").read_text(encoding="utf-8")
    for unit in (UNIT, PAGE):
        (start,) = service(unit)["ExecStart"]
        command, *_, settings = start.split()
        assert f"python3 -m venv {Path(command).parents[1]}" in page
        assert (
            f"install -D -m 0644 -t {Path(settings).parent} deploy/systemd/{Path(settings).name}"
            in page
        )
    folder = service(PAGE)["LoadCredential"][0].partition(":")[2]
    assert f"install -d -m 0700 /etc/access-monitor/secrets {folder}\n" in page
    assert "install -D -m 0644 -t /etc/systemd/system deploy/systemd/access-monitor.service" in page
    assert "deploy/systemd/access-monitor-web.service" in page
    assert "deploy/systemd/access-monitor-worker@.service\n" in page
