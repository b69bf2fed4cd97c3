"""What a service manager is told, over a real socket."""

import contextlib
import socket
import time

import pytest

from monitor.daemon.service_manager import ServiceManager


@pytest.fixture(params=["path", "abstract"])
def listening(request, tmp_path):
    """A manager's socket, and the environment that names it."""
    end = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    with contextlib.closing(end):
        if request.param == "path":
            end.bind(name := str(tmp_path / "notify"))
        else:
            end.bind("")  # the system picks an abstract name
            name = "@" + end.getsockname()[1:].decode()
        end.settimeout(5)
        yield end, {"NOTIFY_SOCKET": name}


def test_each_call_is_one_datagram_of_lines(listening):
    end, environ = listening
    manager = ServiceManager(environ)
    manager.ready("2 targets: 2 unknown; 0 alerts pending")
    assert end.recv(1000) == b"READY=1\nSTATUS=2 targets: 2 unknown; 0 alerts pending"
    manager.alive()
    assert end.recv(1000) == b"WATCHDOG=1"
    manager.stopping()
    assert end.recv(1000) == b"STOPPING=1\nSTATUS=stopping"


def test_reloading_carries_the_monotonic_time_as_it_is_wanted(listening):
    end, environ = listening
    before = time.monotonic_ns() // 1000
    ServiceManager(environ).reloading()
    reloading, stamp = end.recv(1000).decode().split("\n")
    assert reloading == "RELOADING=1"
    name, _, value = stamp.partition("=")
    assert name == "MONOTONIC_USEC"
    assert before <= int(value) <= time.monotonic_ns() // 1000


def test_a_status_is_told_when_it_changes_only(listening):
    end, environ = listening
    manager = ServiceManager(environ)
    manager.ready("one")
    manager.status("one")
    manager.status("two")
    manager.status("two")
    manager.alive()
    assert [end.recv(1000) for _ in range(3)] == [
        b"READY=1\nSTATUS=one",
        b"STATUS=two",
        b"WATCHDOG=1",
    ]


@pytest.mark.parametrize("environ", [{}, {"NOTIFY_SOCKET": ""}, {"NOTIFY_SOCKET": "vsock:2:1"}])
def test_without_a_manager_nothing_is_done(environ):
    manager = ServiceManager(environ)
    assert not manager.there
    manager.ready("")
    manager.alive()


def test_a_manager_that_is_gone_or_does_not_read_is_no_error(tmp_path, listening):
    ServiceManager({"NOTIFY_SOCKET": str(tmp_path / "gone")}).alive()
    _, environ = listening
    manager = ServiceManager(environ)
    for _ in range(10_000):  # far more than a socket holds
        manager.alive()
