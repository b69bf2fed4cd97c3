"""The daemon, killed by SIGKILL at a named step of the pipeline: `stepped.py STEP N run --config FILE`.

The steps are places between two statements of the program, reached by wrapping its functions here, so
that the program itself has no switch for tests. The process kills itself when the step is reached for
the Nth time.
"""

import inspect
import os
import signal
import sys
from collections.abc import Callable
from typing import Any

from monitor.alerts.apprise_channel import AppriseChannel
from monitor.cli.app import main
from monitor.daemon.pipeline import Pipeline
from monitor.store import silences
from monitor.store.outbox import Outbox
from monitor.store.writer import Writer

#: Step: the class or module and the function it is at, and whether the kill comes before or after it.
STEPS: dict[str, tuple[Any, str, str]] = {
    "after the answer": (Pipeline, "record", "before"),
    "before the commit": (Writer, "_carry_out", "before"),
    "after the commit": (Writer, "_carry_out", "after"),
    "after the claim": (Outbox, "claim", "after"),
    "after the send": (AppriseChannel, "send", "after"),
    "before the mark": (Outbox, "delivered", "before"),
    "before a silence": (silences.Silences, "make", "before"),
    "after a silence": (silences.Silences, "make", "after"),
    "before a silence's end": (silences.Silences, "end", "before"),
    "within a silence's end": (silences, "_end", "after"),
    "after a silence's end": (silences.Silences, "end", "after"),
}


def wrap(owner: Any, name: str, when: str, count: int) -> None:
    original: Callable[..., Any] = getattr(owner, name)
    left = count

    def reached(*arguments: Any) -> bool:
        """Whether this is the call to be killed at; of a group its changes count."""
        nonlocal left
        before = left
        left -= sum(entry.ordered for entry in arguments[1]) if owner is Writer else 1
        return left <= 0 < before

    def kill_if(it: object) -> None:
        if it:
            os.kill(os.getpid(), signal.SIGKILL)

    async def stepped(*arguments: Any, **more: Any) -> Any:
        last = reached(*arguments)
        kill_if(last and when == "before")
        result = await original(*arguments, **more)
        kill_if(last and when == "after")
        return result

    def stepped_in_a_thread(*arguments: Any) -> Any:
        last = reached(*arguments)
        kill_if(last and when == "before")
        result = original(*arguments)
        kill_if(last and when == "after")
        return result

    setattr(owner, name, stepped if inspect.iscoroutinefunction(original) else stepped_in_a_thread)


if __name__ == "__main__":
    wrap(*STEPS[sys.argv[1]], int(sys.argv[2]))
    sys.argv = ["access-monitor", *sys.argv[3:]]
    main()
