"""PostgreSQL by psycopg: connections, and queries in the form that both databases know.

Nothing here outlives a transaction but the time zone, which PgBouncer keeps for each client: it may share
server connections between transactions. Therefore no prepared statements, and no locks of a session.
"""

import atexit
import os
import re
import socket
import threading
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import lru_cache
from typing import Any

from monitor.access.databases import Server
from monitor.store.connections import Connection, Rows
from monitor.store.errors import BUSY_TIMEOUT, StoreError, one_line, require_head

try:
    import psycopg
    from psycopg.conninfo import conninfo_to_dict, make_conninfo
except ImportError as error:
    raise StoreError(
        f"PostgreSQL needs another package ({error}): pip install 'access-monitor[postgres]'"
    ) from error

#: What is asked of a connection unless the address says otherwise. One that is cut is noticed within 20 s.
_USUAL = {
    "connect_timeout": f"{BUSY_TIMEOUT:.0f}",
    "application_name": "access-monitor",
    "keepalives_idle": "10",
    "keepalives_interval": "5",
    "keepalives_count": "2",
    "tcp_user_timeout": "20000",
    "target_session_attrs": "read-write",  # of several hosts the primary
}
#: Seconds that a read, or a transaction that writes, takes at most: a server may hang.
READ_MOST, WRITE_MOST = 15.0, 30.0
#: Connections that are kept for the next reads of this process.
_IDLE_MOST = 4

_BEGIN = """
    BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY;
    SELECT version_num FROM alembic_version
"""
_BEGIN_WRITING = f"""
    BEGIN; SET LOCAL lock_timeout = '{BUSY_TIMEOUT:.0f}s';
    SELECT version_num FROM alembic_version
"""
#: Text in quotes, a sign that psycopg reads, or a placeholder of SQLite's.
_SIGNS = re.compile(r"'(?:[^']|'')*'|%|\?|(?<![:\w]):([a-z_][a-z_0-9]*)")

_idle: dict[Server, deque[psycopg.Connection[Any]]] = {}


@atexit.register
def _close_idle() -> None:
    for kept in _idle.values():
        while kept:
            kept.pop().close()


def connect(server: Server, *, autocommit: bool = False) -> psycopg.Connection[Any]:
    """A new connection, whose times are UTC. Raises psycopg's errors."""
    address = ""
    with suppress(psycopg.Error):  # its words may hold the address
        given = conninfo_to_dict(server.reveal())
        usual = {name: value for name, value in _USUAL.items() if name not in given}
        address = make_conninfo(server.reveal(), **usual)
    if not address:
        raise StoreError(
            f"{server}: its address cannot be read; compare it with libpq's documentation"
        )
    connection = psycopg.connect(address, autocommit=True, prepare_threshold=None)
    connection.execute("SET TIME ZONE 'UTC'")
    connection.autocommit = autocommit
    return connection


@contextmanager
def cut_after(seconds: float | None, connection: psycopg.Connection[Any] | None) -> Iterator[None]:
    """Cut the connection when what is done meanwhile takes longer; None: never.

    Whoever waits for the server is told then that it has closed the connection.
    """
    if seconds is None or connection is None:
        yield
        return

    def cut() -> None:
        with (
            suppress(OSError, psycopg.Error),
            socket.socket(fileno=os.dup(connection.fileno())) as its,
        ):
            its.shutdown(socket.SHUT_RDWR)

    timer = threading.Timer(seconds, cut)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


@contextmanager
def transaction(server: Server, *, writes: bool) -> Iterator[Connection]:
    """As those of `connections`; other writers are not kept out."""
    begin, most = (_BEGIN_WRITING, WRITE_MOST) if writes else (_BEGIN, READ_MOST)
    kept = _idle.setdefault(server, deque(maxlen=_IDLE_MOST))
    with errors(server):
        connection, found = _begun(server, kept, begin, most)
        try:
            with cut_after(most, connection):
                require_head(server, found)
                yield _Translating(connection)
                connection.execute("COMMIT" if writes else "ROLLBACK")
        except BaseException:
            connection.close()
            raise
        if len(kept) < _IDLE_MOST:
            kept.append(connection)
        else:
            connection.close()


def _begun(
    server: Server, kept: "deque[psycopg.Connection[Any]]", begin: str, most: float
) -> tuple[psycopg.Connection[Any], str | None]:
    """A connection in a transaction, and the revision of the tables."""
    while True:
        try:
            connection, used = kept.pop(), True
        except IndexError:
            connection, used = connect(server, autocommit=True), False
        connection.row_factory = _rows
        try:
            with cut_after(most, connection):
                cursor = connection.execute(begin.encode())
                while cursor.nextset():
                    pass
                row = cursor.fetchone()
            return connection, str(row[0]) if row else None
        except psycopg.errors.UndefinedTable:
            connection.execute("ROLLBACK")
            return connection, None
        except psycopg.Error:
            connection.close()
            if not used:  # one that was kept may be of a server that is gone
                raise


def said(error: psycopg.Error) -> str:
    """What the server or the library says, in one line; the server's own words have no values."""
    return one_line(error.diag.message_primary or str(error))


@contextmanager
def errors(server: Server) -> Iterator[None]:
    """Turn psycopg's exceptions into a StoreError that names the database and the cause."""
    try:
        yield
    except psycopg.Error as error:
        raise StoreError(f"{server}: {said(error)}") from error
    except (ValueError, TypeError, LookupError) as error:
        raise StoreError(f"{server}: the database is damaged (a value cannot be read)") from error


class _Translating:
    """A connection that takes SQLite's placeholders."""

    def __init__(self, connection: psycopg.Connection[Any]) -> None:
        self._connection = connection

    def execute(self, sql: str, values: Sequence[Any] | Mapping[str, Any] = (), /) -> Rows:
        return self._connection.execute(_translated(sql), values)


@lru_cache(maxsize=256)
def _translated(sql: str) -> bytes:
    def sign(found: re.Match[str]) -> str:
        text = found.group()
        if text == "?":
            return "%s"
        return f"%({found[1]})s" if found[1] else text.replace("%", "%%")

    return _SIGNS.sub(sign, sql).encode()


def _rows(cursor: psycopg.Cursor[Any]) -> Any:
    """Rows whose columns have positions and names, as SQLite's."""
    return _form(tuple(column.name for column in cursor.description or ()))


@lru_cache(maxsize=256)
def _form(names: tuple[str, ...]) -> type[tuple[Any, ...]]:
    places = {name: place for place, name in enumerate(names)}

    class Found(tuple[Any, ...]):
        __slots__ = ()

        def keys(self) -> tuple[str, ...]:
            return names

        def __getitem__(self, column: Any) -> Any:
            return tuple.__getitem__(self, places.get(column, column))

    return Found
