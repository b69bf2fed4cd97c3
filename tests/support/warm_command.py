"""The installed command, forked from a process that has the libraries: they take most of a start's time.

What is ours is loaded anew in each fork, so a command that lacks an import fails here, too. A test of the
process itself (signals, streams, what the interpreter reads at its start) starts the command instead.
"""

import asyncio
import multiprocessing
import os
import runpy
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from multiprocessing.process import BaseProcess
from pathlib import Path
from tempfile import TemporaryDirectory

COMMAND = Path(sys.executable).with_name("access-monitor")
_FORKS = multiprocessing.get_context("forkserver")
_FORKS.set_forkserver_preload(
    ["typer.main", "rich.table", "pydantic", "sqlmodel", "alembic.command", "httpx", "apprise",
     "structlog", "aiohttp.web", "jinja2"]
)  # fmt: skip


def fork(
    arguments: Sequence[str], folder: Path, environ: Mapping[str, str], out: Path, err: Path
) -> BaseProcess:
    """Start the command in a folder; what it prints is added to these files."""
    given = ([*arguments], folder, {**environ}, out, err)
    process = _FORKS.Process(target=_run, args=given, daemon=True)
    process.start()
    return process


async def forked(
    arguments: Sequence[str], folder: Path, environ: Mapping[str, str]
) -> tuple[int, str, str]:
    """Run the command to its end. Returns its status and what it printed."""
    with TemporaryDirectory(prefix="call-") as name:
        out, err = Path(name) / "out", Path(name) / "err"
        process = fork(arguments, folder, environ, out, err)
        loop, ended = asyncio.get_running_loop(), asyncio.Event()
        loop.add_reader(process.sentinel, ended.set)
        try:
            await ended.wait()
        finally:
            loop.remove_reader(process.sentinel)
        process.join()
        assert process.exitcode is not None
        return process.exitcode, out.read_text(), err.read_text()


def _run(arguments: list[str], folder: Path, environ: dict[str, str], out: Path, err: Path) -> None:
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environ)
    # what was read of the environment before
    time.tzset()
    tempfile.tempdir = None
    for number, path in enumerate((Path(os.devnull), out, err)):
        opened = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
        os.dup2(opened, number)
        os.close(opened)
    sys.argv = [str(COMMAND), *arguments]
    runpy.run_path(str(COMMAND), run_name="__main__")
