"""`alerts list|test|retry`."""

import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from monitor.access.readable import ago, utc
from monitor.cli import completing
from monitor.cli.common import (
    ConfigOption,
    Exit,
    Format,
    FormatOption,
    fail,
    load_settings,
    note,
    print_json,
    print_table,
    when_taken,
    who,
)
from monitor.cli.streams import redactor

if TYPE_CHECKING:
    from monitor.config import Settings

app = typer.Typer(help="Notifications.", no_args_is_help=True, rich_markup_mode=None)

#: The most notifications in one listing.
_PAGE = 1000

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
    output: FormatOption = Format.TEXT,
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
    if output is Format.JSON:
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
    columns = (
        "ID",
        "OF",
        "EVENT",
        "TARGET",
        "CHANNEL",
        "STATE",
        "TRIES",
        "CREATED",
        "NEXT",
        "WHY",
    )
    print_table(columns, rows)


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
    message = Message(words.title, words.level, [words])
    failed = 0
    for sender in senders_of(settings, redactor()):
        if sender.name not in names:
            continue
        try:
            await sender.send(message)
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
    """Ask the daemon to retry dead notifications."""
    from monitor.store import queries, status_queries
    from monitor.store.inbox import RETRY, submit

    settings = load_settings(config, reading=True)
    dead = queries.dead_alerts(settings.database)
    unknown = sorted(set(ids or []) - dead)
    if unknown:
        fail(f"not dead: {', '.join(map(str, unknown))}; see: access-monitor alerts list")
    if not dead:
        print("nothing is dead")
        return
    payload = {**({"ids": ids} if ids else {}), "by": who()}
    submit(settings.database, RETRY, payload, datetime.now(UTC))
    daemon = status_queries.daemon(settings.database)
    count = len(ids) if ids else len(dead)
    print(f"{count} handed to the daemon, {when_taken(daemon, datetime.now(UTC))}")
