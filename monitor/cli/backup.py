"""`backup`: a consistent copy of the database, also while the daemon writes to it."""

from pathlib import Path
from typing import Annotated

import typer

from monitor.cli.common import ConfigOption, fail, load_settings, note, plain_errors


def backup(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Where the copy goes.")],
    config: ConfigOption = None,
) -> None:
    """Copy the database to FILE, as of one moment, whether the daemon runs or not.

    FILE is for its owner alone, appears whole or not at all, and replaces a file already there. To restore
    it, stop the daemon, move the database and its -wal and -shm files away, and put the copy in place.
    """
    from monitor.store.database_files import backup as copy
    from monitor.store.errors import DestinationError

    if not file.name:
        fail(f"FILE {str(file)!r} names no file")
    settings = load_settings(config, reading=True)
    with plain_errors():
        try:
            copy(settings.database, file)
        except DestinationError as error:
            fail(str(error))
    note(f"{settings.database} is copied to {file}")
