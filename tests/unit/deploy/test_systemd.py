"""The unit, the settings beside it and the documentation speak of the same things."""

from pathlib import Path

from monitor.config import load

DEPLOY = Path(__file__).parents[3] / "deploy"
UNIT = (DEPLOY / "systemd" / "access-monitor.service").read_text(encoding="utf-8")


def test_the_settings_of_the_service_load_with_its_credentials(tmp_path):
    values = {
        "openai": "sk-test-FAKE-acme-prod-0001",
        "slack": "https://hooks.slack.com/services/T0/B0/FAKE",
    }
    for name, value in values.items():
        (tmp_path / f"secret_{name}").write_text(value)
        (tmp_path / f"secret_{name}").chmod(0o400)
    path = DEPLOY / "systemd" / "access-monitor.toml"
    settings = load(path, {"CREDENTIALS_DIRECTORY": str(tmp_path)})
    assert settings.warnings == ()
    assert str(settings.database) == "/var/lib/access-monitor/access-monitor.db"
    assert "StateDirectory=access-monitor\n" in UNIT
    assert "LoadCredential=secret:/etc/access-monitor/secrets\n" in UNIT
    again = load(path, {"CREDENTIALS_DIRECTORY": str(tmp_path)}, secrets=False)
    assert again.targets() == settings.targets()


def test_the_documentation_installs_what_the_unit_starts():
    page = (DEPLOY.parent / "docs" / "running.md").read_text(encoding="utf-8")
    (start,) = (line for line in UNIT.splitlines() if line.startswith("ExecStart="))
    command, *_, settings = start.removeprefix("ExecStart=").split()
    assert f"python3 -m venv {Path(command).parents[1]}" in page
    assert (
        f"install -D -m 0644 -t {Path(settings).parent} deploy/systemd/{Path(settings).name}"
        in page
    )
