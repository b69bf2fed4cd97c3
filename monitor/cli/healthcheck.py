"""`healthcheck`: whether the daemon, or the page beside it, does its work."""

import json
import os
import socket
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from monitor.access.readable import ReadableError, printable
from monitor.cli.common import ConfigOption, Exit, fail, listen_address

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
    try:
        fine = _page(config, listen) if web else _daemon(config, worker)
    except ReadableError as problem:
        print(f"unhealthy: {printable(str(problem))}")
        raise typer.Exit(Exit.FAILED) from None
    print(f"ok: {fine}")


def _daemon(config: Path | None, worker: str | None) -> str:
    """What is said of a daemon that is well. Raises ReadableError with what is wrong."""
    from monitor.config import find, named_database
    from monitor.store import status_queries

    database = named_database(find(config, os.environ), os.environ)
    # a worker is named as its machine, unless it was given another name
    daemon = status_queries.worker(database, worker or socket.gethostname())
    if daemon is None and worker:
        raise ReadableError(
            f"{database}: no worker is named {worker}; `access-monitor status` lists them"
        )
    daemon = daemon or status_queries.daemon(database)
    if problem := status_queries.trouble(daemon, datetime.now(UTC)):
        raise ReadableError(problem)
    process = daemon.pid if daemon else "-"
    return f"the daemon makes progress (process {process}, {database})"


def _page(config: Path | None, listen: str | None) -> str:
    """What is said of a page that is well. Raises ReadableError with what is wrong.

    No proxy is asked: it is on this machine.
    """
    from http.client import HTTPConnection, HTTPException

    from monitor.config import find, named_listen

    named = listen_address(listen) if listen else named_listen(find(config, os.environ))
    address = named.from_here
    if not address.port:
        raise ReadableError(f"{named} is any free port: name the one that it has with --listen")
    connection = HTTPConnection(address.host, address.port, timeout=_PATIENCE)
    try:
        connection.request("GET", "/healthz")
        answer = connection.getresponse()
        said = answer.read(_MOST)
    except (OSError, HTTPException) as error:
        why = getattr(error, "strerror", None) or str(error) or type(error).__name__
        raise ReadableError(f"the page does not answer at http://{address}/: {why}") from None
    finally:
        connection.close()
    if answer.status == 200 and said == b"ok\n":
        return f"the page answers at http://{address}/ and can read its database"
    try:
        why = str(json.loads(said)["detail"])
    except (ValueError, KeyError, TypeError):
        what = f"what answers at http://{address}/ is not the page: status {answer.status}"
        raise ReadableError(what) from None
    raise ReadableError(f"the page at http://{address}/ answers with status {answer.status}: {why}")
