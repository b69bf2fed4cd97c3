"""Whether the daemon of a database is alive, by what it noted there.

The one rule: for `healthcheck`, and for all else that shows it or relies on it.
"""

from datetime import datetime, timedelta

from monitor.access.databases import Database, Server
from monitor.store.records import DaemonRow

#: In the lock's file, of equal length: whether the database takes results.
ACCEPTS, REFUSES = b"accepts", b"refuses"

#: The oldest last note of a live daemon: two notes may be missed, and a disk may be busy.
FRESH = timedelta(seconds=45)


def trouble(daemon: DaemonRow | None, now: datetime) -> str | None:
    """What is wrong with the daemon of a database, by its row; None when it is well."""
    if daemon is None:
        return "no daemon has used this database yet"
    who = f"process {daemon.pid}, started {daemon.started_at:%Y-%m-%dT%H:%M:%SZ}"
    if daemon.stopped_at is not None:
        return f"the daemon is stopped since {daemon.stopped_at:%Y-%m-%dT%H:%M:%SZ} ({who})"
    age = now - daemon.progress_at
    if abs(age) > FRESH:
        seconds = age.total_seconds()
        when = f"{seconds:.0f} s ago" if seconds > 0 else f"{-seconds:.0f} s in the future"
        most = FRESH.total_seconds()
        return (
            f"the daemon's last report is {when}, and {most:.0f} s is the limit:"
            f" it hangs or was killed ({who})"
        )
    if problems := daemon.status.get("stalled"):
        said = problems if isinstance(problems, list) else [problems]
        return f"the daemon makes no progress: {'; '.join(map(str, said))} ({who})"
    return None


def is_refusing(database: Database) -> bool:
    """Whether the daemon of a database says that it refuses results, or said so last.

    Of a server it can say so nowhere.
    """
    if isinstance(database, Server):
        return False
    try:
        words = database.with_name(f"{database.name}.lock").read_bytes().split()
    except OSError:
        return False
    return words[1:] == [REFUSES]
