from pathlib import Path

import pytest

from monitor.config import SettingsError, default_database, find


def test_the_file_named_on_the_command_line_comes_first(tmp_path: Path) -> None:
    named, other = tmp_path / "a.toml", tmp_path / "b.toml"
    named.touch()
    other.touch()
    assert find(named, {"ACCESS_MONITOR_CONFIG": str(other)}) == named
    assert find(None, {"ACCESS_MONITOR_CONFIG": str(other)}) == other


def test_without_a_name_the_file_in_the_working_folder_is_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "access-monitor.toml").touch()
    assert find(None, {"ACCESS_MONITOR_CONFIG": ""}) == Path("access-monitor.toml")


def test_with_no_file_anywhere_there_is_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("monitor.config.loading.USUAL_FILES", (Path("access-monitor.toml"),))
    assert find(None, {}) is None


def test_a_file_that_was_named_must_exist(tmp_path: Path) -> None:
    missing = tmp_path / "no.toml"
    with pytest.raises(SettingsError, match="does not exist; --config names it"):
        find(missing, {})
    with pytest.raises(SettingsError, match=r"does not exist; \$ACCESS_MONITOR_CONFIG names it"):
        find(None, {"ACCESS_MONITOR_CONFIG": str(missing)})


@pytest.mark.parametrize(
    ("environ", "folder"),
    [
        (
            {"STATE_DIRECTORY": "/var/lib/access-monitor", "XDG_STATE_HOME": "/x"},
            "/var/lib/access-monitor",
        ),
        ({"STATE_DIRECTORY": "/var/lib/one:/var/lib/two"}, "/var/lib/one"),
        ({"XDG_STATE_HOME": "/x", "HOME": "/home/acme"}, "/x/access-monitor"),
        ({"XDG_STATE_HOME": "relative", "HOME": "/h"}, "/h/.local/state/access-monitor"),
        ({"HOME": "/home/acme"}, "/home/acme/.local/state/access-monitor"),
    ],
)
def test_the_database_is_in_the_state_folder(environ: dict[str, str], folder: str) -> None:
    assert default_database(environ) == Path(folder) / "access-monitor.db"
