"""The daemon under cProfile, in processor time: `profiled.py FILE run --config FILE`.

The loop's figures are written to FILE at its end, those of the writer's thread to FILE.writer.
"""

import cProfile
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
    with suppress(SystemExit):
        profile.runcall(main)
    profile.dump_stats(path)
