"""The daemon under cProfile, in processor time: `profiled.py FILE run --config FILE`.

The loop's figures are written to FILE at its end, from SIGUSR1 on; those of the writer's thread, of the
whole run, to FILE.writer.
"""

import cProfile
import signal
import sys
import time
from contextlib import suppress

from monitor.cli.app import main
from monitor.store.writer import Writer


def profile_the_writer(path: str) -> None:
    """Have the writer's thread profiled, too."""
    serve = Writer._serve

    def profiled(writer: Writer) -> None:
        profile = cProfile.Profile(time.thread_time)
        profile.runcall(serve, writer)
        profile.dump_stats(path)

    Writer._serve = profiled  # type: ignore[method-assign]


if __name__ == "__main__":
    path = sys.argv[1]
    sys.argv = ["access-monitor", *sys.argv[2:]]
    profile_the_writer(f"{path}.writer")
    profile = cProfile.Profile(time.thread_time)
    signal.signal(signal.SIGUSR1, lambda *_: profile.enable())
    with suppress(SystemExit):
        main()
    profile.disable()
    profile.dump_stats(path)
