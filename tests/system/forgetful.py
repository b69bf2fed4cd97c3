"""The daemon that keeps few log lines: `forgetful.py N run …` keeps N where people's keeps 10,000."""

import sys

from monitor.cli.app import main
from monitor.logs import log_handlers

if __name__ == "__main__":
    log_handlers._MOST = int(sys.argv[1])
    sys.argv = ["access-monitor", *sys.argv[2:]]
    main()
