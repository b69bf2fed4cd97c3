"""The daemon in a hurry: `hurried.py run …` gives a probe 2 s and a connection 1 s, where people wait 60 s.

A hanging server is to be waited for in a test; the program itself has no switch for it.
"""

from dataclasses import replace
from typing import Any

from monitor.cli.app import main
from monitor.probing import prober

SECONDS = 2.0

if __name__ == "__main__":
    original = prober.probe_request

    def hurried(*arguments: Any) -> Any:
        return replace(original(*arguments), timeout=SECONDS)

    prober.probe_request = hurried
    prober._CONNECT_TIMEOUT = 1.0
    main()
