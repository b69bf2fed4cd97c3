"""`alerts` and `silence`: the notifications, and what people do not want to be told for a time."""

import sys
from collections import Counter
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from monitor.access.readable import ago, printable, utc
from monitor.cli import completing
from monitor.cli.common import (
    ConfigOption,
    Exit,
    FormatOption,
    fail,
    handed,
    load_settings,
    note,
    print_json,
    print_table,
    when_taken,
    who,
)
from monitor.cli.streams import redactor

if TYPE_CHECKING:
    from monitor.access.silences import Silence
    from monitor.config import Settings
    from monitor.config.silence_patterns import Names

app = typer.Typer(help="Notifications.", no_args_is_help=True, rich_markup_mode=None)
silences = typer.Typer(
    help="What is not told for a time; probes, states and history go on.",
    no_args_is_help=True,
    rich_markup_mode=None,
)

#: The most notifications in one listing.
_PAGE = 1000
_ALERTS = (
    "ID", "OF", "EVENT", "TARGET", "CHANNEL", "STATE", "TRIES", "CREATED", "NEXT", "WHY",
)  # fmt: skip
_SILENCES = ("ID", "OF", "UNTIL", "LEFT", "BY", "REASON")

_IdsArgument = Annotated[
    list[int] | None, typer.Argument(metavar="[ID]…", help="Notifications; all dead ones without.")
]
_NamesArgument = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[CHANNEL]…", help="Channels; all without.", autocompletion=completing.channels
    ),
]


@app.command("list")
def list_(
    *,
    state: Annotated[str | None, typer.Option(help="pending, delivered, dead or silenced.")] = None,
    limit: Annotated[
        int, typer.Option(min=1, metavar="N", help="At most this many, the newest.")
    ] = _PAGE,
    before: Annotated[
        int | None, typer.Option(metavar="ID", help="Only those before this one: the next page.")
    ] = None,
    whole: Annotated[bool, typer.Option("--all", help="All of them, however many.")] = False,
    config: ConfigOption = None,
    output: FormatOption = "text",
) -> None:
    """List notifications and their state, oldest first; say how many are left out."""
    from monitor.store import queries
    from monitor.store.record_forms import as_json
    from monitor.store.records import NotificationState

    if state is not None and state not in set(NotificationState):
        fail(f"--state {state!r} is none of {', '.join(NotificationState)}")
    settings = load_settings(config, reading=True)
    wanted = NotificationState(state) if state else None
    most = sys.maxsize if whole else limit
    found, older = queries.alerts_and_older(settings.database, wanted, limit=most, before=before)
    if older:
        note(
            f"{older:,} older not listed: --before {found[0].id} has the next of them, --all has all"
        )
    if output == "json":
        print_json(as_json(found))
        return
    now = datetime.now(UTC)
    rows = [
        (
            str(row.id),
            f"#{row.transition_id}",
            str(row.event),
            row.target or "-",
            row.channel,
            str(row.state),
            str(row.attempts),
            utc(row.created_at),
            ago(row.next_attempt_at, now) if row.state is NotificationState.PENDING else "-",
            f"by silence {row.silence_id}" if row.silence_id else row.last_error or "-",
        )
        for row in found
    ]
    print_table(_ALERTS, rows)


@app.command("test")
def send_test(names: _NamesArgument = None, config: ConfigOption = None) -> None:
    """Send a test message to every channel; exit status 0 when all took it, else 1."""
    from monitor.daemon.signals import run

    settings = load_settings(config)
    known = [channel.name for channel in settings.channels]
    for name in names or []:
        if name not in known:
            fail(f"no channel is named {name!r}; the settings have {', '.join(known) or 'none'}")
    if not known:
        fail("the settings have no channels: add one under [[channels]]")
    failed = run(_test(settings, names or known))
    raise typer.Exit(Exit.FAILED if failed else Exit.DONE)


async def _test(settings: "Settings", names: list[str]) -> int:
    from monitor.alerts.interfaces import DeliveryError
    from monitor.alerts.render import Message, Wording
    from monitor.daemon.channels import senders_of

    text = f"This is a test by `access-monitor alerts test` at {utc(datetime.now(UTC))}."
    words = Wording("access-monitor: test", "info", text)
    failed = 0
    for sender in senders_of(settings, redactor()):
        if sender.name not in names:
            continue
        try:
            await sender.send(Message(words.title, words.level, [words]))
        except DeliveryError as error:
            failed += 1
            print(f"{sender.name}: failed: {error.reason}")
        else:
            print(f"{sender.name}: delivered")
        finally:
            await sender.aclose()
    return failed


@app.command()
def schema() -> None:
    """Print the JSON Schema of what a webhook is sent."""
    from monitor.alerts.webhook_event import schema as schema_of

    print_json(schema_of())


@app.command()
def retry(ids: _IdsArgument = None, config: ConfigOption = None) -> None:
    """Ask the daemon to retry dead notifications, but for those of channels that are gone."""
    from monitor.config.problems import shown
    from monitor.daemon.channels import CONSOLE
    from monitor.store import queries, status_queries
    from monitor.store.inbox import RETRY, submit

    settings = load_settings(config, reading=True)
    dead = queries.dead_alerts(settings.database)
    unknown = sorted(set(ids or []) - dead.keys())
    if unknown:
        fail(f"not dead: {', '.join(map(str, unknown))}; see: access-monitor alerts list")
    if not dead:
        print("nothing is dead")
        return
    known = [channel.name for channel in settings.channels] or [CONSOLE]
    chosen = Counter(dead[id_] for id_ in set(ids or dead))
    lost = {name: number for name, number in chosen.items() if name not in known}
    if lost:
        numbers = ", ".join(f"{number} of {shown(name)}" for name, number in sorted(lost.items()))
        said = f"the settings have no such channel any more, so these stay dead: {numbers}"
        if len(lost) == len(chosen):
            fail(said)
        note(said)
    payload = {**({"ids": ids} if ids else {}), "by": who()}
    submit(settings.database, RETRY, payload, datetime.now(UTC))
    daemon = status_queries.daemon(settings.database)
    count = chosen.total() - sum(lost.values())
    print(f"{count} handed to the daemon, {when_taken(daemon, datetime.now(UTC))}")


@silences.command()
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
    if (reply := handed(settings.database, item)) is not None:
        print(f"silence {reply.get('silence')} is in force")


@silences.command("list")
def list_silences(
    *,
    whole: Annotated[bool, typer.Option("--all", help="Those that ended, too.")] = False,
    config: ConfigOption = None,
    output: FormatOption = "text",
) -> None:
    """List the silences in force, the first to end first."""
    from monitor.store import queries
    from monitor.store.record_forms import as_json

    settings = load_settings(config, reading=True)
    now = datetime.now(UTC)
    in_force, ended = queries.silences(settings.database, now)
    found = [*in_force, *(ended if whole else ())]
    if output == "json":
        print_json(as_json(found))
    elif found:
        print_table(_SILENCES, [_silence_row(one, now) for one in found])
    else:
        print("nothing is silenced")


def _silence_row(one: "Silence", now: datetime) -> tuple[str, ...]:
    over = one.ended_at or one.expires_at
    left = ago(over, now) if one.in_force(now) else f"ended {ago(over, now)}"
    return str(one.id), ", ".join(one.patterns), utc(one.expires_at), left, one.by, one.reason


@silences.command()
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
    if (reply := handed(settings.database, item)) is not None:
        print(f"silence {reply.get('silence')} has ended")


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
