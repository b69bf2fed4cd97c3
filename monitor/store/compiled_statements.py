"""Statements that run for every probe: compiled once, then passed to the driver.

SQLAlchemy itself takes 60 µs for each statement of a transaction, and most transactions of a small
monitor hold one answer.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from sqlalchemy import Connection, Executable
from sqlalchemy.dialects import sqlite
from sqlalchemy.sql.elements import ClauseElement

from monitor.store.errors import StoreError

Row = Mapping[str, Any]

_DIALECT = sqlite.dialect(paramstyle="named")


@dataclass(frozen=True, slots=True)
class _Compiled:
    text: str
    #: values that the statement itself binds, such as the 1 in `answers + 1`
    constants: Row
    #: converters of values, by name; other values are written unchanged
    written: tuple[tuple[str, Callable[[Any], Any]], ...]


def run_many(connection: Connection, statement: Executable, rows: Sequence[Row]) -> None:
    """Run a statement that returns no rows once for each of `rows`, in the connection's transaction.

    All rows name the same columns and parameters. Raises StoreError for a value that cannot be written,
    and sqlite3's own errors.
    """
    compiled = _compiled(statement, tuple(rows[0]))
    driver = connection.connection.driver_connection
    assert driver is not None  # noqa: S101  it is None only once the connection was given back
    try:
        bound = [_bound(compiled, row) for row in rows]
    except (TypeError, ValueError) as error:
        raise StoreError(f"a value cannot be written: {type(error).__name__}") from error
    driver.executemany(compiled.text, bound)


def _bound(compiled: _Compiled, row: Row) -> dict[str, Any]:
    bound = {**compiled.constants, **row}
    for name, written in compiled.written:
        bound[name] = written(bound[name])
    return bound


@lru_cache(maxsize=32)
def _compiled(statement: ClauseElement, names: tuple[str, ...]) -> _Compiled:
    compiled = statement.compile(dialect=_DIALECT, column_keys=list(names))
    processors = {
        name: bind.type.dialect_impl(_DIALECT).bind_processor(_DIALECT)
        for bind, name in compiled.bind_names.items()  # type: ignore[attr-defined]
    }
    constants = {name: value for name, value in compiled.params.items() if name not in names}
    return _Compiled(
        str(compiled),
        constants,
        tuple((name, written) for name, written in processors.items() if written),
    )
