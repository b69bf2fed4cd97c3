"""What `config check` says beside the errors of a file."""

import os
from pathlib import Path

import pytest
import typer

from monitor.cli.commands import check_settings
from monitor.cli.common import Exit
from monitor.store.database import make_file
from monitor.store.errors import StoreError
from monitor.store.status_queries import daemon

SETTINGS = """
[monitor]
database = "sqlite:///state/access-monitor.db"
[[keys]]
name = "acme"
secret = "env:OPENAI_API_KEY"
watch = ["gpt-image-2"]
"""


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-FAKE-config-check-0001")
    path = tmp_path / "access-monitor.toml"
    path.write_text(SETTINGS)
    return path


def warned(settings: Path, capsys: pytest.CaptureFixture[str]) -> str:
    check_settings(settings)
    said = capsys.readouterr()
    assert "all good" in said.out
    return said.err


def test_a_folder_that_is_not_there_yet_is_made_by_the_first_start(settings, capsys):
    assert "cannot write" not in warned(settings, capsys)
    assert not (settings.parent / "state").exists()


def test_where_a_database_cannot_be_it_is_warned_of(settings, capsys):
    place = settings.parent / "state"
    place.write_text("a file")
    assert f"monitor.database: this user cannot write to {place}" in warned(settings, capsys)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
@pytest.mark.parametrize("name", ["state", "state/access-monitor.db"])
def test_what_this_user_may_not_write_is_warned_of(settings, capsys, name):
    (settings.parent / "state").mkdir()
    (settings.parent / "state" / "access-monitor.db").touch()
    place = settings.parent / name
    place.chmod(0o500)
    assert f"monitor.database: this user cannot write to {place}" in warned(settings, capsys)
    place.chmod(0o700)


def test_a_folder_is_no_database_and_its_mode_is_left_alone(settings, capsys):
    place = settings.parent / "state" / "access-monitor.db"
    place.mkdir(parents=True)
    place.chmod(0o1777)
    with pytest.raises(typer.Exit) as ended:
        check_settings(settings)
    said = capsys.readouterr()
    assert ended.value.exit_code == Exit.USAGE
    assert f"monitor.database: {place}: this is a folder; name a file" in said.err
    assert f"chmod o= {place}" not in said.err
    with pytest.raises(StoreError, match="this is a folder; name a file"):
        daemon(place)
    with pytest.raises(StoreError, match="this is a folder; name a file"):
        make_file(place)


TOKEN = '[[web.tokens]]\nname = "team"\nsecret = "env:PAGE_TOKEN"\n'


def test_a_token_that_only_the_page_can_read_is_warned_of(settings, capsys, monkeypatch):
    settings.write_text(SETTINGS + TOKEN)
    monkeypatch.delenv("PAGE_TOKEN", raising=False)
    said = warned(settings, capsys)
    assert "warning: web.tokens[0].secret: " in said
    assert "PAGE_TOKEN" in said


def test_a_token_that_could_be_guessed_is_an_error(settings, capsys, monkeypatch):
    settings.write_text(SETTINGS + TOKEN)
    monkeypatch.setenv("PAGE_TOKEN", "FAKE-short")
    with pytest.raises(typer.Exit):
        check_settings(settings)
    assert "the token has fewer than 16 characters" in capsys.readouterr().err
