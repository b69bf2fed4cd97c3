"""[fleet]: it needs a PostgreSQL, and shards follow from routes and organizations."""

from collections.abc import Callable

import pytest

from monitor.access.target import shard_of
from monitor.config import Settings, SettingsError

Load = Callable[[str], Settings]
KEY = '[[keys]]\nname = "acme-prod"\nsecret = "env:OPENAI_API_KEY"\nwatch = ["gpt-image-2"]\n'
DATABASE = '[monitor]\ndatabase = "postgresql://db.example/monitor"\n'


def test_without_it_there_is_no_fleet(settings_of: Load) -> None:
    assert settings_of(KEY).fleet is None


@pytest.mark.parametrize("section", ["[fleet]\n", '[fleet]\nworker = "a"\n'])
def test_an_empty_section_is_enough(settings_of: Load, section: str) -> None:
    settings = settings_of(DATABASE + section + KEY)
    assert settings.fleet is not None
    assert settings.fleet.worker == ("a" if "worker" in section else None)


def test_a_file_of_sqlite_cannot_be_shared(settings_of: Load) -> None:
    with pytest.raises(SettingsError, match=r"line 1: fleet: its daemons share a PostgreSQL: give"):
        settings_of("[fleet]\n" + KEY)


def test_a_worker_has_the_keys_of_its_shards(settings_of: Load) -> None:
    second = KEY.replace("acme-prod", "acme-test").replace("watch", 'organization = "org-a"\nwatch')
    settings = settings_of(DATABASE + "[fleet]\n" + KEY + second)
    first, other = shard_of("openai", "key acme-prod"), shard_of("openai", "org-a")
    assert settings.shard_of_key("acme-prod") == first
    assert settings.shard_of_key("acme-test") == other
    assert settings.shard_of_key("nobody") is None
    own = settings.only({other}, 3)
    assert [key.name for key in own.keys] == ["acme-test"]
    assert own.workers == 3
    assert own.channels == settings.channels
