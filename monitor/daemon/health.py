"""Whether the monitor makes progress: defined here, once, for the watchdog, the heartbeat, the commands.

Pure. The daemon judges its own progress; the commands judge, in other processes, what the daemon noted.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from monitor.store.records import DaemonRow

#: Seconds between two notes of progress in the database.
NOTE_EVERY = 15.0
#: The oldest note of a daemon that is alive: two notes may be missed, and a disk may be busy.
FRESH = timedelta(seconds=45)

#: Seconds without a beat; a beat reads and writes, so it also shows a database that hangs.
_BEAT_MOST = 30.0
#: Seconds without a commit: the database is busy for seconds, not for a minute.
_WRITTEN_MOST = 60.0
#: Seconds without the end of a probe while some are due: the longest probe takes 180, and a route
#: that refuses everybody, or an organization's gap, lets one through a minute or two.
_PROBED_MOST = 360.0
#: Seconds between two signs of a channel beside the time that one delivery may take: it checks every 15.
_TOLD_MOST = 60.0


@dataclass(frozen=True, slots=True)
class Progress:
    """Seconds since each part last moved, by a clock that never steps.

    `probed` is since a probe last ended, or since none was due; `told` since the slowest channel last
    finished a round or an attempt, whose longest is `delivery_most`.
    """

    beat: float
    written: float
    probed: float
    told: float
    delivery_most: float


def stalled(progress: Progress) -> tuple[str, ...]:
    """The parts that do not move, in words for the log and for people; empty while there is progress."""
    parts = (
        ("the loop has not come round", progress.beat, _BEAT_MOST),
        ("nothing could be written to the database", progress.written, _WRITTEN_MOST),
        ("probes are due and none has ended", progress.probed, _PROBED_MOST),
        ("the outbox has not moved", progress.told, _TOLD_MOST + progress.delivery_most),
    )
    return tuple(
        f"{what} for {seconds:.0f} s (at most {most:.0f})"
        for what, seconds, most in parts
        if seconds > most
    )


def trouble(daemon: DaemonRow | None, now: datetime) -> str | None:
    """What is wrong with the daemon that owns a database, by its row; None when it is well.

    The one rule for whether it is alive: for `healthcheck`, and whatever else shows or counts on it.
    """
    if daemon is None:
        return "no daemon has had this database yet"
    who = f"process {daemon.pid}, started {daemon.started_at:%Y-%m-%dT%H:%M:%SZ}"
    if daemon.stopped_at is not None:
        return f"the daemon is stopped since {daemon.stopped_at:%Y-%m-%dT%H:%M:%SZ} ({who})"
    age = now - daemon.progress_at
    if abs(age) > FRESH:
        seconds = age.total_seconds()
        when = f"{seconds:.0f} s ago" if seconds > 0 else f"{-seconds:.0f} s in the future"
        most = FRESH.total_seconds()
        return (
            f"the daemon's last sign of life is {when}, and {most:.0f} s is the most:"
            f" it hangs or was killed ({who})"
        )
    if problems := daemon.status.get("stalled"):
        said = problems if isinstance(problems, list) else [problems]
        return f"the daemon makes no progress: {'; '.join(map(str, said))} ({who})"
    return None
