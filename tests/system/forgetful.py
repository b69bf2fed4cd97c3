"""The daemon that keeps few log lines: `forgetful.py N run …` keeps N where people's keeps 10,000."""

import sys

from monitor import logs
from monitor.cli.app import main

if __name__ == "__main__":
    logs._MOST = int(sys.argv[1])
    sys.argv = ["access-monitor", *sys.argv[2:]]
    main()
