"""The container's process 1: runs one command, passes signals on to it, and reaps what is orphaned.

The kernel spares process 1 every signal that it does not handle, and gives it all orphans: a command
that is process 1 itself cannot be stopped before its handlers are set, and leaves zombies. This does
only that, with what Python has, so that nothing is added to the image. It ends with the command's
status, or 128 + N if the command was ended by signal N.
"""

import os
import signal
import sys

#: Those of a fault are the process's own; the terminal's reach the command, which is in the foreground.
_OWN = {signal.SIGFPE, signal.SIGILL, signal.SIGSEGV, signal.SIGBUS, signal.SIGABRT, signal.SIGTRAP,
        signal.SIGTTIN, signal.SIGTTOU}  # fmt: skip


def main(command: list[str]) -> int:
    """Run the command to its end; the status to end with, 127 if it cannot be started."""
    taken = signal.valid_signals() - _OWN
    # Blocked before the command exists: a signal that comes early waits for it. The terminal's are
    # blocked, too, for a background process that takes the foreground would be stopped by them.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, taken | {signal.SIGTTIN, signal.SIGTTOU})
    child = os.fork()
    if child == 0:
        _become(command, before)
    while True:
        number = signal.sigwait(taken)
        if number != signal.SIGCHLD:
            os.kill(child, number)
            continue
        for pid, status in _ended():
            if pid == child:
                code = os.waitstatus_to_exitcode(status)
                return code if code >= 0 else 128 - code


def _become(command: list[str], mask: set[signal.Signals]) -> None:
    """Be the command, in a process group of its own: Ctrl-C then comes once, from the terminal."""
    try:
        os.setpgid(0, 0)
        if os.isatty(0):
            os.tcsetpgrp(0, os.getpgrp())
        # Python has its own ways with these; the command shall have them as every program expects them.
        for number in (signal.SIGINT, signal.SIGPIPE, signal.SIGXFSZ):
            signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        os.execvp(command[0], command)  # noqa: S606 - no shell is wanted
    except (OSError, IndexError) as error:
        sys.stderr.write(f"init: {command[:1]}: {error}\n")
    finally:
        os._exit(127)


def _ended() -> list[tuple[int, int]]:
    """All children that have ended, reaped: one signal may stand for several."""
    ended = []
    try:
        while (one := os.waitpid(-1, os.WNOHANG)) != (0, 0):
            ended.append(one)
    except ChildProcessError:
        pass
    return ended


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
