"""`healthcheck`: whether the daemon, or the page beside it, does its work."""

import json
import os
import socket
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from monitor.access.readable import printable
from monitor.cli.common import ConfigOption, Exit, fail, listen_address

if TYPE_CHECKING:
    from monitor.config.web_section import Address

#: Seconds within which the page must answer; reading a database of thousands of targets takes one.
_PATIENCE = 8
#: Bytes of its answer that are read.
_MOST = 4096


def healthcheck(
    *,
    web: Annotated[
        bool, typer.Option("--web", help="Ask the page instead: access-monitor web.")
    ] = False,
    listen: Annotated[
        str | None,
        typer.Option(
            metavar="HOST:PORT",
            help="Where the page listens. Default: [web] listen in the settings.",
        ),
    ] = None,
    worker: Annotated[
        str | None,
        typer.Option(
            metavar="NAME", help="The worker of a fleet. Default: this machine's host name."
        ),
    ] = None,
    config: ConfigOption = None,
) -> None:
    """Exit with 0 only if the daemon made progress lately; say what is wrong otherwise.

    Needs no secrets, no network and no valid settings but the database's: it reads what the daemon
    notes there. With --web it asks the page on this machine, which answers 0 only if it can read the
    database.
    """
    if listen and not web:
        fail("--listen is where the page listens: it needs --web")
    problem, fine = _page(config, listen) if web else _daemon(config, worker)
    if problem is None:
        print(f"ok: {fine}")
        return
    print(f"unhealthy: {printable(problem)}")
    raise typer.Exit(Exit.FAILED)


def _daemon(config: Path | None, worker: str | None) -> tuple[str | None, str]:
    """What is wrong with the daemon, None if nothing is; and what is said then."""
    from monitor.config import SettingsError, find, named_database
    from monitor.store import status_queries
    from monitor.store.errors import StoreError
    from monitor.store.status_queries import trouble

    try:
        database = named_database(find(config, os.environ), os.environ)
        # a worker is named as its machine, unless it was given another name
        daemon = status_queries.worker(database, worker or socket.gethostname())
        if daemon is None and worker:
            return (
                f"{database}: no worker is named {worker}; `access-monitor status` lists them",
                "",
            )
        daemon = daemon or status_queries.daemon(database)
    except (SettingsError, StoreError) as error:
        return str(error), ""
    process = daemon.pid if daemon else "-"
    fine = f"the daemon makes progress (process {process}, {database})"
    return trouble(daemon, datetime.now(UTC)), fine


def _page(config: Path | None, listen: str | None) -> tuple[str | None, str]:
    """What is wrong with the page, None if nothing is; and what is said then."""
    from monitor.config import SettingsError, find, named_listen

    try:
        named = listen_address(listen) if listen else named_listen(find(config, os.environ))
    except SettingsError as error:
        return str(error), ""
    address = named.from_here
    if not address.port:
        return f"{named} is any free port: name the one that it has with --listen", ""
    return _asked(address), f"the page answers at http://{address}/ and can read its database"


def _asked(address: "Address") -> str | None:
    """What is wrong with the page at an address. No proxy is asked: it is on this machine."""
    from http.client import HTTPConnection, HTTPException

    connection = HTTPConnection(address.host, address.port, timeout=_PATIENCE)
    try:
        connection.request("GET", "/healthz")
        answer = connection.getresponse()
        said = answer.read(_MOST)
    except (OSError, HTTPException) as error:
        why = getattr(error, "strerror", None) or str(error) or type(error).__name__
        return f"the page does not answer at http://{address}/: {why}"
    finally:
        connection.close()
    if answer.status == 200 and said == b"ok\n":
        return None
    try:
        why = str(json.loads(said)["detail"])
    except (ValueError, KeyError, TypeError):
        return f"what answers at http://{address}/ is not the page: status {answer.status}"
    return f"the page at http://{address}/ answers with status {answer.status}: {why}"
