"""From a settings file, or the environment alone, to `Settings`; with every error at once."""

import re
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import fields, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from pydantic_core import PydanticCustomError

from monitor.access.databases import Database, Server
from monitor.catalog import builtin
from monitor.config import outlook
from monitor.config.checks import Context
from monitor.config.lines import find_lines, line_of
from monitor.config.problems import Path as Place
from monitor.config.problems import Problem, SettingsError, place
from monitor.config.references import (
    NO_DATABASE,
    UnreadableError,
    names_server,
    read_file,
    server_at,
)
from monitor.config.schema import form
from monitor.config.settings import OPENAI, OPENAI_URL, File, Settings
from monitor.config.urls import is_openai
from monitor.config.web_section import Address, Web, address
from monitor.config.wording import follows, path_of, words_of

#: Read in this order when neither the command line nor the environment names a file.
USUAL_FILES = (Path("access-monitor.toml"), Path("/etc/access-monitor/access-monitor.toml"))

#: Bytes of a settings file: ten thousand keys fit, a device file or a log does not.
FILE_CAP = 4 * 1024 * 1024

#: Characters of a file of which only the section that is asked for is parsed: ten thousand keys take
#: half a second.
_LONG = 100_000
_OWN_SECTION = r"^\[{name}\][^\n]*\n(?:(?!\[)[^\n]*\n)*"


def load(
    path: Path,
    environ: Mapping[str, str],
    *,
    now: datetime | None = None,
    secrets: bool = True,
    pool_files: bool = True,
    alerting: bool = True,
) -> Settings:
    """Read, check and resolve a settings file; `now` (UTC) judges the times in it.

    Without `secrets` the references are not followed: who only reads the database must not need them.
    A pool's file is read all the same where it can be, for the names of its keys; without `pool_files` it
    is not. Without `alerting` there are no channels and no heartbeat: who alerts nobody must not need theirs.

    Raises:
        SettingsError: with everything that is wrong; no value of a secret is in it.

    """
    source = str(path)
    text = _read(path)
    try:
        raw = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        problem = _syntax(error)
    else:
        return _settings(
            raw, environ, path=path, text=text, now=now,
            secrets=secrets, pool_files=pool_files, alerting=alerting,
        )  # fmt: skip
    # Outside of the handler: the parser's error may hold the whole text.
    raise SettingsError([problem], source)


def default_from_environment(
    environ: Mapping[str, str], *, now: datetime | None = None
) -> Settings:
    """What is watched without a settings file: `gpt-image-2` for the key in `OPENAI_API_KEY`.

    `OPENAI_ORG_ID`, `OPENAI_PROJECT_ID` and `OPENAI_BASE_URL` are honoured; a base URL of another host
    is the provider route `base-url`. There are no channels: the caller prints to the console.

    Raises:
        SettingsError: when there is no key, or a variable is not usable.

    """
    if not environ.get("OPENAI_API_KEY", "").strip():
        text = "no settings file was found, and OPENAI_API_KEY is not set: set it, or write a file"
        text += ' (access-monitor config example > access-monitor.toml) and name it with "--config"'
        raise SettingsError([Problem("", None, text)])
    key: dict[str, Any] = {
        "name": "default",
        "secret": "env:OPENAI_API_KEY",
        "watch": ["gpt-image-2"],
    }
    raw: dict[str, Any] = {"keys": [key], "routes": {}}
    for setting, variable in (("organization", "OPENAI_ORG_ID"), ("project", "OPENAI_PROJECT_ID")):
        if value := environ.get(variable, "").strip():
            key[setting] = value
    if url := environ.get("OPENAI_BASE_URL", "").strip():
        key["route"] = OPENAI if is_openai(url) else "base-url"
        raw["routes"][key["route"]] = {"base_url": url}
    return _settings(raw, environ, now=now)


def find(explicit: Path | None, environ: Mapping[str, str]) -> Path | None:
    """The settings file: `explicit`, `$ACCESS_MONITOR_CONFIG`, or the first usual one that exists.

    Raises:
        SettingsError: when the file that was named does not exist. None is for nobody naming one.

    """
    variable = environ.get("ACCESS_MONITOR_CONFIG")
    named = explicit or (Path(variable) if variable else None)
    if named is None:
        return next((path for path in USUAL_FILES if _may_be(path.is_file)), None)
    if not _may_be(named.exists):
        who = "--config" if explicit else "$ACCESS_MONITOR_CONFIG"
        raise SettingsError([Problem("", None, f"does not exist; {who} names it")], str(named))
    return named


def _may_be(there: Callable[[], bool]) -> bool:
    """Whether a file is there, or in a folder that this user may not enter: reading it says so."""
    try:
        return there()
    except OSError:
        return True


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


def named_database(path: Path | None, environ: Mapping[str, str]) -> Database:
    """The database by the settings file (None: by the environment), whatever else the file says.

    For who judges a running monitor: a file that it refused to reload is not its illness.

    Raises:
        SettingsError: when the file cannot be read at all, or names a database that is not there to be read.

    """
    named = _setting(path, "monitor", "database")
    if path is None or not isinstance(named, str):
        return default_database(environ)
    if named.startswith("sqlite:///"):
        return path.parent.absolute() / named.removeprefix("sqlite:///")
    if not names_server(named):
        raise SettingsError([Problem("monitor.database", None, NO_DATABASE)], str(path))
    try:
        return server_at(named, environ, path.parent.absolute())[0]
    except ValueError as error:
        problem = Problem("monitor.database", None, str(error))
    # Outside of the handler: the parser's error may hold the address.
    raise SettingsError([problem], str(path))


def named_listen(path: Path | None) -> Address:
    """Where the page listens by the settings file, whatever else the file says; in the same way.

    Raises:
        SettingsError: when the file cannot be read at all.

    """
    try:
        return address(_setting(path, "web", "listen"))
    except PydanticCustomError:
        return Web().listen


def _setting(path: Path | None, section: str, name: str) -> Any:
    """A setting as the file has it, None without it or without a file. Raises SettingsError."""
    problem = None
    try:
        data = read_file(path, FILE_CAP)[0] if path else b""
        text = data.decode("utf-8-sig")
        pattern = _OWN_SECTION.format(name=section)
        own = re.search(pattern, text, re.MULTILINE) if len(text) > _LONG else None
        found = tomllib.loads(own[0] if own else text).get(section)
    except UnreadableError as error:
        problem = f"cannot be read: {error}"
    except (ValueError, RecursionError):
        problem = "is not TOML: access-monitor config check says where"
    if problem:
        # Outside of the handler: the parser's error may hold the whole text.
        raise SettingsError([Problem("", None, problem)], str(path))
    return found.get(name) if isinstance(found, dict) else None


def _variable(path: Place) -> str:
    names = {
        "secret": "OPENAI_API_KEY",
        "organization": "OPENAI_ORG_ID",
        "project": "OPENAI_PROJECT_ID",
        "base_url": "OPENAI_BASE_URL",
    }
    return names.get(str(path[-1]), place(path))


def _read(path: Path) -> str:
    source = str(path)
    try:
        data, _ = read_file(path, FILE_CAP)
    except UnreadableError as error:
        raise SettingsError([Problem("", None, f"cannot be read: {error}")], source) from None
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        problem = Problem("", data.count(b"\n", 0, error.start) + 1, "is not UTF-8 text")
    else:
        return text.replace("\r\n", "\n")
    # Outside of the handler: the decoder's error holds the whole file.
    raise SettingsError([problem], source)


def _syntax(error: Exception) -> Problem:
    """The parser's words, with its line apart. They hold names of keys at most, never a value."""
    if isinstance(error, RecursionError):
        return Problem("", None, "is nested too deeply")
    words, _, where = str(error).partition(" (at ")
    number = where.removeprefix("line ").partition(",")[0]
    end = (
        " at the end of the file: is a quote or a bracket left open?"
        if "end of document" in where
        else ""
    )
    return Problem("", int(number) if number.isdecimal() else None, f"not valid TOML: {words}{end}")


def _settings(
    raw: dict[str, Any],
    environ: Mapping[str, str],
    *,
    path: Path | None = None,
    text: str = "",
    now: datetime | None = None,
    secrets: bool = True,
    pool_files: bool = True,
    alerting: bool = True,
) -> Settings:
    """What was read from a file at `path` with this `text`, or from the environment."""
    routes = raw.get("routes", {})
    if isinstance(routes, dict):
        own = routes.get(OPENAI, {})
        if isinstance(own, dict):
            routes = {**routes, OPENAI: {"base_url": OPENAI_URL, **own}}
        raw = {**raw, "routes": routes}
    context = Context(
        environ=environ,
        folder=(path.parent if path else Path()).absolute(),
        now=now or datetime.now(UTC),
        catalog=builtin(),
        routes=frozenset(routes) if isinstance(routes, dict) else frozenset({OPENAI}),
        models=_names(raw.get("catalog"), "models"),
        channels=_named(raw.get("channels")),
        pools=bool(raw.get("pools")),
        secrets=secrets,
        pool_files=pool_files,
    )
    if not alerting:  # pools may name the channels all the same
        raw = {name: raw[name] for name in raw if name not in ("channels", "heartbeat")}
    try:
        file = form().validate_python(raw, context=context)
    except ValidationError as error:
        found = [
            (path_of(details), words_of(details))
            for details in error.errors(include_url=False)
            if not follows(details)
        ]
    else:
        settings = _resolved(file, context, path)
        if settings.fleet and not isinstance(settings.database, Server):
            words = (
                'its daemons share a PostgreSQL: give [monitor] database = "env:DATABASE_URL",'
                " or leave [fleet] out"
            )
            found = [(("fleet",), words)]
        elif not secrets:  # who only reads the database spends nothing
            return settings
        else:
            found = [(("budget", name), words) for name, words in outlook.refusals(settings)]
        if not found:
            warned = dict.fromkeys(
                (
                    *settings.warnings,
                    *outlook.budget_warnings(settings),
                    *outlook.figure_warnings(settings),
                )
            )
            return replace(settings, warnings=tuple(warned))
    # Outside of the handler: pydantic's error holds the input, and with it a secret written in clear.
    lines, named = find_lines(text), place if path else _variable
    problems = [Problem(named(where), line_of(lines, where), words) for where, words in found]
    source = str(path) if path else "environment"
    raise SettingsError(sorted(problems, key=lambda one: one.line or 0), source)


def _resolved(file: File, context: Context, path: Path | None) -> Settings:
    sections = {one.name: getattr(file, one.name) for one in fields(file)}
    for text in outlook.model_warnings(
        (*file.keys, *file.pools),
        file.routes,
        file.catalog,
        now=context.now,
        retiring=file.deadlines.retiring,
    ):
        context.warn(text)
    sections["keys"] = (*file.keys, *(key for pool in file.pools for key in pool.lines()))
    return Settings(
        **sections,
        source=path,
        database=file.monitor.database or default_database(context.environ),
        warnings=tuple(context.warnings),
    )


def _names(table: Any, name: str) -> frozenset[str]:
    inner = table.get(name) if isinstance(table, dict) else None
    return frozenset(inner) if isinstance(inner, dict) else frozenset()


def _named(sections: Any) -> frozenset[str]:
    tables = sections if isinstance(sections, list) else []
    names = [table.get("name") for table in tables if isinstance(table, dict)]
    return frozenset(name for name in names if isinstance(name, str))
