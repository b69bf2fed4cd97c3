"""`python -m monitor` is `access-monitor`."""

from monitor.cli.app import main

if __name__ == "__main__":
    main()
