"""Pools: one key a line of a file, each a key of its own, named by its fingerprint."""

import hashlib
import json
import re
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from itertools import count
from pathlib import Path

import pytest

from monitor.access.limits import Cadence
from monitor.access.target import pool_name_of
from monitor.config import Settings, SettingsError, example, load, show
from monitor.config.references import POOL_CAP, POOL_LINES_MOST

Load = Callable[[str], Settings]

POOL = '[[pools]]\nname = "pool-a"\nsecrets = "file:a.keys"\nwatch = ["gpt-image-2"]\n'


def key(number: int) -> str:
    return f"sk-test-FAKE-CANARY-{number:05d}"


def mark(text: str, digits: int = 8) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:digits]


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., None]:
    """Writes the lines of the pool's file, as only its owner can read."""

    def put(*lines: str, end: str = "\n") -> None:
        path = tmp_path / "a.keys"
        path.write_bytes("".join(line + end for line in lines).encode())
        path.chmod(0o600)

    return put


def test_each_line_is_a_key_named_by_its_fingerprint(
    settings_of: Load, write: Callable[..., None]
) -> None:
    write("# ours", key(1), "", f"  {key(2)} ")
    settings = settings_of(POOL)
    names = [f"pool-a-{mark(key(1))}", f"pool-a-{mark(key(2))}"]
    assert [one.name for one in settings.keys] == names
    assert [one.secret.reveal() for one in settings.keys] == [key(1), key(2)]
    assert [settings.pool_of(name) for name in names] == [*settings.pools, *settings.pools]
    assert [target.name for target in settings.targets()] == [
        f"{name}/gpt-image-2:images" for name in names
    ]
    assert len({target.scope for target in settings.targets()}) == 2
    assert settings.key(names[1]) is settings.keys[1]
    assert settings.warnings == ()


def test_the_names_do_not_hang_on_the_order_of_the_lines(
    settings_of: Load, write: Callable[..., None]
) -> None:
    write(key(1), key(2))
    before = {one.name: one.secret.reveal() for one in settings_of(POOL).keys}
    write(key(3), key(2), key(1))
    after = {one.name: one.secret.reveal() for one in settings_of(POOL).keys}
    assert before.items() < after.items()


def test_keys_whose_fingerprints_begin_alike_both_get_longer_names(
    settings_of: Load, write: Callable[..., None]
) -> None:
    seen: dict[str, str] = {}
    for number in count():  # some 80,000 until two of a birthday's year of 2**32 meet
        text = key(number)
        if (other := seen.setdefault(mark(text), text)) != text:
            break
    write(other, key(0), text)
    names = [one.name for one in settings_of(POOL).keys]
    assert names == [
        f"pool-a-{mark(other, 12)}",
        f"pool-a-{mark(key(0))}",
        f"pool-a-{mark(text, 12)}",
    ]
    assert all(pool_name_of(name, {"pool-a"}) == "pool-a" for name in names)


def test_a_key_that_is_there_twice_is_one_and_a_warning_that_shows_no_key(
    settings_of: Load, write: Callable[..., None], canary: str
) -> None:
    write(key(1), key(2), key(1), key(1))
    settings = settings_of(POOL)
    assert len(settings.keys) == 2
    assert len(settings.pools[0].lines()) == 2
    (warning,) = settings.warnings
    assert "line 3 is line 1; line 4 is line 1" in warning
    assert canary not in warning


def test_a_file_from_windows_is_read(settings_of: Load, write: Callable[..., None]) -> None:
    write("\ufeff" + key(1), key(2), end="\r\n")
    assert [one.secret.reveal() for one in settings_of(POOL).keys] == [key(1), key(2)]


def test_a_file_is_bounded(settings_of: Load, write: Callable[..., None]) -> None:
    write(*(["# x"] * POOL_LINES_MOST), key(1))
    with pytest.raises(
        SettingsError, match=f"has {POOL_LINES_MOST + 1} lines; at most {POOL_LINES_MOST}"
    ):
        settings_of(POOL)
    write("x" * POOL_CAP)
    with pytest.raises(SettingsError, match="larger than 4096 KiB"):
        settings_of(POOL)


def test_a_credential_of_the_service_manager_may_be_a_pool(
    settings_of: Load, write: Callable[..., None], environ: dict[str, str], tmp_path: Path
) -> None:
    write(key(1))
    environ["CREDENTIALS_DIRECTORY"] = str(tmp_path)
    assert len(settings_of(POOL.replace("file:", "credential:")).keys) == 1


def test_a_pool_has_a_cadence_channels_and_an_organization_of_its_own(
    settings_of: Load, write: Callable[..., None]
) -> None:
    write(key(1))
    settings = settings_of(
        POOL + 'organization = "org-acme"\nchannels = ["ops"]\nlog_every = 10\n'
        'cadence = { eager = "10s" }\n[[channels]]\nname = "ops"\nurl = "env:MAIL_URL"\n'
        '[cadence]\neager = "30s"\nlocked = "1h"\n'
        '[organizations.org-acme]\nadmin_key = "env:OPENAI_ADMIN_KEY"\n'
    )
    (pool,) = settings.pools
    ten, hour = timedelta(seconds=10), timedelta(hours=1)
    assert pool.cadence == Cadence(eager=ten, locked=hour)
    assert settings.cadence == Cadence(eager=timedelta(seconds=30), locked=hour)
    assert (pool.channels, pool.log_every) == (("ops",), 10)
    assert settings.targets()[0].scope == "org-acme"


def test_a_pattern_of_a_channel_may_pick_the_targets_of_a_pool(
    settings_of: Load, write: Callable[..., None]
) -> None:
    write(key(1))
    channel = '[[channels]]\nname = "ops"\nurl = "env:MAIL_URL"\ntargets = ["pool-a-*/*"]\n'
    assert settings_of(POOL + channel).channels[0].targets == ("pool-a-*/*",)


def test_a_model_that_ends_is_one_warning_for_a_pool(
    settings_of: Load, write: Callable[..., None]
) -> None:
    write(key(1), key(2))
    (warning,) = settings_of(POOL.replace("gpt-image-2", "gpt-image-1")).warnings
    assert "was shut down" in warning


def test_who_only_reads_knows_the_keys_where_the_file_can_be_read_and_does_without_elsewhere(
    settings_of: Load, write: Callable[..., None], tmp_path: Path
) -> None:
    channel = '[[channels]]\nname = "ops"\nurl = "env:NONE"\ntargets = ["pool-a-*/*"]\n'
    path = tmp_path / "access-monitor.toml"
    path.write_text(POOL + channel)
    settings = load(path, {"HOME": "/home/acme"}, secrets=False)
    assert settings.keys == ()
    assert settings.pools[0].secrets.keys is None
    write(key(1))
    settings = load(path, {"HOME": "/home/acme"}, secrets=False)
    assert [one.name for one in settings.keys] == [f"pool-a-{mark(key(1))}"]


def test_show_sums_a_pool_up(settings_of: Load, write: Callable[..., None], canary: str) -> None:
    write(*(key(number) for number in range(30)))
    settings = settings_of(POOL)
    shown = show(settings)
    assert (shown["keys"], shown["targets"]) == ([], [])
    (pool,) = shown["pools"]
    assert (pool["name"], pool["secrets"], pool["keys"]) == ("pool-a", "file:a.keys", 30)
    assert canary not in json.dumps(shown) + repr(settings)


def test_the_pool_of_the_example_loads(
    environ: dict[str, str], now: datetime, tmp_path: Path, write: Callable[..., None]
) -> None:
    begin = example().index("# [[pools]]")
    head, block = example()[:begin], example()[begin:]
    pool, _, rest = block.partition("\n\n")
    path = tmp_path / "access-monitor.toml"
    path.write_text(f"{head}{re.sub('^# ', '', pool, flags=re.MULTILINE)}\n\n{rest}")
    write(key(1))
    (tmp_path / "a.keys").rename(tmp_path / "pool-a.keys")
    settings = load(path, environ, now=now)
    assert settings.pools[0].log_every == 100
    assert settings.warnings == ()


def test_ten_thousand_keys_load_in_seconds(settings_of: Load, write: Callable[..., None]) -> None:
    write(*(key(number) for number in range(10_000)))
    began = time.process_time()
    settings = settings_of(POOL)
    assert len(settings.targets()) == 10_000
    assert time.process_time() - began < 3


@pytest.mark.parametrize(
    ("name", "pool"),
    [
        ("pool-a-1a2b3c4d", "pool-a"),
        ("pool-a-1a2b3c4d5e6f", "pool-a"),
        ("pool-1a2b3c4d", None),
        ("pool-a-1a2b3c4", None),
        ("pool-a-prod", None),
        ("pool-a", None),
    ],
)
def test_a_key_is_known_by_its_name_to_be_of_a_pool(name: str, pool: str | None) -> None:
    assert pool_name_of(name, {"pool-a"}) == pool
