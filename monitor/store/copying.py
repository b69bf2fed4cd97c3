"""Copies a stopped monitor from a file to a PostgreSQL, whole and verified."""

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from sqlalchemy import Column, Connection, Table, func, inspect, select, text

from monitor.access.databases import Server
from monitor.store import tables
from monitor.store.database import FileLock, as_store_errors, migrate, writing_engine
from monitor.store.errors import DestinationError, StoreError, require
from monitor.store.ownership import writing_alone

#: Rows that are read at once.
_CHUNK = 5000
#: What tells whether a database was used: every start is an event, and every command a request or spending.
_TOLD = {
    tables.events: (tables.events.c.id, tables.events.c.at, tables.events.c.kind),
    tables.inbox: (tables.inbox.c.id, tables.inbox.c.created_at, tables.inbox.c.payload),
    tables.spend: (tables.spend.c.key, tables.spend.c.day),
}


def copy_to(source: Path, destination: Server) -> dict[str, int]:
    """Copy all tables in one transaction, compare each row, and return the number of rows by table.

    The destination is empty, or has an earlier copy, which is replaced. Both are kept from daemons meanwhile.
    Raises DestinationError when it was used since, and StoreError when a database cannot be read or
    written, a daemon has one of them, or the copy differs: nothing is changed then.
    """
    require(source)
    with closing(FileLock(source)):
        migrate(source)
        with (
            as_store_errors(source),
            closing(writing_engine(source).connect()) as original,
            writing_alone(destination, patient=True) as copy,
        ):
            _require_unused(original, copy, destination)
            return {table.name: _copy(original, copy, table) for table in _copied()}


def _copied() -> list[Table]:
    """The tables, each after those that it refers to. Who owns a database is no part of it."""
    owning = (tables.fences, tables.shards, tables.months, tables.fleet)
    return [one for one in tables.metadata.sorted_tables if one not in owning]


def _require_unused(original: Connection, copy: Connection, destination: Server) -> None:
    """Refuse to replace what is not in the original: a daemon or a command has used the destination."""
    for table, columns in _TOLD.items():
        known = _rows(original, table, columns)
        # in the same order: looking for one passes over those that came after the copy
        if not all(row in known for row in _rows(copy, table, columns)):
            raise DestinationError(
                f"{destination}: this database was used since: its {table.name} are not those of the file."
                " Name one that is empty"
            )
    for table in reversed(_copied()):
        copy.execute(table.delete())


def _copy(original: Connection, copy: Connection, table: Table) -> int:
    columns = ", ".join(f'"{column.name}"' for column in table.columns)
    driver = copy.connection.driver_connection
    assert driver is not None  # noqa: S101  it is None only once the connection was given back
    with (
        driver.cursor() as cursor,
        cursor.copy(f"COPY {table.name} ({columns}) FROM STDIN") as into,
    ):
        for row in _rows(original, table):
            into.write_row(row)
    if "id" in table.columns and table is not tables.daemon:
        _continue_numbers(original, copy, table)
    count, digest = _digest(copy, table)
    if (count, digest) != _digest(original, table):
        raise StoreError(f"{table.name}: the copy differs from the original")
    return count


def _continue_numbers(original: Connection, copy: Connection, table: Table) -> None:
    """Let new rows have higher numbers than any before, those of deleted rows included."""
    last = original.execute(select(func.max(table.c.id))).scalar() or 0
    if inspect(original).has_table("sqlite_sequence"):
        query = text("SELECT seq FROM sqlite_sequence WHERE name = :name")
        last = max(last, original.execute(query, {"name": table.name}).scalar() or 0)
    if last and table is not tables.holds:  # those have numbers of the ledger
        sequence = text("SELECT setval(pg_get_serial_sequence(:name, 'id'), :last)")
        copy.execute(sequence, {"name": table.name, "last": last})


def _digest(connection: Connection, table: Table) -> tuple[int, str]:
    """The number of rows, and a digest of all values in the order of the primary key."""
    digest, count = hashlib.sha256(), 0
    for row in _rows(connection, table):
        digest.update(repr([_plain(value) for value in row]).encode())
        count += 1
    return count, digest.hexdigest()


def _plain(value: Any) -> Any:
    return value.isoformat() if hasattr(value, "isoformat") else value


def _rows(
    connection: Connection, table: Table, columns: Sequence[Column[Any]] = ()
) -> Iterator[tuple[Any, ...]]:
    """The rows in the order of the primary key, whole or some of their columns."""
    query = select(*(columns or table.columns)).order_by(*table.primary_key.columns)
    with connection.execute(query.execution_options(yield_per=_CHUNK)) as result:
        yield from map(tuple, result)
