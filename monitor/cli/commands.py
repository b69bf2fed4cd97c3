"""The commands by their names."""

from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from monitor import __version__
from monitor.access.readable import ReadableError
from monitor.cli import (
    alerts,
    checking,
    config,
    daemon_commands,
    diagnose,
    explain,
    export,
    healthcheck,
    history,
    simulate,
    status,
    web,
)
from monitor.cli.common import Exit, fail


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
app.add_typer(config.app, name="config")
app.add_typer(alerts.app, name="alerts")
app.command("web")(web.web)
app.command("backup")(daemon_commands.backup)
app.command("migrate-to")(daemon_commands.migrate_to)
app.command("healthcheck")(healthcheck.healthcheck)
app.command("simulate")(simulate.simulate)
app.command("demo")(simulate.demo)
