"""What progress is: the rules, on plain values."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from monitor.daemon.health_reporter import NOTE_EVERY, stalled
from monitor.store.records import DaemonRow
from monitor.store.status_queries import FRESH, trouble

WELL = {"beat": 1, "written": 14, "probed": 100, "told": 14, "delivery_most": 10}
NOW = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
ROW = DaemonRow(
    pid=42,
    started_at=NOW - timedelta(days=1),
    progress_at=NOW - timedelta(seconds=10),
    stopped_at=None,
    status={"targets": 2, "stalled": []},
)


def test_while_everything_moves_there_is_progress():
    assert stalled(**WELL) == ()


@pytest.mark.parametrize(
    ("what", "just", "words"),
    [
        ("beat", 30, "the main loop has not run for 31 s (at most 30)"),
        ("written", 60, "nothing could be written to the database for 61 s (at most 60)"),
        ("probed", 360, "probes are due, but none has finished for 361 s (at most 360)"),
        ("told", 70, "a channel has made no progress for 71 s (at most 70)"),
    ],
)
def test_each_part_has_its_time_and_is_named_after_it(what, just, words):
    assert stalled(**WELL | {what: just}) == ()
    assert stalled(**WELL | {what: just + 1}) == (words,)


def test_a_slow_channel_has_the_time_that_one_delivery_may_take():
    assert stalled(**WELL | {"told": 170, "delivery_most": 120}) == ()


def test_everything_that_stands_still_is_said():
    assert len(stalled(**dict.fromkeys(WELL, 1000) | {"delivery_most": 10})) == 4


def test_a_daemon_that_noted_progress_lately_is_well():
    assert trouble(ROW, NOW) is None
    assert trouble(replace(ROW, progress_at=NOW - FRESH), NOW) is None


def test_a_daemon_without_a_recent_sign_hangs_or_was_killed():
    said = trouble(replace(ROW, progress_at=NOW - timedelta(seconds=46)), NOW)
    assert said.startswith("the daemon's last report is 46 s ago, and 45 s is the limit")
    assert "process 42" in said


def test_a_sign_from_the_future_is_none():
    said = trouble(replace(ROW, progress_at=NOW + timedelta(hours=1)), NOW)
    assert "3600 s in the future" in said


def test_a_daemon_that_lives_and_makes_no_progress_says_what_stands_still():
    said = trouble(
        replace(ROW, status={"stalled": ["a channel has made no progress for 71 s"]}), NOW
    )
    assert said.startswith("the daemon makes no progress: a channel has made no progress for 71 s")


def test_a_stopped_daemon_and_no_daemon_are_told_apart():
    assert "is stopped since 2026-11-20T12:00:00Z" in trouble(replace(ROW, stopped_at=NOW), NOW)
    assert trouble(None, NOW) == "no daemon has used this database yet"


def test_two_notes_may_be_missed_before_it_is_called_ill():
    assert timedelta(seconds=2 * NOTE_EVERY) < FRESH <= timedelta(seconds=60 - NOTE_EVERY)
