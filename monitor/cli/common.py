"""What the commands share: settings, exit statuses, plain errors, tables, times."""

import json
import math
import os
import pwd
import resource
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from enum import IntEnum
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, NoReturn

import typer

from monitor.access.databases import Database
from monitor.access.readable import printable
from monitor.cli.streams import is_unicode, redact_output, redactor

if TYPE_CHECKING:  # the commands start fast: what they need is imported when they need it
    from monitor.access.observation import Diagnosis
    from monitor.access.target import Target
    from monitor.config import Settings
    from monitor.config.web_section import Address
    from monitor.store.records import DaemonRow


#: Seconds in which a daemon that is well replies.
_REPLIES_WITHIN = 5.0


class Exit(IntEnum):
    """The exit statuses that mean the same for every command."""

    DONE = 0
    FAILED = 1
    USAGE = 2
    GATED = 10
    GATED_DECLARED = 11
    LOCKED = 12
    BLOCKED = 13
    INCONCLUSIVE = 14
    TIMED_OUT = 124


ConfigOption = Annotated[
    Path | None,
    typer.Option(
        "--config",
        metavar="FILE",
        help="The settings. Default: $ACCESS_MONITOR_CONFIG, ./access-monitor.toml,"
        " /etc/access-monitor/access-monitor.toml, else OPENAI_API_KEY alone.",
    ),
]
_FORMAT = typer.Option("--format", help="How to print.")
FormatOption = Annotated[Literal["text", "json"], _FORMAT]
CheckFormat = Annotated[Literal["text", "json", "junit"], _FORMAT]
WaitFormat = Annotated[Literal["text", "junit"], _FORMAT]
BundleFormat = Annotated[Literal["markdown", "json"], _FORMAT]


def fail(message: str, status: Exit = Exit.USAGE) -> NoReturn:
    """Say what is wrong on standard error and end with that status."""
    print(f"access-monitor: {message}", file=sys.stderr)
    raise typer.Exit(status)


def fail_unknown(what: str, name: str, known: Iterable[str]) -> NoReturn:
    """Say that no such thing has this name, and which name is the nearest."""
    from monitor.config.problems import shown, suggestion

    fail(f"no {what} is named {shown(name)}; {printable(suggestion(name, known))}")


def note(message: str) -> None:
    """Say something beside the result, on standard error."""
    print(message, file=sys.stderr)


def load_settings(
    config: Path | None, *, reading: bool = False, alerting: bool = True
) -> "Settings":
    """The settings of the file that is found, else of the environment. Raises SettingsError.

    A command that is only `reading` the database needs no secrets, and warns of nothing; without `alerting`
    it has no channels. From here on whatever is printed goes through the redactor.
    """
    redact_output()
    settings = read_settings(config, secrets=not reading, alerting=alerting)
    if not reading:
        from monitor.daemon.channels import learn

        learn(redactor(), settings)
        for warning in (*settings.warnings, *_open_to_all(settings)):
            note(f"warning: {warning}")
        if not settings.source:
            for name in ("OPENAI_ORG_ID", "OPENAI_PROJECT_ID", "OPENAI_BASE_URL"):
                if os.environ.get(name, "").strip():
                    note(f"{name} is set and honoured: {os.environ[name].strip()[:200]!r}")
    return settings


def no_core() -> None:
    """Write no core file: it would hold secrets. Only the soft limit: `prlimit --core` raises it."""
    _, hard = resource.getrlimit(resource.RLIMIT_CORE)
    resource.setrlimit(resource.RLIMIT_CORE, (0, hard))


def read_settings(
    config: Path | None, *, secrets: bool = True, alerting: bool = True
) -> "Settings":
    """The same without messages."""
    from monitor.config import default_from_environment, find, load

    if secrets:
        no_core()
    path = find(config, os.environ)
    if path:
        return load(path, os.environ, secrets=secrets, alerting=alerting)
    return default_from_environment(os.environ)


def _open_to_all(settings: "Settings") -> Iterator[str]:
    """Warnings of the settings file and the database, where every user can read or change them."""
    for path in (settings.source, settings.database):
        mode = 0
        if isinstance(path, Path):
            with suppress(OSError):  # not there, or where this user may not look
                # a folder's mode is not ours to change: others may live in it
                mode = 0 if path.is_dir() else path.stat().st_mode & 0o7777
        if mode & 0o006:
            what = "change" if mode & 0o002 else "read"
            yield f"{path}: every user can {what} it (mode {mode:04o}): chmod o= {path}"


def listen_address(text: str) -> "Address":
    """What `--listen` says; anything else than HOST:PORT ends the command."""
    from pydantic_core import PydanticCustomError

    from monitor.config.web_section import address

    try:
        return address(text)
    except PydanticCustomError as error:
        fail(f"--listen {text!r} {error}")


def select_targets(settings: "Settings", names: Sequence[str]) -> "tuple[Target, ...]":
    """The targets of those names, all without any. A capability's surface may be left out."""
    from monitor.access.target import split_capability

    targets = settings.targets()
    if not names:
        return targets
    chosen = []
    for name in names:
        key, _, capability = name.partition("/")
        model, surface = split_capability(capability)
        wanted = (model, surface or settings.catalog.usual_surface(model))
        found = [
            one
            for one in targets
            if name == one.name
            or (
                key == one.key
                and (not capability or wanted == (one.capability.model, one.capability.surface))
            )
        ]
        if not found:
            known = "\n  ".join(target.name for target in targets[:20])
            fail(f"no target is named {name!r}; the settings have\n  {known}")
        chosen += [target for target in found if target not in chosen]
    return tuple(chosen)


def print_json(value: Any) -> None:
    """Print JSON, indented on a terminal only: for 10,000 targets that takes as long as the rest."""
    indent = 2 if sys.stdout.isatty() else None
    print(as_json(value, indent=indent, ascii_only=not is_unicode(sys.stdout)))


def diagnosis_json(diagnosis: "Diagnosis") -> dict[str, Any]:
    """What an answer means, as JSON values."""
    from monitor.access.diagnosis.advice import advise_on

    advice = advise_on(diagnosis)
    return {
        "diagnosis": diagnosis.code,
        "effect": diagnosis.effect,
        "owner": diagnosis.owner,
        "gate": diagnosis.gate,
        "message": diagnosis.message,
        "advice": advice.advice,
        "waiting_helps": advice.waiting_helps,
    }


def as_json(value: Any, *, indent: int | None = None, ascii_only: bool = True) -> str:
    """The value as JSON, which knows no NaN and no infinity: they become null."""
    dumps = partial(json.dumps, allow_nan=False, indent=indent, ensure_ascii=ascii_only)
    try:
        return dumps(value)
    except ValueError:
        return dumps(_finite(value))


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def print_table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """A table on a terminal; in a pipe plain columns, nothing cut, no colours."""
    from rich.cells import cell_len  # how wide a terminal shows it

    shown = [[printable(cell) for cell in row] for row in rows]
    if not sys.stdout.isatty():
        shown.insert(0, list(columns))
        widths = [max(map(cell_len, cells)) for cells in zip(*shown, strict=True)]
        for row in shown:
            padded = (
                cell + " " * (width - cell_len(cell))
                for cell, width in zip(row, widths, strict=True)
            )
            print("  ".join(padded).rstrip())
        return
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in shown:
        table.add_row(*map(Text, row))  # never read as markup
    Console(highlight=False).print(table)


def when_taken(daemon: "DaemonRow | None", now: datetime) -> str:
    """When the daemon takes what is in its inbox, in words."""
    from monitor.store.status_queries import trouble

    problem = trouble(daemon, now)
    if problem is None:
        return "which takes it within 2 s"
    if daemon is None or daemon.stopped_at:
        return "which takes it at its next start: none runs on this database"
    return f"which takes it when it is well again: {printable(problem)}"


def who() -> str:
    """The system user who asks, for the log and for other people."""
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:  # a container's user has no name
        return f"user {os.geteuid()}"


def handed(database: Database, item: int) -> dict[str, Any] | None:
    """Wait for the reply to what was handed to a daemon, and return it; an error ends the command.

    None when none comes, which is said: no daemon runs, or it is slow. Raises StoreError.
    """
    from monitor.store import status_queries
    from monitor.store.inbox import reply_to
    from monitor.store.status_queries import trouble

    daemon = status_queries.daemon(database)
    until = time.monotonic() + (
        _REPLIES_WITHIN if trouble(daemon, datetime.now(UTC)) is None else 0
    )
    while (reply := reply_to(database, item)) is None and time.monotonic() < until:
        time.sleep(0.1)
    if reply is None:
        print(f"handed to the daemon, {when_taken(daemon, datetime.now(UTC))}")
    elif error := reply.get("error"):
        fail(printable(str(error)), Exit.FAILED)
    return reply
