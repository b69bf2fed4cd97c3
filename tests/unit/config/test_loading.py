import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import FrozenInstanceError
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from freezegun import freeze_time

from monitor.access.databases import Server
from monitor.access.limits import Budget, Cadence, Confirmation, Deadlines, Delivery
from monitor.access.target import Capability, Target
from monitor.access.words import DEFAULT_EVENTS, Contract, EventKind, Surface
from monitor.config import Settings, SettingsError, load, named_database, schema, show
from monitor.config.loading import FILE_CAP

KEY = '[[keys]]\nname = "acme-prod"\nsecret = "env:OPENAI_API_KEY"\nwatch = ["gpt-image-2"]\n'

Load = Callable[[str], Settings]


def test_what_is_left_out_has_the_defaults_of_the_design(
    settings_of: Load, environ: dict[str, str]
) -> None:
    settings = settings_of(KEY)
    assert settings.cadence == Cadence()
    assert settings.confirmation == Confirmation()
    assert settings.deadlines == Deadlines()
    assert settings.budget == Budget()
    assert settings.delivery == Delivery()
    assert (settings.monitor.log_format, settings.monitor.log_level) == ("auto", "info")
    assert settings.database == Path("/home/acme/.local/state/access-monitor/access-monitor.db")
    assert settings.routes["openai"].base_url == "https://api.openai.com/v1"
    assert settings.key("acme-prod").secret.reveal() == environ["OPENAI_API_KEY"]


def test_targets_are_every_key_with_its_capabilities_in_the_order_of_the_file(
    settings_of: Load,
) -> None:
    settings = settings_of(
        '[routes.relay]\nbase_url = "https://relay.example/v1/"\n'
        '[[keys]]\nname = "b"\nsecret = "env:RELAY_API_KEY"\nroute = "relay"\nproject = "proj_acme"\n'
        'watch = ["vendor/model:free:chat", "gpt-image-2"]\n'
        '[[keys]]\nname = "a"\nsecret = "env:OPENAI_API_KEY"\norganization = "org-acme"\n'
        'watch = ["gpt-5.1:summary"]\n'
    )
    relay = ("relay", Contract.PROVIDER, None, "proj_acme")
    assert settings.targets() == (
        Target("b", Capability("vendor/model:free", Surface.CHAT), *relay),
        Target("b", Capability("gpt-image-2", Surface.IMAGES), *relay),
        Target("a", Capability("gpt-5.1", Surface.SUMMARY), "openai", Contract.DIRECT, "org-acme"),
    )
    assert settings.routes["relay"].base_url == "https://relay.example/v1"


def test_the_settings_do_not_change_and_an_unknown_key_has_no_entry(settings_of: Load) -> None:
    settings = settings_of(KEY)
    with pytest.raises(FrozenInstanceError):
        settings.database = Path("other.db")  # type: ignore[misc]
    with pytest.raises(TypeError):
        settings.routes["x"] = settings.routes["openai"]  # type: ignore[index]
    with pytest.raises(KeyError):
        settings.key("nobody")


def test_figures_are_taken_from_the_file(settings_of: Load) -> None:
    settings = settings_of(
        KEY + '[cadence]\neager = "250ms"\n[deadlines]\noverdue = []\n[budget]\nper_month = 3\n'
        "[confirmation]\nconfirmations = 5\n[delivery]\ntimeout = '2s'\n"
    )
    assert settings.cadence == Cadence(eager=timedelta(milliseconds=250))
    assert settings.deadlines == Deadlines(overdue=())
    assert settings.budget == Budget(per_month=3.0)
    assert settings.confirmation == Confirmation(confirmations=5)
    assert settings.delivery == Delivery(timeout=timedelta(seconds=2))


def test_the_built_in_route_may_change_its_price_and_rate(settings_of: Load) -> None:
    route = settings_of("[routes.openai]\nprice = 0.5\nrate = 1\n" + KEY).routes["openai"]
    assert (route.price, route.rate, route.contract) == (0.5, 1.0, Contract.DIRECT)
    assert route.base_url == "https://api.openai.com/v1"


def test_the_built_in_route_may_go_elsewhere_as_a_providers(settings_of: Load) -> None:
    text = '[routes.openai]\nbase_url = "http://[::1]:8080/v1"\ncontract = "provider"\n'
    (target,) = settings_of(text + KEY).targets()
    assert target.contract is Contract.PROVIDER


def test_a_channel_names_a_target_whose_model_holds_the_signs_of_a_pattern(
    settings_of: Load,
) -> None:
    text = (
        '[[keys]]\nname = "acme-prod"\nsecret = "env:OPENAI_API_KEY"\nwatch = ["[vip]m:chat"]\n'
        '[[channels]]\nname = "ops"\nurl = "env:MAIL_URL"\ntargets = ["acme-prod/[vip]m:chat"]\n'
    )
    assert settings_of(text).channels[0].targets == ("acme-prod/[vip]m:chat",)


def test_a_channel_gets_the_usual_events_of_all_targets_unless_it_says_otherwise(
    settings_of: Load,
) -> None:
    channels = settings_of(
        KEY + '[[channels]]\nname = "all"\nurl = "env:MAIL_URL"\n'
        '[[channels]]\nname = "some"\nurl = "env:PLAIN_MAIL_HERE"\n'
        'events = ["started", "locked"]\ntargets = ["acme-*/*:images"]\n'
    ).channels
    assert (channels[0].events, channels[0].targets) == (DEFAULT_EVENTS, ("*",))
    assert channels[1].events == {EventKind.STARTED, EventKind.LOCKED}
    assert channels[1].targets == ("acme-*/*:images",)


@pytest.mark.parametrize(
    ("written", "database"),
    [("sqlite:////var/lib/x.db", Path("/var/lib/x.db")), ("sqlite:///x.db", None)],
)
def test_a_relative_database_is_in_the_folder_of_the_settings(
    settings_of: Load, tmp_path: Path, written: str, database: Path | None
) -> None:
    settings = settings_of(f'[monitor]\ndatabase = "{written}"\n' + KEY)
    assert settings.database == (database or tmp_path / "x.db")


def test_own_models_are_known_and_known_ones_may_be_changed(settings_of: Load) -> None:
    settings = settings_of(
        KEY.replace('"gpt-image-2"', '"painter", "gpt-image-2"')
        + '[catalog.models.painter]\nsurfaces = ["edits", "images"]\n'
        '[catalog.models."gpt-image-2"]\nprice = { image_out = 12.5 }\n'
    )
    assert [target.name for target in settings.targets()] == [
        "acme-prod/painter:edits",
        "acme-prod/gpt-image-2:images",
    ]
    model = settings.catalog.get("gpt-image-2")
    assert model is not None
    assert model.price is not None
    assert model.price.image_out == 12.5


def test_a_model_is_found_in_its_list_on_any_key(settings_of: Load) -> None:
    (target,) = settings_of(KEY.replace("gpt-image-2", "gpt-5.1:models")).targets()
    assert target.capability == Capability("gpt-5.1", Surface.MODELS)


@pytest.mark.parametrize(
    ("watch", "warning"),
    [
        ("gpt-image-1", "gpt-image-1 was shut down on 2026-10-23: it will not open any more"),
        ("gpt-imag-2:images", 'the catalog does not know "gpt-imag-2" (it knows "gpt-image-2")'),
    ],
)
def test_what_can_be_watched_but_may_be_a_mistake_is_a_warning(
    settings_of: Load, watch: str, warning: str
) -> None:
    (found,) = settings_of(KEY.replace("gpt-image-2", watch)).warnings
    assert warning in found


def test_who_only_reads_the_database_needs_no_secret(tmp_path: Path) -> None:
    path = tmp_path / "access-monitor.toml"
    path.write_text(KEY + '[[channels]]\nname = "ops"\nurl = "credential:nowhere"\n')
    settings = load(path, {}, secrets=False)
    assert [target.name for target in settings.targets()] == ["acme-prod/gpt-image-2:images"]
    (channel,) = settings.channels
    assert (channel.url.reveal(), channel.url.reference) == ("", "credential:nowhere")


def test_who_alerts_nobody_needs_no_secret_of_channels(
    tmp_path: Path, environ: dict[str, str]
) -> None:
    path = tmp_path / "access-monitor.toml"
    (tmp_path / "pool.keys").write_text("sk-test-FAKE-pool-0001\n")
    path.write_text(
        KEY + '[[channels]]\nname = "ops"\nurl = "env:NONE"\n[heartbeat]\nurl = "env:NONE"\n'
        '[[pools]]\nname = "pool-a"\nsecrets = "file:pool.keys"\n'
        'watch = ["gpt-image-2"]\nchannels = ["ops"]\n'
    )
    with pytest.raises(SettingsError, match="2 problems"):
        load(path, environ)
    settings = load(path, environ, alerting=False)
    assert (len(settings.keys), settings.channels, settings.heartbeat.url) == (2, (), None)
    assert settings.keys[0].secret.reveal()


def test_a_secret_written_in_clear_is_not_kept_by_who_only_reads(tmp_path: Path) -> None:
    path = tmp_path / "access-monitor.toml"
    path.write_text(KEY.replace("env:OPENAI_API_KEY", "sk-test-FAKE-acme-prod-0001"))
    settings = load(path, {}, secrets=False)
    assert settings.keys[0].secret.reference == "unresolved"


def test_direct_at_another_host_is_a_warning_and_without_a_word_it_is_a_provider(
    settings_of: Load,
) -> None:
    relay = '[routes.relay]\nbase_url = "https://api.openai.com.relay.example/v1"\n'
    assert settings_of(relay + KEY).routes["relay"].contract == "provider"
    settings = settings_of(relay + 'contract = "direct"\n' + KEY)
    assert settings.routes["relay"].contract == "direct"
    (warning,) = settings.warnings
    assert "https://api.openai.com.relay.example/v1, which is not OpenAI's own host" in warning


def test_the_built_in_route_at_another_host_is_a_provider(settings_of: Load) -> None:
    elsewhere = '[routes.openai]\nbase_url = "https://relay.example/v1"\n'
    assert settings_of(elsewhere + KEY).routes["openai"].contract == "provider"


@pytest.fixture
def vienna(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", "CET-1CEST,M3.5.0,M10.5.0/3")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.usefixtures("vienna")
@pytest.mark.parametrize(
    ("written", "utc"),
    [
        ("2026-11-20T14:05:00Z", datetime(2026, 11, 20, 14, 5, tzinfo=UTC)),
        ("2026-11-20T14:05:00+05:00", datetime(2026, 11, 20, 9, 5, tzinfo=UTC)),
        ("2026-11-20T14:05:00", datetime(2026, 11, 20, 13, 5, tzinfo=UTC)),
        # The clocks went back at 03:00: this hour was there twice, and the later one is meant.
        ("2026-10-25T02:30:00", datetime(2026, 10, 25, 1, 30, tzinfo=UTC)),
    ],
)
def test_a_time_is_kept_in_utc_and_without_zone_it_is_local(
    settings_of: Load, written: str, utc: datetime
) -> None:
    assert settings_of(f"{KEY}verified_at = {written}\n").keys[0].verified_at == utc


@pytest.mark.usefixtures("vienna")
def test_a_local_time_is_echoed_with_its_offset(settings_of: Load) -> None:
    (warning,) = settings_of(f"{KEY}verified_at = 2026-11-20T14:05:00\n").warnings
    assert warning.endswith("read as local time: 2026-11-20T14:05:00+01:00")


def test_without_a_given_now_the_clock_is_asked(tmp_path: Path, environ: dict[str, str]) -> None:
    path = tmp_path / "access-monitor.toml"
    path.write_text(f"{KEY}verified_at = 2026-11-20T14:05:00Z\n")
    with freeze_time("2026-11-20T14:04:59Z"), pytest.raises(SettingsError, match="in the future"):
        load(path, environ)
    with freeze_time("2026-11-20T14:05:00Z"):
        assert load(path, environ).keys[0].verified_at is not None


@pytest.mark.parametrize(
    ("data", "report"),
    [
        (None, "cannot be read: No such file or directory"),
        (b"# \xff", "line 1: is not UTF-8 text"),
        (b"#" * (FILE_CAP + 1), "larger than 4096 KiB"),
        (b"a = " + b"[" * 5000, "nested too deeply"),
    ],
)
def test_a_file_that_cannot_be_read_is_one_problem(
    tmp_path: Path, environ: dict[str, str], data: bytes | None, report: str
) -> None:
    path = tmp_path / "access-monitor.toml"
    if data is not None:
        path.write_bytes(data)
    with pytest.raises(SettingsError) as caught:
        load(path, environ)
    assert str(caught.value).startswith(f"{path}: 1 problem\n")
    assert report in str(caught.value)
    assert caught.value.__context__ is None or caught.value.__suppress_context__


def test_a_file_written_on_windows_is_read(
    tmp_path: Path, environ: dict[str, str], now: datetime
) -> None:
    path = tmp_path / "access-monitor.toml"
    path.write_bytes(b"\xef\xbb\xbf" + KEY.replace("\n", "\r\n").encode())
    assert load(path, environ, now=now).keys[0].name == "acme-prod"


def test_lines_are_counted_in_a_file_written_on_windows(
    tmp_path: Path, environ: dict[str, str]
) -> None:
    path = tmp_path / "access-monitor.toml"
    path.write_bytes(KEY.replace("gpt-image-2", "zzz").replace("\n", "\r\n").encode())
    with pytest.raises(SettingsError) as caught:
        load(path, environ)
    (problem,) = caught.value.problems
    assert (problem.place, problem.line) == ("keys[0].watch[0]", 4)


def test_an_open_secret_file_is_a_warning_of_the_settings(
    settings_of: Load, tmp_path: Path
) -> None:
    (tmp_path / "k").write_text("sk-test-FAKE")
    (tmp_path / "k").chmod(0o604)
    (warning,) = settings_of(KEY.replace("env:OPENAI_API_KEY", "file:k")).warnings
    assert "every user can read it (mode 0604)" in warning


def test_a_thousand_keys_load(settings_of: Load) -> None:
    text = "".join(KEY.replace("acme-prod", f"acme-{number}") for number in range(1000))
    assert len(settings_of(text).targets()) == 1000


ODD = [
    "-1",
    "1.5",
    "nan",
    "true",
    '"x"',
    '""',
    "[]",
    "[1]",
    "[[]]",
    "{}",
    "{a = 1}",
    "07:32:00",
    "2026-01-01",
]
PLACES = [
    "{section} = {odd}",
    "{section} = [{odd}]",
    "{section}.x = {odd}",
    *(
        f"{{section}}.{name} = {{odd}}"
        for name in ("database", "eager", "overdue", "per_month", "models.x")
    ),
    *(
        f"{{section}}.x.{name} = {{odd}}"
        for name in ("base_url", "contract", "price", "rate", "surfaces")
    ),
    *(
        f"[[{{section}}]]\n{name} = {{odd}}"
        for name in ("name", "secret", "url", "watch", "verified_at")
    ),
    *(
        f"[[{{section}}]]\n{name} = {{odd}}"
        for name in ("events", "targets", "organization", "route")
    ),
]


@pytest.mark.parametrize("section", list(schema()["properties"]))
def test_whatever_is_written_anywhere_is_settings_or_a_report(
    settings_of: Load, section: str
) -> None:
    for pattern in PLACES:
        for odd in ODD:
            text = pattern.format(section=section, odd=odd) + "\n"
            with suppress(SettingsError):
                settings_of(text + (KEY if section != "keys" else ""))


def test_a_route_may_say_how_long_a_probe_may_take(settings_of: Load) -> None:
    plain = settings_of(KEY).routes["openai"]
    assert plain.deadline is None  # the surface's own
    route = settings_of('[routes.openai]\ntimeout = "20s"\n' + KEY).routes["openai"]
    assert route.deadline == 20.0


ADDRESS = "postgresql://monitor:FAKE-password-0001@db.example/monitor?sslmode=require"


def with_database(named: str) -> str:
    return f'[monitor]\ndatabase = "{named}"\n{KEY}'


def test_a_server_is_named_by_reference_and_shown_without_its_password(
    settings_of: Load, environ: dict[str, str]
) -> None:
    environ["DATABASE_URL"] = ADDRESS
    settings = settings_of(with_database("env:DATABASE_URL"))
    assert settings.database == Server(ADDRESS)
    assert f"{settings.database}" == "postgresql://db.example/monitor"
    assert "FAKE-password" not in f"{settings!r} {show(settings)}"
    assert show(settings)["database"] == "postgresql://db.example/monitor"


def test_a_server_without_a_password_may_stand_in_the_file(settings_of: Load) -> None:
    settings = settings_of(with_database("postgres://db.example:6432/monitor"))
    assert settings.database == Server("postgres://db.example:6432/monitor")


def test_the_database_is_looked_for_also_where_no_secret_is(
    environ: dict[str, str], tmp_path: Path
) -> None:
    path = tmp_path / "access-monitor.toml"
    path.write_text(with_database("env:DATABASE_URL").replace("OPENAI_API_KEY", "NOT_THERE"))
    with pytest.raises(SettingsError, match=r'line 2: .* "DATABASE_URL" is not set'):
        load(path, environ, secrets=False)
    with pytest.raises(SettingsError, match=r'monitor.database: .* "DATABASE_URL" is not set'):
        named_database(path, environ)
    environ["DATABASE_URL"] = ADDRESS
    assert load(path, environ, secrets=False).database == Server(ADDRESS)
    assert named_database(path, environ) == Server(ADDRESS)


def test_a_path_alone_is_answered_with_how_a_database_is_written(
    environ: dict[str, str], tmp_path: Path
) -> None:
    path = tmp_path / "access-monitor.toml"
    path.write_text(with_database("/var/lib/monitor.db"))
    for read in (load, named_database):
        with pytest.raises(SettingsError, match=r"monitor.database: .*must be an SQLite file, as"):
            read(path, environ)


@pytest.mark.parametrize(
    "address", ["mysql://db.example/monitor", "postgresql://[db.example/monitor"]
)
def test_what_is_no_address_is_not_shown(
    settings_of: Load, environ: dict[str, str], address: str
) -> None:
    environ["DATABASE_URL"] = address
    with pytest.raises(
        SettingsError, match=r"must be a PostgreSQL: what .* names is no"
    ) as refused:
        settings_of(with_database("env:DATABASE_URL"))
    assert "db.example" not in str(refused.value)
