"""`web`: the page, its API and the metrics, as a process of its own."""

import asyncio
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from monitor.access.readable import many
from monitor.cli.common import (
    ConfigOption,
    Exit,
    fail,
    listen_address,
    no_core,
    note,
)
from monitor.cli.streams import redact_output, redactor

if TYPE_CHECKING:
    from monitor.config import Settings
    from monitor.config.problems import Problem
    from monitor.config.web_section import Address
    from monitor.web.live_events import LiveEvents
    from monitor.web.permissions import HashedToken

#: Seconds between two signs of life for the service manager's watchdog.
_REPORT_EVERY = 10.0


def web(
    listen: Annotated[
        str | None,
        typer.Option(
            metavar="HOST:PORT", help="Where to listen. Default: [web] listen in the settings."
        ),
    ] = None,
    config: ConfigOption = None,
) -> None:
    """Show what the database knows as pages and as an API, beside the daemon.

    Needs no key and no channel: of the settings' secrets it reads its own tokens only.
    """
    # structlog would load it for tracebacks, which are not drawn with it here: 5 MB of the page's memory
    sys.modules["rich"] = None  # type: ignore[assignment]

    from monitor.logs import configure

    redact_output()
    no_core()
    settings = _settings(config)
    tokens = _tokens(settings)
    configure(
        redactor(), log_format=settings.monitor.log_format, level=settings.monitor.log_level.upper()
    )
    address = listen_address(listen) if listen else settings.web.listen
    note(f"reads: {settings.database} (start the daemon with: access-monitor run)")
    _try_to_read(settings)
    raise typer.Exit(asyncio.run(_serve(settings, tokens, address)))


def _settings(config: Path | None) -> "Settings":
    """The settings without one secret, and without the keys of pools."""
    from monitor.config import default_database, find, load
    from monitor.config.settings import Settings

    path = find(config, os.environ)
    if path:
        return load(path, os.environ, secrets=False, pool_files=False)
    return Settings(source=None, database=default_database(os.environ))


def _try_to_read(settings: "Settings") -> None:
    """Say what keeps the database from being read; the page goes on, for the daemon may make it later."""
    import structlog

    from monitor.store.errors import StoreError
    from monitor.store.status_queries import daemon

    try:
        daemon(settings.database)
    except StoreError as error:
        structlog.get_logger().warning("database_not_read", error=str(error))


def _tokens(settings: "Settings") -> "tuple[HashedToken, ...]":
    """The hashes of the tokens. Raises SettingsError."""
    from monitor.config import SettingsError

    found, missing, weak = read_tokens(settings)
    if missing or weak:
        raise SettingsError([*missing, *weak], str(settings.source))
    return found


def read_tokens(
    settings: "Settings",
) -> "tuple[tuple[HashedToken, ...], list[Problem], list[Problem]]":
    """The hashes of the tokens, which of them cannot be read here, and which could be guessed."""
    from monitor.config.problems import Problem
    from monitor.config.references import UnresolvedError, resolve
    from monitor.config.web_section import TOKEN_LEAST
    from monitor.web.permissions import HashedToken, digest_of

    folder = settings.source.parent.absolute() if settings.source else Path()
    found, missing, weak = [], list[Problem](), list[Problem]()
    for number, token in enumerate(settings.web.tokens):
        where = f"web.tokens[{number}].secret"
        try:
            secret, warning = resolve(token.secret, os.environ, folder)
        except UnresolvedError as error:
            missing.append(Problem(where, None, str(error)))
            continue
        if warning:
            note(f"warning: {warning}")
        if len(secret.reveal()) < TOKEN_LEAST:
            why = f"the token has fewer than {TOKEN_LEAST} characters: it could be guessed"
            weak.append(Problem(where, None, why))
        redactor().learn([secret.reveal()])
        found.append(HashedToken(token.name, digest_of(secret.reveal()), token.right))
    return tuple(found), missing, weak


async def _serve(
    settings: "Settings", tokens: "tuple[HashedToken, ...]", address: "Address"
) -> int:
    from monitor.daemon import signals
    from monitor.daemon.service_manager import ServiceManager
    from monitor.web.web_server import StartError, application, require_allowed, serve

    loop, manager = asyncio.get_running_loop(), ServiceManager()
    asked: asyncio.Future[int] = loop.create_future()
    signals.serve_with(
        lambda number: loop.call_soon_threadsafe(asked.set_result, number), lambda: None
    )

    async def report(url: str, live: "LiveEvents") -> None:
        """Tell the service manager that the page is up, and from then on that it lives."""
        manager.ready(_status_line(url, live.open))
        try:
            while True:
                await asyncio.sleep(_REPORT_EVERY)
                manager.alive()
                manager.status(_status_line(url, live.open))
        finally:
            manager.stopping()

    require_allowed(settings.web, address)
    try:
        number = await serve(application(settings, tokens), address, asked, report)
    except StartError as error:
        fail(str(error), Exit.FAILED)
    return 130 if number == 2 else 0


def _status_line(url: str, streams: int) -> str:
    return f"at {url}; {many(streams, 'page')} watched live"
