"""Makes a database, and migrates an older one to the newest revision after copying it.

Alembic is imported only for a migration: it takes 11 MB and as long as the rest of a start. A new
database is made from the tables of the code.
"""

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import text

from monitor.store.connections import FileLock, as_store_errors, make_file, revision, writing_engine
from monitor.store.errors import StoreError
from monitor.store.file_copy import backup
from monitor.store.revision import BUSY_TIMEOUT, HEAD
from monitor.store.tables import metadata

if TYPE_CHECKING:
    from alembic.config import Config


#: The table as Alembic makes it.
_REVISION_TABLE = (
    "CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL,"
    " CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num))"
)


def migrate(path: Path) -> str | None:
    """Migrate the database, which may be an empty file, to HEAD in one transaction.

    A database with tables is first copied to `NAME.before-REVISION`. Returns the revision found before.
    Raises StoreError for a database of an unknown revision, and when the migration fails: the file is then
    unchanged.
    """
    # foreign keys off: a migration that rebuilds a table drops it for a moment
    engine = writing_engine(path, foreign_keys=False)
    with as_store_errors(path):
        with engine.connect() as connection:
            found = revision(connection)
            tables = connection.execute(text("SELECT count(*) FROM sqlite_master")).scalar()
        if found == HEAD:
            return found
        if not tables:
            with engine.begin() as connection:
                metadata.create_all(connection)
                connection.execute(text(_REVISION_TABLE))
                connection.execute(
                    text("INSERT INTO alembic_version VALUES (:head)"), {"head": HEAD}
                )
            return found
        from alembic import command

        config = _config()
        _require_known(path, found, config)
        backup(path, path.with_name(f"{path.name}.before-{HEAD}"))
        with engine.begin() as connection:
            config.attributes["connection"] = connection
            command.upgrade(config, "head")
            if connection.execute(text("PRAGMA foreign_key_check")).first():
                raise StoreError(f"{path}: the migration to {HEAD} would break references")
    return found


def create(path: Path) -> None:
    """Make the database if there is none, as the first start of a daemon does.

    It gets the owner of its folder if that is not root. Raises StoreError when it cannot be made, or
    when another process is making it and does not finish.
    """
    until = time.monotonic() + BUSY_TIMEOUT
    while not path.exists() or not path.stat().st_size:
        make_file(path)
        try:
            lock = FileLock(path)
        except StoreError:  # a daemon is starting
            if time.monotonic() > until:
                raise
            time.sleep(0.1)
            continue
        try:
            migrate(path)
        finally:
            lock.release()
        _hand_over(path)


def _hand_over(path: Path) -> None:
    owner = path.parent.stat()
    if os.geteuid() == 0 and owner.st_uid:
        with as_store_errors(path):
            for file in (path, path.with_name(path.name + ".lock")):
                os.chown(file, owner.st_uid, owner.st_gid)


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
