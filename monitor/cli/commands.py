"""The commands by their names, among them `config`, and `simulate` and `demo`, which need no settings."""

import importlib.util
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from monitor import __version__
from monitor.access.readable import ReadableError, many
from monitor.cli import (
    alerts,
    checking,
    daemon_commands,
    diagnose,
    explain,
    export,
    healthcheck,
    history,
    status,
    web,
)
from monitor.cli.common import ConfigOption, Exit, fail, load_settings, note, print_json


class _Commands(TyperGroup):
    """Ends a command with a sentence, not a traceback, where settings or database cannot be used."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except ReadableError as error:
            from monitor.store.errors import DestinationError, StoreError

            broken = isinstance(error, StoreError) and not isinstance(error, DestinationError)
            fail(str(error), Exit.FAILED if broken else Exit.USAGE)


app = typer.Typer(
    cls=_Commands,
    name="access-monitor",
    help="Watches when an API key may use a gated model, and tells you the minute it may.",
    no_args_is_help=True,
    # a traceback belongs in a bug report, without the values of its variables
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


def _version(wanted: bool) -> None:  # noqa: FBT001 - Typer's form of a callback
    if wanted:
        print(f"access-monitor {__version__}")
        raise typer.Exit


@app.callback()
def root(
    *,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Watches when an API key may use a gated model, and tells you the minute it may."""


config = typer.Typer(help="The settings file.", no_args_is_help=True, rich_markup_mode=None)


@config.command("check")
def check_settings(file: ConfigOption = None) -> None:
    """Read the settings and say everything that is wrong with them; exit status 2 if anything is."""
    from monitor.alerts.apprise_channel import check_url
    from monitor.config import month
    from monitor.config.channel_section import ChannelType
    from monitor.store.connections import is_foreign, unwritable
    from monitor.store.errors import IS_FOLDER

    settings = load_settings(file)
    wrong = [
        f"channels {channel.name!r}: {problem}"
        for channel in settings.channels
        if channel.type is ChannelType.APPRISE and (problem := check_url(channel.url.reveal()))
    ]
    with suppress(OSError):  # it may be for the service's user alone
        if isinstance(settings.database, Path) and settings.database.is_dir():
            wrong.append(f"monitor.database: {settings.database}: {IS_FOLDER}")
        elif isinstance(settings.database, Path) and is_foreign(settings.database):
            wrong.append(f"monitor.database: {settings.database} is no database; name another file")
    _, missing, weak = web.read_tokens(settings)
    wrong += [str(problem) for problem in weak]
    if wrong:
        fail("\n".join(wrong), Exit.USAGE)
    for one in missing:  # no error: the page may run elsewhere, and nothing else reads them
        note(f"warning: {one}; access-monitor web needs it")
    if isinstance(settings.database, Path) and (place := unwritable(settings.database)):
        # no error: another user may run the service
        note(f"warning: monitor.database: this user cannot write to {place}, which run needs")
    targets = settings.targets()
    where = settings.source or "the environment"
    print(
        f"{where}: {many(len(settings.keys), 'key')}, {many(len(targets), 'target')},"
        f" {many(len(settings.channels), 'channel')}: all good"
    )
    for line in month(settings):
        print(line)


@config.command()
def show(file: ConfigOption = None) -> None:
    """Print the settings as resolved, defaults filled in, secrets as fingerprints."""
    from monitor.config import show as shown

    print_json(shown(load_settings(file)))


@config.command()
def schema() -> None:
    """Print the JSON Schema of the settings file, for editors."""
    from monitor.config import schema as schema_of

    print_json(schema_of())


@config.command()
def example() -> None:
    """Print a settings file with every setting explained."""
    from monitor.config import example as text

    print(text(), end="")


def simulate(
    scenario: Annotated[
        str, typer.Option(metavar="NAME|FILE", help="A built-in scenario, or a TOML file.")
    ] = "demo",
    listen: Annotated[str, typer.Option(metavar="HOST:PORT", help="Where to listen.")] = (
        "127.0.0.1:8765"
    ),
) -> None:
    """Run a stand-in for the API that plays a scenario, until interrupted."""
    from monitor.cli.streams import OutputError
    from monitor.daemon.signals import run
    from monitor.simulator import ScenarioError, load_scenario, serve

    host, _, port = listen.rpartition(":")
    if not host or not port.isdigit() or int(port) > 65535:
        fail(f"--listen {listen!r} is not HOST:PORT, such as 127.0.0.1:8765")
    try:
        played = load_scenario(scenario)
    except (ScenarioError, OSError) as error:
        fail(f"--scenario {scenario!r}: {error}")

    def ready(base_url: str) -> None:
        print(base_url, flush=True)
        note(f"simulating {played.name!r}: {played.about}")
        for key in played.keys:
            note(f"  {key.name:<16} {key.secret}")

    with suppress(KeyboardInterrupt):
        try:
            run(serve(played, host.strip("[]"), int(port), ready))
        except OutputError:
            raise
        except OSError as error:
            fail(f"--listen {listen!r}: {error.strerror or error}", Exit.FAILED)
    raise typer.Exit(Exit.DONE)


def demo(
    seconds: Annotated[
        int, typer.Option(min=5, max=600, help="How long to watch; the story takes 45 s.")
    ] = 45,
) -> None:
    """Show eight targets of two organizations and a relay: alerts, history, cost.

    Everything is real but the API: a simulator stands in for it, on this machine, and nothing leaves it.
    """
    if importlib.util.find_spec("aiosmtpd") is None:
        fail("the demo's mail server is an extra: pip install 'access-monitor[demo]'")
    from monitor.cli.demo_run import show
    from monitor.daemon.signals import run

    raise typer.Exit(run(show(seconds)))


app.command("run")(daemon_commands.run)
app.command("check")(checking.check)
app.command("wait")(checking.wait)
app.command("status")(status.status)
app.command("history")(history.history)
app.command("propagation")(history.propagation)
app.command("export")(export.export)
app.command("declare")(daemon_commands.declare)
app.command("probe")(daemon_commands.probe)
app.add_typer(alerts.silences, name="silence")
app.command("explain")(explain.explain)
app.command("diagnose")(diagnose.diagnose)
app.command("evidence")(diagnose.evidence)
app.add_typer(config, name="config")
app.add_typer(alerts.app, name="alerts")
app.command("web")(web.web)
app.command("backup")(daemon_commands.backup)
app.command("migrate-to")(daemon_commands.migrate_to)
app.command("healthcheck")(healthcheck.healthcheck)
app.command("simulate")(simulate)
app.command("demo")(demo)
