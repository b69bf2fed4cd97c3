"""The log's own thread: order, what is too much, exceptions."""

import json
import logging
import os
import threading

import structlog

from monitor.logs import QueuedHandler, Straight


class Slow(logging.Handler):
    """Writes nothing until it may."""

    def __init__(self) -> None:
        super().__init__()
        self.may = threading.Event()
        self.seen: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.may.wait(20)
        self.seen.append(record.getMessage())


def record(text: str) -> logging.LogRecord:
    return logging.LogRecord("test", logging.INFO, "", 0, text, None, None)


def test_events_come_in_order_and_the_end_waits_for_them():
    slow = Slow()
    handler = QueuedHandler(slow)
    for n in range(100):
        handler.emit(record(str(n)))
    assert slow.seen == []
    slow.may.set()
    handler.close()
    assert slow.seen == [str(n) for n in range(100)]


def test_what_is_too_much_is_counted_and_said_when_there_is_room_again():
    slow = Slow()
    handler = QueuedHandler(slow)
    for n in range(10_500):
        handler.emit(record(str(n)))
    slow.may.set()
    while handler._records.qsize():
        handler._thread.join(0.01)
    with structlog.testing.capture_logs() as logs:
        handler.emit(record("last"))
        handler.emit(record("really"))
    handler.close()
    assert [entry["event"] for entry in logs] == ["log_lines_lost"]
    assert 498 <= logs[0]["lines"] <= 500
    assert slow.seen[-2:] == ["last", "really"]


def test_an_exception_is_taken_along_to_the_other_thread():
    slow = Slow()
    handler = QueuedHandler(slow)
    event = record("")
    event.msg = {"event": "failed", "exc_info": True}
    try:
        raise ValueError("of the caller")
    except ValueError:
        handler.emit(event)
    assert str(event.msg["exc_info"][1]) == "of the caller"
    slow.may.set()
    handler.close()


def test_a_straight_stream_writes_everything_at_once():
    out, into = os.pipe()
    Straight(into).write(json.dumps({"text": "añb"}, ensure_ascii=False))
    assert json.loads(os.read(out, 100)) == {"text": "añb"}
    os.close(out)
    os.close(into)
