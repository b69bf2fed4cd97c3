"""What `status` says of the daemon."""

from datetime import UTC, datetime

from monitor.cli.status import _daemon_line
from monitor.store.records import DaemonRow

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)


def test_missed_rounds_are_named():
    def line(**status):
        return _daemon_line(DaemonRow(7, NOW, NOW, None, status), NOW)

    assert line() == line(rounds_missed=0) == "daemon: running since 2026-11-20T12:00:00Z (pid 7)"
    assert line(rounds_missed=8267).endswith(
        "(pid 7); 8,267 rounds of probes were missed since then"
    )
