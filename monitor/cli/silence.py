"""`silence add|list|end`: what people do not want to be told for a time. Probes and history go on."""

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from monitor.access.readable import ago, printable, utc
from monitor.cli import completing
from monitor.cli.common import (
    ConfigOption,
    Exit,
    Format,
    FormatOption,
    fail,
    handed,
    load_settings,
    print_json,
    print_table,
    who,
)

if TYPE_CHECKING:
    from monitor.access.silences import Silence
    from monitor.config import Settings
    from monitor.config.silence_patterns import Names

app = typer.Typer(
    help="What is not told for a time; probes, states and history go on.",
    no_args_is_help=True,
    rich_markup_mode=None,
)

_COLUMNS = ("ID", "OF", "UNTIL", "LEFT", "BY", "REASON")


@app.command()
def add(
    patterns: Annotated[
        list[str],
        typer.Argument(
            metavar="PATTERN…",
            autocompletion=completing.silenced,
            help="KEY, KEY/MODEL:SURFACE, a pattern with * and ?, a pool, an organization,"
            " channel:NAME, event:KIND.",
        ),
    ],
    length: Annotated[
        str, typer.Option("--for", metavar="DURATION", help="30m, 2h, 7d; at most 90d.")
    ],
    reason: Annotated[str, typer.Option(metavar="TEXT", help="Why; people see it.")],
    config: ConfigOption = None,
) -> None:
    """Keep something from being told. Patterns of several kinds must all match; of one kind any.

    First light, available, stale, offline, budget and the blockers of a key are told all the same, unless
    an event:KIND names them. At its end each channel is told once what differs from what it was told last.
    """
    from monitor.access.fields import parse_duration
    from monitor.access.silences import fault_of
    from monitor.access.typed_times import echo
    from monitor.config.silence_patterns import patterns_of
    from monitor.store.database import create
    from monitor.store.inbox import SILENCE, submit

    settings = load_settings(config, reading=True)
    now = datetime.now(UTC)
    try:
        until = now + parse_duration(length)
    except ValueError as error:
        fail(f"--for {printable(length)!r} {error}")
    create(settings.database)  # before the first start, too: it is kept for it
    names = _names(settings)
    try:
        wanted = patterns_of(patterns, names)
    except ValueError as error:
        fail(printable(str(error)))
    if fault := fault_of(wanted, reason, until, now):
        fail(printable(fault))
    payload = {
        "patterns": list(wanted), "reason": reason, "expires_at": until.isoformat(), "by": who(),
    }  # fmt: skip
    item = submit(settings.database, SILENCE, payload, now)
    print(printable(f"silence of {', '.join(wanted)} until {echo(until)}"))
    _say(handed(settings.database, item), "silence {} is in force")


@app.command("list")
def list_(
    *,
    whole: Annotated[bool, typer.Option("--all", help="Those that ended, too.")] = False,
    config: ConfigOption = None,
    output: FormatOption = Format.TEXT,
) -> None:
    """List the silences in force, the first to end first."""
    from monitor.store import queries
    from monitor.store.record_forms import as_json

    settings = load_settings(config, reading=True)
    now = datetime.now(UTC)
    in_force, ended = queries.silences(settings.database, now)
    found = [*in_force, *(ended if whole else ())]
    if output is Format.JSON:
        print_json(as_json(found))
    elif found:
        print_table(_COLUMNS, [_row(one, now) for one in found])
    else:
        print("nothing is silenced")


def _row(one: "Silence", now: datetime) -> tuple[str, ...]:
    over = one.ended_at or one.expires_at
    left = ago(over, now) if one.in_force(now) else f"ended {ago(over, now)}"
    return str(one.id), ", ".join(one.patterns), utc(one.expires_at), left, one.by, one.reason


@app.command()
def end(
    number: Annotated[int, typer.Argument(metavar="ID", help="As `silence list` shows it.")],
    config: ConfigOption = None,
) -> None:
    """End a silence now; what it hid is told."""
    from monitor.store import queries
    from monitor.store.inbox import END_SILENCE, submit

    settings = load_settings(config, reading=True)
    now = datetime.now(UTC)
    known = [one.id for one in queries.silences(settings.database, now)[0]]
    if number not in known:
        listed = ", ".join(map(str, known)) or "none"
        fail(f"no silence {number} is in force; in force: {listed}")
    item = submit(settings.database, END_SILENCE, {"id": number, "by": who()}, now)
    _say(handed(settings.database, item), "silence {} has ended")


def _say(reply: dict[str, Any] | None, done: str) -> None:
    """Print what became of a request, if the daemon took it."""
    if reply is None:
        return
    if error := reply.get("error"):
        fail(printable(str(error)), Exit.FAILED)
    print(done.format(reply.get("silence")))


def _names(settings: "Settings") -> "Names":
    """What there is to be silenced, by the settings and by the database, which knows the keys of pools."""
    from monitor.config.silence_patterns import Names
    from monitor.daemon.channels import CONSOLE
    from monitor.store import queries

    targets = {one.name for one in settings.targets()} | set(queries.names(settings.database))
    organizations = {one.organization for one in settings.targets() if one.organization}
    return Names(
        targets=targets,
        organizations=organizations,
        pools=[pool.name for pool in settings.pools],
        channels=[channel.name for channel in settings.channels] or [CONSOLE],
    )
