"""What `config check` warns of: models that end, a catalog that grew old, mappings nobody knows."""

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from monitor.access.target import Capability
from monitor.access.words import Contract, Surface
from monitor.catalog import builtin
from monitor.config import Key, Route, Secret, Settings, load
from monitor.config.outlook import model_warnings

DIRECT = Route("https://api.openai.com/v1", Contract.DIRECT)
RELAY = Route("https://relay.example/v1", Contract.PROVIDER)
ROUTES = {"openai": DIRECT, "relay": RELAY}


def key(*models: str, route: str = "openai", name: str = "acme") -> Key:
    capabilities = tuple(Capability(model, Surface.RESPONSES) for model in models)
    return Key(name=name, secret=Secret("", "env:KEY"), route=route, watch=capabilities)


def at(*keys: Key, now: date, retiring: int = 14) -> list[str]:
    noon = datetime(now.year, now.month, now.day, 12, tzinfo=UTC)
    return model_warnings(keys, ROUTES, builtin(), now=noon, retiring=timedelta(days=retiring))


@pytest.mark.parametrize(
    ("today", "said"),
    [
        (date(2026, 11, 26), None),
        (date(2026, 11, 27), "o3 will be shut down on 2026-12-11, in 14 days"),
        (date(2026, 12, 10), "o3 will be shut down on 2026-12-11, in 1 day:"),
        (date(2026, 12, 11), "o3 was shut down on 2026-12-11: it will not open any more"),
        (date(2027, 1, 2), "o3 was shut down on 2026-12-11"),
    ],
)
def test_a_model_that_ends_is_warned_of_from_14_days_before(today: date, said: str | None) -> None:
    found = at(key("o3"), now=today)
    assert [said in text for text in found] == [True] if said else found == []


def test_how_long_before_follows_the_settings() -> None:
    assert at(key("o3"), now=date(2026, 11, 25), retiring=20)
    assert at(key("o3"), now=date(2026, 11, 27), retiring=3) == []


@pytest.mark.parametrize(("days", "warned"), [(0, False), (90, False), (91, True)])
def test_a_catalog_older_than_90_days_is_warned_of_once(days: int, *, warned: bool) -> None:
    today = date(2026, 11, 20) + timedelta(days=days)
    found = at(key("gpt-5.5", "gpt-image-2"), key("gpt-5.5", name="b"), now=today)
    assert len(found) == warned
    if warned:
        assert "the catalog is 91 days old: what it says of gpt-5.5, gpt-image-2" in found[0]


def test_entries_that_nobody_watches_may_be_old() -> None:
    assert at(key("acme-own"), now=date(2029, 1, 1)) == []


def test_a_provider_model_that_the_catalog_does_not_know_has_no_known_mapping() -> None:
    today = date(2026, 11, 20)
    (found,) = at(key("acme/painter", route="relay"), now=today)
    assert found.startswith(
        'which model the provider behind relay maps "acme/painter" to cannot be known'
    )
    assert at(key("acme/painter"), key("openai/gpt-5.5", route="relay"), now=today) == []


def test_an_entry_of_ones_own_says_the_mapping(settings_of: Callable[[str], Settings]) -> None:
    text = (
        '[routes.relay]\nbase_url = "https://relay.example/v1"\n[[keys]]\nname = "acme"\n'
        'secret = "env:RELAY_API_KEY"\nroute = "relay"\nwatch = ["acme/painter:chat"]\n'
    )
    assert len(settings_of(text).warnings) == 1
    own = '[catalog.models."acme/painter"]\nsurfaces = ["chat"]\nsource = "as gpt-5.5"\n'
    assert settings_of(text + own).warnings == ()


def test_an_override_of_ones_own_is_as_fresh_as_it_says(
    tmp_path: Path, environ: dict[str, str]
) -> None:
    path = tmp_path / "access-monitor.toml"
    watch = '[[keys]]\nname = "a"\nsecret = "env:OPENAI_API_KEY"\nwatch = ["gpt-5.5"]\n'
    later = datetime(2027, 6, 1, tzinfo=UTC)
    path.write_text(watch)
    assert len(load(path, environ, now=later).warnings) == 1
    path.write_text(watch + '[catalog.models."gpt-5.5"]\nchecked = 2027-05-01\n')
    assert load(path, environ, now=later).warnings == ()
