"""The container's first process, by itself: status, signals, terminal; reaping needs to be process 1."""

import os
import pty
import signal
import subprocess
import sys
from pathlib import Path

import pytest

INIT = Path(__file__).resolve().parents[3] / "deploy" / "container" / "init.py"
TOLD = """
import signal, sys
signal.signal(signal.{name}, lambda *_: sys.exit(7))
print("ready", flush=True)
signal.pause()
"""


def command(*words):
    return [sys.executable, "-I", "-S", str(INIT), *words]


@pytest.mark.parametrize("status", [0, 1, 13])
def test_it_ends_with_the_commands_status(status):
    done = subprocess.run(command("sh", "-c", f"exit {status}"), timeout=30, check=False)
    assert done.returncode == status


def test_it_ends_with_128_and_the_number_of_the_signal_that_ended_the_command():
    done = subprocess.run(command("sh", "-c", "kill -KILL $$"), timeout=30, check=False)
    assert done.returncode == 128 + signal.SIGKILL


@pytest.mark.parametrize("words", [(), ("no-such-command-here",)])
def test_what_cannot_be_started_is_127_with_the_reason(words):
    done = subprocess.run(command(*words), timeout=30, check=False, capture_output=True, text=True)
    assert done.returncode == 127
    assert done.stderr.startswith(f"init: {list(words)}: ")


@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT", "SIGHUP", "SIGUSR1"])
def test_signals_are_passed_on(name):
    words = command(sys.executable, "-c", TOLD.format(name=name))
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "ready\n"
        process.send_signal(getattr(signal, name))
        assert process.wait(30) == 7


def test_a_signal_that_the_command_does_not_handle_ends_it():
    with subprocess.Popen(command("sleep", "60")) as process:
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
        while not children.read_text():
            assert process.poll() is None
        process.terminate()
        assert process.wait(30) == 128 + signal.SIGTERM


def test_the_command_has_the_signals_as_programs_expect_them():
    script = "grep -E '^Sig(Blk|Ign)' /proc/self/status"
    done = subprocess.run(
        command("sh", "-c", script), capture_output=True, text=True, timeout=30, check=True
    )
    # the 31 ordinary signals: what lies above is the C library's own
    masks = [int(line.split()[1], 16) & 0x7FFF_FFFF for line in done.stdout.splitlines()]
    assert masks == [0, 0]


def test_ctrl_c_reaches_the_command_from_the_terminal_and_not_by_way_of_init_as_well():
    # the terminal tells its foreground group: the command has to be in it, and init must not be
    script = (
        "import os, signal\n"
        "signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})\n"
        "mine = os.getpgrp()\n"
        "print('alone', os.tcgetpgrp(0) == mine != os.getpgid(os.getppid()), flush=True)\n"
        "print('came', signal.sigwait({signal.SIGINT}), 'end', flush=True)\n"
    )
    pid, terminal = pty.fork()
    if pid == 0:
        os.execv(sys.executable, command(sys.executable, "-c", script))
    said = b""
    while b"alone" not in said or not said.endswith(b"\n"):
        said += os.read(terminal, 1000)
    assert b"alone True" in said
    os.write(terminal, b"\x03")
    while b"end" not in said:
        said += os.read(terminal, 1000)
    assert b"came 2 end" in said
    assert os.waitpid(pid, 0)[1] == 0
    os.close(terminal)
