"""What the journal is given: fields, priorities, no secret, over a real socket."""

import contextlib
import io
import json
import logging
import os
import socket
import struct

import pytest
import structlog

from monitor import logs
from monitor.access.masking import Redactor
from monitor.logs import JournalHandler, entry, is_journal

KEY = "canary-FAKE-key-0001"


def fields(data: bytes) -> dict[str, str]:
    """The native protocol, read as its description has it."""
    found = {}
    while data:
        line, _, data = data.partition(b"\n")
        name, is_text, value = line.partition(b"=")
        if not is_text:
            (length,) = struct.unpack("<Q", data[:8])
            value, data = data[8 : 8 + length], data[9 + length :]
        found[name.decode()] = value.decode()
    return found


def test_an_event_becomes_a_message_and_fields():
    event = {
        "event": "transition",
        "level": "info",
        "timestamp": "t",
        "target": "a/b:images",
        "ids": [1, 2],
        "status": None,
    }
    assert fields(entry(event)) == {
        "MESSAGE": "transition target=a/b:images ids=[1, 2]",
        "PRIORITY": "6",
        "SYSLOG_IDENTIFIER": "access-monitor",
        "EVENT": "transition",
        "TARGET": "a/b:images",
        "IDS": "[1, 2]",
    }


@pytest.mark.parametrize(
    ("level", "priority"), [("critical", "2"), ("error", "3"), ("warning", "4"), ("debug", "7")]
)
def test_each_level_has_its_priority(level, priority):
    assert fields(entry({"event": "x", "level": level}))["PRIORITY"] == priority


def test_a_text_of_several_lines_cannot_forge_a_field():
    found = fields(entry({"event": "failed", "exception": "one\nPRIORITY=0\ntwo"}))
    assert found["EXCEPTION"] == "one\nPRIORITY=0\ntwo"
    assert found["MESSAGE"] == "failed\none\nPRIORITY=0\ntwo"
    assert found["PRIORITY"] == "6"


def test_names_that_the_journal_refuses_or_that_are_its_own_are_not_used():
    found = fields(entry({"event": "x", "message": "said", "_pid": 1, "a-b": 2, "é": 3}))
    assert found["MESSAGE"] == "x message=said _pid=1 a-b=2 é=3"
    assert {"PID", "A_B"} <= found.keys()
    assert all(name.isascii() and name[0] != "_" for name in found)


def test_the_stream_is_the_journal_when_its_device_and_inode_say_so(tmp_path, monkeypatch):
    with (tmp_path / "stream").open("w") as stream:
        about = os.fstat(stream.fileno())
        monkeypatch.setenv("JOURNAL_STREAM", "8:1")
        assert not is_journal(stream)
        monkeypatch.delenv("JOURNAL_STREAM")
        assert not is_journal(stream)
        monkeypatch.setenv("JOURNAL_STREAM", f"{about.st_dev}:{about.st_ino}")
        assert is_journal(stream)
    assert not is_journal(io.StringIO())


@pytest.fixture
def journald(tmp_path, monkeypatch):
    """A journal's socket, and logging as under a service manager."""
    path = tmp_path / "socket"
    with (
        contextlib.closing(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)) as end,
        (tmp_path / "stderr").open("w+") as stream,
    ):
        end.bind(str(path))
        end.settimeout(5)
        about = os.fstat(stream.fileno())
        monkeypatch.setenv("JOURNAL_STREAM", f"{about.st_dev}:{about.st_ino}")
        monkeypatch.setattr(logs, "SOCKET", str(path))
        logs.configure(Redactor([KEY]), stream=stream)
        yield end, path, stream
        for handler in logging.getLogger().handlers:
            handler.close()
        logging.getLogger().handlers[:] = []
        structlog.reset_defaults()


def test_the_log_of_a_service_goes_to_the_journal_redacted_last(journald):
    end, _, stream = journald
    try:
        raise ValueError(f"the key {KEY} is wrong")
    except ValueError:
        structlog.get_logger().exception("failed", target="a/b:images", note=KEY)
    data = end.recv(100_000)
    assert KEY.encode() not in data
    found = fields(data)
    assert found["TARGET"] == "a/b:images"
    assert found["PRIORITY"] == "3"
    assert "[hidden]" in found["NOTE"]
    assert "ValueError" in found["MESSAGE"]
    stream.seek(0)
    assert stream.read() == ""


def test_while_the_journal_does_not_listen_lines_carry_their_priority(journald):
    end, path, stream = journald
    end.close()
    path.unlink()
    structlog.get_logger().warning("odd", target="a/b:images", note=KEY)
    stream.seek(0)
    line = stream.read()
    assert line.startswith("<4>{")
    assert KEY not in line
    assert json.loads(line.removeprefix("<4>"))["target"] == "a/b:images"


def test_what_does_not_fit_is_cut(tmp_path, monkeypatch):
    path = tmp_path / "socket"
    monkeypatch.setattr(logs, "SOCKET", str(path))
    with contextlib.closing(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)) as end:
        end.bind(str(path))
        handler = JournalHandler(io.StringIO())
        handler.setFormatter(logging.Formatter("%(message)s"))
        event = json.dumps({"event": "x", "said": "é" * 1_000_000})
        handler.emit(logging.makeLogRecord({"msg": event}))
        assert len(fields(end.recv(1_000_000))["SAID"]) == 16_000
        handler.close()
