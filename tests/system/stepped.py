"""The daemon, killed by SIGKILL at a named step of the pipeline: `stepped.py STEP N run --config FILE`.

The steps are places between two statements of the program, reached by wrapping its functions here, so
that the program itself has no switch for tests. The process kills itself when the step is reached for
the Nth time.
"""

import os
import signal
import sys
from collections.abc import Callable
from typing import Any

from monitor.alerts.apprise_channel import Channel
from monitor.cli.app import main
from monitor.daemon.engine import Engine
from monitor.store.recorder import Recorder

#: Step: the method it is at, and whether the kill comes before or after it.
STEPS: dict[str, tuple[type, str, str]] = {
    "after the answer": (Engine, "answered", "before"),
    "before the commit": (Recorder, "write", "before"),
    "after the commit": (Recorder, "write", "after"),
    "after the claim": (Recorder, "claim", "after"),
    "after the send": (Channel, "send", "after"),
    "before the mark": (Recorder, "delivered", "before"),
}


def wrap(owner: type, name: str, when: str, count: int) -> None:
    original: Callable[..., Any] = getattr(owner, name)
    left = count

    async def stepped(*arguments: Any, **more: Any) -> Any:
        nonlocal left
        left -= 1
        last = left == 0
        if last and when == "before":
            os.kill(os.getpid(), signal.SIGKILL)
        result = await original(*arguments, **more)
        if last and when == "after":
            os.kill(os.getpid(), signal.SIGKILL)
        return result

    setattr(owner, name, stepped)


if __name__ == "__main__":
    wrap(*STEPS[sys.argv[1]], int(sys.argv[2]))
    sys.argv = ["access-monitor", *sys.argv[3:]]
    main()
