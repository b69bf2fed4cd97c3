"""`simulate` and `demo`: without account, network or cost."""

import importlib.util
from contextlib import suppress
from typing import Annotated

import typer

from monitor.cli.common import Exit, fail, note


def simulate(
    scenario: Annotated[
        str, typer.Option(metavar="NAME|FILE", help="A built-in scenario, or a TOML file.")
    ] = "demo",
    listen: Annotated[str, typer.Option(metavar="HOST:PORT", help="Where to listen.")] = (
        "127.0.0.1:8765"
    ),
) -> None:
    """Run a stand-in for the API that plays a scenario, until interrupted."""
    from monitor.cli.streams import OutputError
    from monitor.daemon.signals import run
    from monitor.simulator import ScenarioError, load_scenario, serve

    host, _, port = listen.rpartition(":")
    if not host or not port.isdigit() or int(port) > 65535:
        fail(f"--listen {listen!r} is not HOST:PORT, such as 127.0.0.1:8765")
    try:
        played = load_scenario(scenario)
    except (ScenarioError, OSError) as error:
        fail(f"--scenario {scenario!r}: {error}")

    def ready(base_url: str) -> None:
        print(base_url, flush=True)
        note(f"simulating {played.name!r}: {played.about}")
        for key in played.keys:
            note(f"  {key.name:<16} {key.secret}")

    with suppress(KeyboardInterrupt):
        try:
            run(serve(played, host.strip("[]"), int(port), ready))
        except OutputError:
            raise
        except OSError as error:
            fail(f"--listen {listen!r}: {error.strerror or error}", Exit.FAILED)
    raise typer.Exit(Exit.DONE)


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
    from monitor.cli.demo_run import show
    from monitor.daemon.signals import run

    raise typer.Exit(run(show(seconds)))
