"""The command line: `access-monitor COMMAND`."""

import sys
from contextlib import nullcontext

from monitor.daemon import signals


def main() -> None:
    """The installed command."""
    # before anything is loaded: what is asked meanwhile is not lost, and ends nothing that should go on
    signals.handle(reloads=sys.argv[1:2] in (["run"], ["web"]))
    from monitor.cli import streams

    with streams.prepared():
        import gc
        import os

        from monitor.cli import completing
        from monitor.cli.commands import app

        in_bash = os.environ.get("_ACCESS_MONITOR_COMPLETE") == "complete_bash"

        # a command ends before there is garbage worth a search; the daemon sets its own
        gc.set_threshold(50_000, 20, 20)
        with completing.words_with_colons(os.environ) if in_bash else nullcontext():
            app()
