"""What a worker is called, and how `status` shows it."""

import socket
from dataclasses import replace
from datetime import UTC, datetime
from types import SimpleNamespace

import pytest
import typer

from monitor.cli.daemon_commands import _worker_name
from monitor.cli.status import _worker_line
from monitor.config.settings import Fleet
from monitor.store.records import WorkerStatus


def settings(fleet: Fleet | None) -> SimpleNamespace:
    return SimpleNamespace(fleet=fleet)


def test_it_is_the_machines_name_unless_one_is_given():
    assert _worker_name(settings(None), None) is None
    assert _worker_name(settings(Fleet()), None) == socket.gethostname()
    assert _worker_name(settings(Fleet("b")), None) == "b"
    assert _worker_name(settings(Fleet("b")), "a") == "a"


@pytest.mark.parametrize(
    ("fleet", "given", "says"),
    [
        (None, "a", "--worker: the settings have no [fleet]; add it, or leave the option out"),
        (Fleet(), "a\nb", "give a printable name of at most 100 characters"),
        (Fleet(), "a" * 101, "give a printable name of at most 100 characters"),
    ],
)
def test_a_name_that_cannot_be_used_ends_with_2(capsys, fleet, given, says):
    with pytest.raises(typer.Exit) as ended:
        _worker_name(settings(fleet), given)
    assert ended.value.exit_code == 2
    assert says in capsys.readouterr().err


def test_status_has_a_line_for_each_worker():
    worker = WorkerStatus("a", "host-1, process 7", datetime.now(UTC), 0.4, 22, 1, False, False)
    assert _worker_line(worker) == "worker a: 22 shards, 1 target, seen 0 s ago (host-1, process 7)"
    assert _worker_line(replace(worker, offline=True)).endswith("; it reaches no route")
    assert (
        _worker_line(replace(worker, gone=True, seen_s=70.0))
        == "worker a: gone, last seen 70 s ago"
    )
