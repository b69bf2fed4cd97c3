"""Where the settings file and the database are, when nobody says so."""

import re
import tomllib
from collections.abc import Mapping
from pathlib import Path

from monitor.config.files import UnreadableError, read_file
from monitor.config.problems import Problem, SettingsError

#: Read in this order when neither the command line nor the environment names a file.
USUAL_FILES = (Path("access-monitor.toml"), Path("/etc/access-monitor/access-monitor.toml"))

#: Bytes of a settings file: ten thousand keys fit, a device file or a log does not.
FILE_CAP = 4 * 1024 * 1024

#: Characters of a file of which only the section that is asked for is parsed: ten thousand keys take
#: half a second.
_LONG = 100_000
_OWN_SECTION = re.compile(r"^\[monitor\][^\n]*\n(?:(?!\[)[^\n]*\n)*", re.MULTILINE)


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


def named_database(path: Path | None, environ: Mapping[str, str]) -> Path:
    """The database by the settings file (None: by the environment), whatever else the file says.

    For who judges a running monitor: a file that it refused to reload is not its illness.

    Raises:
        SettingsError: when the file cannot be read at all.

    """
    problem = None
    try:
        data = read_file(path, FILE_CAP)[0] if path else b""
        text = data.decode("utf-8-sig")
        own = _OWN_SECTION.search(text) if len(text) > _LONG else None
        section = tomllib.loads(own[0] if own else text).get("monitor")
    except UnreadableError as error:
        problem = f"cannot be read: {error}"
    except (ValueError, RecursionError):
        problem = "is not TOML: access-monitor config check says where"
    if problem:
        # Outside of the handler: the parser's error may hold the whole text.
        raise SettingsError([Problem("", None, problem)], str(path))
    url = section.get("database") if isinstance(section, dict) else None
    if path and isinstance(url, str) and url.startswith("sqlite:///"):
        return path.parent.absolute() / url.removeprefix("sqlite:///")
    return default_database(environ)
