"""Bringing a database to the newest revision, with a copy aside.

Alembic is imported only when there is something to migrate: it takes 11 MB and as long as all the rest
of a start.
"""

from pathlib import Path
from typing import TYPE_CHECKING

import structlog
from sqlalchemy import text

from monitor.store.backup import backup
from monitor.store.engine import revision, told_plainly, writing_engine
from monitor.store.errors import StoreError
from monitor.store.revision import HEAD

if TYPE_CHECKING:
    from alembic.config import Config

log = structlog.get_logger()


def migrate(path: Path) -> None:
    """Bring the database, which may be an empty file, to HEAD in one transaction.

    One that holds something is copied to `NAME.before-REVISION` first. Raises StoreError for a
    database this program does not know, and when the migration fails: the file is then as it was.
    """
    # foreign keys off: a table that a migration rebuilds is dropped for a moment
    engine = writing_engine(path, foreign_keys=False)
    with told_plainly(path):
        with engine.connect() as connection:
            found = revision(connection)
            tables = connection.execute(text("SELECT count(*) FROM sqlite_master")).scalar()
        if found == HEAD:
            return
        from alembic import command

        config = _config()
        if tables:
            _require_known(path, found, config)
            backup(path, path.with_name(f"{path.name}.before-{HEAD}"))
        with engine.begin() as connection:
            config.attributes["connection"] = connection
            command.upgrade(config, "head")
            if connection.execute(text("PRAGMA foreign_key_check")).first():
                raise StoreError(f"{path}: the migration to {HEAD} would break references")
    log.info("database_migrated", before=found, after=HEAD, copied=bool(tables))


def _config() -> "Config":
    from alembic.config import Config

    config = Config()
    folder = str(Path(__file__).parent / "migrations")
    config.set_main_option("script_location", folder.replace("%", "%%"))
    return config


def _require_known(path: Path, found: str | None, config: "Config") -> None:
    if found is None:
        raise StoreError(f"{path}: this is a database of another program")
    from alembic.script import ScriptDirectory

    known = {script.revision for script in ScriptDirectory.from_config(config).walk_revisions()}
    if found not in known:
        raise StoreError(
            f"{path}: the database is of revision {found}, which this version of access-monitor"
            f" does not know (its newest is {HEAD}): a newer version has migrated it."
            " Start that version, or restore the copy it made"
        )
