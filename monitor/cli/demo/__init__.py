"""`demo`: the whole monitor at work, without account, network or cost."""

import importlib.util
from typing import Annotated

import typer

from monitor.cli.common import fail


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
    from monitor.cli.demo.demo_run import show
    from monitor.daemon.signals import run

    raise typer.Exit(run(show(seconds)))
