"""What a test reads from the store and the program itself does not."""

from datetime import date
from pathlib import Path

from monitor.access.databases import Database, Server
from monitor.access.words import ProbeKind
from monitor.store.connections import reading
from monitor.store.record_forms import value_of
from monitor.store.records import Run, SpendRow
from monitor.store.target_queries import run_of


def named(place: Database) -> str:
    """What the settings say of a place."""
    return place.reveal() if isinstance(place, Server) else f"sqlite:///{place}"


def database_at(text: str) -> Database:
    """The place that `named` named."""
    if text.startswith("sqlite:///"):
        return Path(text.removeprefix("sqlite:///"))
    return Server(text)


def runs_of(place: Database, target: str, kind: ProbeKind = ProbeKind.FULL) -> list[Run]:
    """The runs of equal answers of one target, oldest first."""
    with reading(place) as connection:
        rows = connection.execute(
            """
            SELECT r.* FROM runs r JOIN targets t ON t.id = r.target_id
            WHERE t.name = ? AND r.kind = ? ORDER BY r.id
            """,
            (target, kind),
        )
        return [run_of(row, target) for row in rows]


def spend_on(place: Database, day: date) -> list[SpendRow]:
    """The spending of each key on a UTC day."""
    with reading(place) as connection:
        rows = connection.execute("SELECT * FROM spend WHERE day = ? ORDER BY key", (f"{day}",))
        return [value_of(SpendRow, row) for row in rows]
