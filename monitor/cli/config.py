"""`config check|show|schema|example`."""

from contextlib import suppress
from pathlib import Path

import typer

from monitor.access.readable import many
from monitor.cli.common import ConfigOption, Exit, fail, load_settings, print_json

app = typer.Typer(help="The settings file.", no_args_is_help=True, rich_markup_mode=None)


@app.command()
def check(config: ConfigOption = None) -> None:
    """Read the settings and say everything that is wrong with them; exit status 2 if anything is."""
    from monitor.alerts.apprise_channel import check_url
    from monitor.config import month
    from monitor.config.channel_section import ChannelType
    from monitor.store.connections import is_foreign

    settings = load_settings(config)
    wrong = [
        f"channels {channel.name!r}: {problem}"
        for channel in settings.channels
        if channel.type is ChannelType.APPRISE and (problem := check_url(channel.url.reveal()))
    ]
    with suppress(OSError):  # it may be for the service's user alone
        if isinstance(settings.database, Path) and is_foreign(settings.database):
            wrong.append(f"monitor.database: {settings.database} is no database; name another file")
    if wrong:
        fail("\n".join(wrong), Exit.USAGE)
    targets = settings.targets()
    where = settings.source or "the environment"
    print(
        f"{where}: {many(len(settings.keys), 'key')}, {many(len(targets), 'target')},"
        f" {many(len(settings.channels), 'channel')}: all good"
    )
    for line in month(settings):
        print(line)


@app.command()
def show(config: ConfigOption = None) -> None:
    """Print the settings as resolved, defaults filled in, secrets as fingerprints."""
    from monitor.config import show as shown

    print_json(shown(load_settings(config)))


@app.command()
def schema() -> None:
    """Print the JSON Schema of the settings file, for editors."""
    from monitor.config import schema as schema_of

    print_json(schema_of())


@app.command()
def example() -> None:
    """Print a settings file with every setting explained."""
    from monitor.config import example as text

    print(text(), end="")
