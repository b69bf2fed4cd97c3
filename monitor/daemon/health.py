"""Whether the daemon makes progress, as it judges itself: for the watchdog, the heartbeat and its notes.

Pure. Other processes judge by what it noted; see `monitor/store/status_queries.py`.
"""

from dataclasses import dataclass

#: Seconds between two notes of progress in the database.
NOTE_EVERY = 15.0

#: Most seconds without a beat. A beat reads and writes, so it also shows a database that hangs.
_BEAT_MOST = 30.0
#: Most seconds without a commit: a database is busy for seconds, not for a minute.
_WRITTEN_MOST = 60.0
#: Most seconds without the end of a probe while some are due: the longest probe takes 180, and a route
#: that refuses everybody, or an organization's gap, lets one through every minute or two.
_PROBED_MOST = 360.0
#: Most seconds between two rounds of a channel, besides the time of one delivery: it checks every 15.
_TOLD_MOST = 60.0


@dataclass(frozen=True, slots=True)
class Progress:
    """Seconds since each part last made progress, by a clock that never steps.

    `probed` counts since a probe last ended, or since none was due; `told` since the slowest channel last
    finished a round or an attempt. An attempt may take `delivery_most` seconds.
    """

    beat: float
    written: float
    probed: float
    told: float
    delivery_most: float


def stalled(progress: Progress) -> tuple[str, ...]:
    """The parts that make no progress, in words for the log and for people; empty while all do."""
    parts = (
        ("the main loop has not run", progress.beat, _BEAT_MOST),
        ("nothing could be written to the database", progress.written, _WRITTEN_MOST),
        ("probes are due, but none has finished", progress.probed, _PROBED_MOST),
        ("a channel has made no progress", progress.told, _TOLD_MOST + progress.delivery_most),
    )
    return tuple(
        f"{what} for {seconds:.0f} s (at most {most:.0f})"
        for what, seconds, most in parts
        if seconds > most
    )
