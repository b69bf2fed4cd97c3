"""The daemon whose database may not grow while a file exists: `limited.py FILE run --config FILE`.

SQLite's `max_page_count` belongs to a connection, and only the daemon's own counts: the writer is
wrapped here, so that the program itself has no switch for tests.
"""

import sys
from pathlib import Path
from typing import Any

from monitor.cli.app import main
from monitor.store.writer import Writer

UNLIMITED = 1_073_741_823


def limit(switch: Path) -> None:
    original = Writer._carry_out

    def carry_out(self: Writer, batch: Any) -> Any:
        connection: Any = self._connection.connection.dbapi_connection
        # a limit below the present size is that size
        connection.execute(f"PRAGMA max_page_count = {1 if switch.exists() else UNLIMITED}")
        return original(self, batch)

    Writer._carry_out = carry_out  # type: ignore[method-assign]


if __name__ == "__main__":
    limit(Path(sys.argv[1]))
    sys.argv = ["access-monitor", *sys.argv[2:]]
    main()
