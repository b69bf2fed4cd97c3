"""`healthcheck`: whether the daemon that owns the database makes progress."""

import os
from datetime import UTC, datetime

import typer

from monitor.cli.common import ConfigOption, Exit, printable


def healthcheck(config: ConfigOption = None) -> None:
    """Exit with 0 only if the daemon made progress lately; say what is wrong otherwise.

    Needs no secrets, no network and no valid settings but the database's: it reads what the daemon
    notes there.
    """
    from monitor.config import SettingsError, find, named_database
    from monitor.daemon.health import trouble
    from monitor.store import status_queries
    from monitor.store.errors import StoreError

    try:
        database = named_database(find(config, os.environ), os.environ)
        daemon = status_queries.daemon(database)
    except (SettingsError, StoreError) as error:
        problem: str | None = str(error)
    else:
        problem = trouble(daemon, datetime.now(UTC))
    if problem is None:
        print(
            f"ok: the daemon makes progress (process {daemon.pid if daemon else '-'}, {database})"
        )
        return
    print(f"unhealthy: {printable(problem)}")
    raise typer.Exit(Exit.FAILED)
