"""Where the settings file and the database are, when nobody says so."""

from collections.abc import Mapping
from pathlib import Path

from monitor.config.problems import Problem, SettingsError

#: Looked at in this order when neither the command line nor the environment names a file.
USUAL_FILES = (Path("access-monitor.toml"), Path("/etc/access-monitor/access-monitor.toml"))


def find(explicit: Path | None, environ: Mapping[str, str]) -> Path | None:
    """The settings file: `explicit`, `$ACCESS_MONITOR_CONFIG`, or the first usual one that exists.

    Raises:
        SettingsError: when the file that was named does not exist. None is for nobody naming one.

    """
    variable = environ.get("ACCESS_MONITOR_CONFIG")
    named = explicit or (Path(variable) if variable else None)
    if named is None:
        return next((path for path in USUAL_FILES if path.is_file()), None)
    if not named.exists():
        who = "--config" if explicit else "$ACCESS_MONITOR_CONFIG"
        raise SettingsError([Problem("", None, f"does not exist; {who} names it")], str(named))
    return named


def default_database(environ: Mapping[str, str]) -> Path:
    """`access-monitor.db` in `$STATE_DIRECTORY`, else in the XDG state folder."""
    # The service manager lists several folders with colons; the first is the unit's own.
    if service := environ.get("STATE_DIRECTORY", "").partition(":")[0]:
        return Path(service) / "access-monitor.db"
    # The XDG specification: a relative path is to be ignored.
    state = Path(environ.get("XDG_STATE_HOME", ""))
    if not state.is_absolute():
        home = environ.get("HOME")
        state = (Path(home) if home else Path.home()) / ".local" / "state"
    return state / "access-monitor" / "access-monitor.db"
