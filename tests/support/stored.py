"""What a test reads from the store and the program itself does not."""

from pathlib import Path

from sqlalchemy import select

from monitor.access.words import ProbeKind
from monitor.store import tables
from monitor.store.database import reading
from monitor.store.records import Run
from monitor.store.runs import run_of


def runs_of(path: Path, target: str, kind: ProbeKind = ProbeKind.FULL) -> list[Run]:
    """The runs of equal answers of one target, oldest first."""
    its = tables.runs.c
    query = (
        select(tables.runs)
        .join_from(tables.runs, tables.targets)
        .where(tables.targets.c.name == target, its.kind == kind)
        .order_by(its.id)
    )
    with reading(path) as connection:
        return [run_of(row, target) for row in connection.execute(query).mappings()]
