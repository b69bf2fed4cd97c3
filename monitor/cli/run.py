"""`run`: the daemon."""

import asyncio
from typing import TYPE_CHECKING

import typer

from monitor.cli.common import (
    ConfigOption,
    enough_descriptors,
    load_settings,
    many,
    note,
    plain_errors,
    read_settings,
)
from monitor.cli.redacted_output import redactor

if TYPE_CHECKING:
    from monitor.alerts.apprise_channel import AppriseChannel
    from monitor.config import Settings


def run(config: ConfigOption = None) -> None:
    """Watch the targets of the settings and tell people of every change, until stopped."""
    from monitor.daemon.channels import learn, senders_of
    from monitor.daemon.health_reporter import ServiceManager
    from monitor.daemon.serve import serve
    from monitor.daemon.service import Monitor
    from monitor.logs.logging_setup import log_uncaught

    settings = load_settings(config)
    announce(settings)
    _log(settings)
    log_uncaught()
    enough_descriptors()
    manager = ServiceManager()

    def read() -> "tuple[Settings, list[AppriseChannel]]":
        again = read_settings(config)
        # before anything is said of the new secrets; the old ones stay hidden
        learn(redactor(), again)
        _log(again)
        return again, senders_of(again, redactor())

    with plain_errors():
        monitor = Monitor(
            settings, senders_of(settings, redactor()), manager=manager, redactor=redactor()
        )
        status = asyncio.run(serve(monitor, manager, read))
    raise typer.Exit(status)


def _log(settings: "Settings") -> None:
    from monitor.logs.logging_setup import configure

    said = settings.monitor
    configure(redactor(), log_format=said.log_format, level=said.log_level.upper(), queued=True)


def announce(settings: "Settings") -> None:
    """Say what will be done and what it may cost at most, before it is done."""
    from monitor.config import month
    from monitor.oneshot.probe_once import worst_case
    from monitor.probing import proxy_for

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
        proxy = proxy_for(route.base_url)
        note(f"  route {name}: {route.base_url}" + (f" through the proxy {proxy}" if proxy else ""))
    for line in month(settings):
        note(line)
    told = ", ".join(channel.name for channel in settings.channels)
    note(f"tells: {told or 'this terminal (no channels are configured)'}")
    note(f"remembers in: {settings.database}")
