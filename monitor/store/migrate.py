"""Making a database, and bringing an older one to the newest revision, with a copy aside.

Alembic is imported only when there is something to migrate: it takes 11 MB and as long as all the rest
of a start. A new database is made from the tables as the code has them.
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


#: As Alembic makes it.
_REVISION_TABLE = (
    "CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL,"
    " CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num))"
)


def migrate(path: Path) -> str | None:
    """Bring the database, which may be an empty file, to HEAD in one transaction.

    One that holds something is copied to `NAME.before-REVISION` first. Raises StoreError for a
    database this program does not know, and when the migration fails: the file is then as it was. The
    answer is the revision that was found.
    """
    # foreign keys off: a table that a migration rebuilds is dropped for a moment
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
    """Make the database where there is none yet, as the first start of a daemon does.

    It gets its folder's owner, where that is another user than root. Raises StoreError when it cannot be
    made, or another process is making it and does not come to an end.
    """
    until = time.monotonic() + BUSY_TIMEOUT
    while not path.exists() or not path.stat().st_size:
        make_file(path)
        try:
            lock = FileLock(path)
        except StoreError:  # a daemon starts just now
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
