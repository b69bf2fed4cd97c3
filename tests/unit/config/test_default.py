"""What is watched without a settings file."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from monitor.access.words import Contract
from monitor.config import SettingsError, default_from_environment

KEY = {"OPENAI_API_KEY": "sk-test-FAKE-CANARY\n", "HOME": "/home/acme"}


def test_the_usual_variable_gives_one_key_that_watches_the_image_model() -> None:
    settings = default_from_environment(KEY)
    assert [target.name for target in settings.targets()] == ["default/gpt-image-2:images"]
    key = settings.key("default")
    assert (key.secret.reveal(), key.secret.reference) == (
        "sk-test-FAKE-CANARY",
        "env:OPENAI_API_KEY",
    )
    assert (key.organization, key.project, key.route) == (None, None, "openai")
    assert (settings.source, settings.channels, settings.warnings) == (None, (), ())
    assert settings.database == Path("/home/acme/.local/state/access-monitor/access-monitor.db")


def test_organization_and_project_are_honoured_and_empty_ones_are_not_set() -> None:
    environ = KEY | {"OPENAI_ORG_ID": "org-acmeFAKE", "OPENAI_PROJECT_ID": " "}
    key = default_from_environment(environ).key("default")
    assert (key.organization, key.project) == ("org-acmeFAKE", None)


@pytest.mark.parametrize(
    ("url", "route", "contract"),
    [
        ("https://api.openai.com/v1/", "openai", Contract.DIRECT),
        ("https://eu.api.openai.com/v1", "openai", Contract.DIRECT),
        ("https://relay.example/v1", "base-url", Contract.PROVIDER),
        ("https://api.openai.com.relay.example/v1", "base-url", Contract.PROVIDER),
        ("http://127.0.0.1:8080/v1", "base-url", Contract.PROVIDER),
    ],
)
def test_a_base_url_of_another_host_is_a_provider_route(
    url: str, route: str, contract: Contract
) -> None:
    settings = default_from_environment(KEY | {"OPENAI_BASE_URL": url})
    (target,) = settings.targets()
    assert (target.route, target.contract) == (route, contract)
    assert settings.routes[route].base_url == url.rstrip("/")


@pytest.mark.parametrize("environ", [{}, {"OPENAI_API_KEY": " "}])
def test_without_a_key_the_error_says_what_to_do(environ: dict[str, str]) -> None:
    with pytest.raises(SettingsError, match="access-monitor config example"):
        default_from_environment(environ)


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("OPENAI_API_KEY", "sk-CANARY with space"),
        ("OPENAI_ORG_ID", "sk-test-FAKE-CANARY"),
        ("OPENAI_PROJECT_ID", "a b"),
        ("OPENAI_BASE_URL", "http://relay.example/v1"),
        ("OPENAI_BASE_URL", "https://user:CANARY@relay.example/v1"),
        ("OPENAI_BASE_URL", "relay.example:CANARY:x"),
    ],
)
def test_an_unusable_variable_is_named_and_no_secret_is_shown(variable: str, value: str) -> None:
    with pytest.raises(SettingsError) as caught:
        default_from_environment(KEY | {variable: value}, now=datetime(2026, 11, 20, tzinfo=UTC))
    assert [problem.place for problem in caught.value.problems] == [variable]
    assert "sk-test" not in str(caught.value)
    assert ":CANARY@" not in str(caught.value)
