"""`run`, `declare`, `probe`, `backup`, `migrate-to`: the daemon, what it is told, a copy of what it knows."""

import asyncio
import os
import resource
import socket
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from monitor.access.databases import Server
from monitor.access.readable import ago, many, printable
from monitor.access.words import Contract, DeclarationKind, State
from monitor.cli import completing
from monitor.cli.common import (
    ConfigOption,
    fail,
    fail_unknown,
    handed,
    load_settings,
    note,
    read_settings,
    when_taken,
    who,
)
from monitor.cli.streams import redactor

if TYPE_CHECKING:
    from monitor.access.target import Target
    from monitor.alerts.interfaces import Sender
    from monitor.config import Settings
    from monitor.daemon.service import Monitor
    from monitor.daemon.service_manager import ServiceManager
    from monitor.store.records import Status

#: As many as the service's unit allows: `daemon/service.py` bounds the probes under way.
_DESCRIPTORS = 8192
#: Characters of a worker's name.
_NAME_MOST = 100


def run(
    config: ConfigOption = None,
    worker: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="The name of this worker of a fleet; see \\[fleet]."),
    ] = None,
) -> None:
    """Watch the targets of the settings and tell people of every change, until stopped."""
    from monitor.daemon.channels import learn, senders_of
    from monitor.daemon.serve import serve
    from monitor.daemon.service_manager import ServiceManager
    from monitor.logs import log_uncaught

    settings = load_settings(config)
    name = _worker_name(settings, worker)
    _announce(settings)
    _log(settings)
    log_uncaught()
    _enough_descriptors()
    manager = ServiceManager()

    def read() -> "tuple[Settings, list[Sender]]":
        again = read_settings(config)
        # before anything is said of the new secrets; the old ones stay hidden
        learn(redactor(), again)
        _log(again)
        return again, senders_of(again, redactor())

    monitor = _monitor(settings, name, manager)
    status = asyncio.run(serve(monitor, manager, read))
    raise typer.Exit(status)


def _worker_name(settings: "Settings", given: str | None) -> str | None:
    """The name of this worker; None where there is no fleet."""
    if settings.fleet is None:
        if given is not None:
            fail("--worker: the settings have no [fleet]; add it, or leave the option out")
        return None
    name = given or settings.fleet.worker or socket.gethostname()
    if not name.isprintable() or len(name) > _NAME_MOST:
        given = printable(name)[:40]
        fail(f"--worker: {given!r}: give a printable name of at most {_NAME_MOST} characters")
    return name


def _monitor(settings: "Settings", name: str | None, manager: "ServiceManager") -> "Monitor":
    from monitor.daemon.channels import senders_of
    from monitor.daemon.fleet_worker import Worker
    from monitor.daemon.service import Monitor

    channels = senders_of(settings, redactor())
    if name is None:
        return Monitor(settings, channels, manager=manager, redactor=redactor())
    return Worker(settings, channels, name=name, manager=manager, redactor=redactor())


def _log(settings: "Settings") -> None:
    from monitor.logs import configure

    said = settings.monitor
    configure(redactor(), log_format=said.log_format, level=said.log_level.upper(), queued=True)


def _announce(settings: "Settings") -> None:
    """Say what will be done and what it may cost at most, before it is done."""
    from monitor.config import month
    from monitor.oneshot.probe_once import worst_case
    from monitor.probing import UnusableError, proxy_for

    targets = settings.targets()
    note(
        f"access-monitor watches {many(len(targets), 'target')},"
        f" by {settings.source or 'the environment'}:"
    )
    own = [target for target in targets if not settings.pool_of(target.key)]
    for target in own[:20]:
        price, estimated = worst_case(settings, target)
        about = "about " if estimated else ""
        note(f"  {target.name} over {target.route} ({target.contract}): $0 while refused,"
             f" {about}${price:.5f} a granted probe")  # fmt: skip
    if len(own) > 20:
        note(f"  and {len(own) - 20} more")
    for pool in settings.pools:
        watched = ", ".join(str(one) for one in pool.watch)
        contract = settings.routes[pool.route].contract
        keys = many(len(pool.secrets.keys or ()), "key")
        note(f"  pool {pool.name}: {keys}, {watched}, over {pool.route} ({contract})")
    for name in dict.fromkeys(target.route for target in targets):
        route = settings.routes[name]
        try:
            proxy = proxy_for(route.base_url)
            how = f" through the proxy {proxy}" if proxy else ""
        except UnusableError as error:
            how = f", which cannot be reached: {error}"
        note(f"  route {name}: {route.base_url}{how}")
    for line in month(settings):
        note(line)
    told = ", ".join(channel.name for channel in settings.channels)
    note(f"tells: {told or 'this terminal (no channels are configured)'}")
    note(f"remembers in: {settings.database}")
    page = settings.web.url or f"http://{settings.web.listen.from_here}/"
    note(f"shows it at: {page} (start the page with: access-monitor web)")


def _enough_descriptors() -> None:
    """Raise the limit of open files to what the probes under way may need, as far as allowed."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _DESCRIPTORS if hard == resource.RLIM_INFINITY else min(_DESCRIPTORS, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def declare(
    kind: Annotated[
        DeclarationKind,
        typer.Argument(
            help="What became of the verification.", metavar="verified|rejected|cleared"
        ),
    ],
    subject: Annotated[
        str,
        typer.Argument(
            metavar="ORGANIZATION|KEY",
            help="As in the settings.",
            autocompletion=completing.organizations_and_keys,
        ),
    ],
    at: Annotated[
        str, typer.Option(metavar="TIME", help='When: "14:05", "20 min ago", RFC 3339.')
    ] = "now",
    config: ConfigOption = None,
) -> None:
    """Tell the monitor that a verification was completed or rejected, or clear what was declared."""
    from monitor.access.states import RETRY_AFTER_REJECTION
    from monitor.access.typed_times import echo, parse_time
    from monitor.store import status_queries
    from monitor.store.database import create
    from monitor.store.inbox import submit_declaration

    now = datetime.now(UTC)
    try:
        told_at = parse_time(at, now)
    except ValueError as error:
        fail(f"--at {printable(at)!r} {error}")
    settings = load_settings(config, reading=True)
    targets = _of(settings, subject)
    create(settings.database)  # before the first start, too: it is kept for it
    status = status_queries.status(settings.database, now=now)
    submit_declaration(settings.database, kind, subject, told_at, now, by=who())
    print(f"{kind}: {subject}, at {echo(told_at)} ({ago(told_at, now)})")
    print(_touched(settings, targets, status))
    if kind is DeclarationKind.REJECTED:
        again = told_at + RETRY_AFTER_REJECTION
        print(f"the next try of a verification makes sense from {echo(again)} on")
    give_up = settings.deadlines.give_up_after
    if kind is DeclarationKind.VERIFIED and now - told_at >= give_up:
        print(
            f"that is more than {give_up.days} days ago: it is kept, and nothing is expected of it"
        )
    print(f"handed to the daemon, {when_taken(status.daemon, now)}")


def _of(settings: "Settings", subject: str) -> "list[Target]":
    """The targets of an organization or a key; ends the command when it is neither."""
    keys = {key.name for key in settings.keys}
    organizations = {key.organization for key in settings.keys if key.organization}
    if subject not in keys | organizations:
        what = "key and no organization of the settings"
        fail_unknown(what, subject, keys | organizations)
    return [one for one in settings.targets() if subject in (one.key, one.organization)]


def _touched(settings: "Settings", targets: "list[Target]", status: "Status") -> str:
    """How many targets a declaration may touch, and why others are left alone."""
    available = {one.target for one in status.targets if one.state is State.AVAILABLE}
    counts = {"on provider routes": 0, "without a gate": 0, "available": 0}
    for target in targets:
        known = settings.catalog.get(target.capability.model)
        if target.contract is not Contract.DIRECT:
            counts["on provider routes"] += 1
        elif known is not None and target.capability.surface not in known.gates:
            counts["without a gate"] += 1
        elif target.name in available:
            counts["available"] += 1
    left = ", ".join(f"{count} {why}" for why, count in counts.items() if count)
    touched = len(targets) - sum(counts.values())
    return f"it may touch {touched} of {many(len(targets), 'target')}" + (
        f" (left alone: {left})" if left else ""
    )


def probe(
    names: Annotated[
        list[str],
        typer.Argument(
            metavar="TARGET…", help="As `status` shows them.", autocompletion=completing.targets
        ),
    ],
    config: ConfigOption = None,
) -> None:
    """Ask the daemon for a full probe of a target now, as far as limits and budget allow."""
    from monitor.store import status_queries
    from monitor.store.inbox import PROBE, submit

    settings = load_settings(config, reading=True)
    now = datetime.now(UTC)
    known = [one.target for one in status_queries.status(settings.database, now=now).targets]
    for name in names:
        if name not in known:
            fail_unknown("target", name, known)
    by = who()
    items = [submit(settings.database, PROBE, {"target": one, "by": by}, now) for one in names]
    for name, item in zip(names, items, strict=True):
        reply = handed(settings.database, item)
        print(f"{name}: {'is due now' if reply else 'will be due'}")


def backup(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Where the copy goes.")],
    config: ConfigOption = None,
) -> None:
    """Copy the database to FILE, as of one moment, whether the daemon runs or not.

    FILE is for its owner alone, appears whole or not at all, and replaces an older copy. To restore
    it, stop the daemon, move the database and its -wal and -shm files away, and put the copy in place.
    """
    from monitor.store.database import backup as copy

    if not file.name:
        fail(f"FILE {str(file)!r} names no file")
    settings = load_settings(config, reading=True)
    if isinstance(settings.database, Server):
        fail(
            f"{settings.database} is a PostgreSQL, which has tools of its own for this:"
            " pg_dump --format=custom --file=FILE ADDRESS"
        )
    copy(settings.database, file)
    note(f"{settings.database} is copied to {file}")


def migrate_to(
    address: Annotated[
        str,
        typer.Argument(
            metavar="ADDRESS",
            help="The PostgreSQL: a reference such as env:DATABASE_URL, or postgresql://HOST/NAME"
            " without a password.",
        ),
    ],
    config: ConfigOption = None,
) -> None:
    """Copy a stopped monitor's SQLite to a PostgreSQL, whole, and compare each row.

    What is there is replaced if it is an earlier copy, and left alone if it was used since. Then
    name it in the settings, [monitor] database, and start the daemon.
    """
    from monitor.config import server_at
    from monitor.store.copying import copy_to

    settings = load_settings(config, reading=True)
    if isinstance(settings.database, Server):
        fail(f"{settings.database} is a PostgreSQL; to copy one, use pg_dump")
    try:
        server, _ = server_at(address, os.environ, Path.cwd())
    except ValueError as error:
        fail(f"ADDRESS {error}")
    copied = copy_to(settings.database, server)
    rows = ", ".join(f"{number:,} {name}" for name, number in copied.items() if number)
    note(f"{settings.database} is copied to {server}: {rows or 'no rows'}; all compared")
    note(f'next: [monitor] database = "{address}", then start the daemon')
