"""Which revision a database is of, and how it gets to this code's.

Alembic does the work, and is imported only where there is some: opening a database of this code's revision costs one
small query.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from sqlalchemy import Connection, Engine, column, inspect, select, table

from artifactstore.domain.errors import RegistryError, SchemaTooNewError
from artifactstore.registry.schema import VIEWS_SEQ_KEY, VIEWS_VERSION, VIEWS_VERSION_KEY, meta

DATABASE_FILE = "log.sqlite3"
MIGRATIONS = Path(__file__).with_name("migrations")
#: Every revision this code knows, oldest first.
REVISIONS = ("0001_event_log", "0002_views", "0003_deleting", "0004_registry")
HEAD = REVISIONS[-1]

_VERSIONS = table("alembic_version", column("version_num"))


class SchemaTooOldError(RegistryError):
    """There is no log yet, or one of an older version, and this opening may not make or migrate it."""

    code = "schema-too-old"


def revision(connection: Connection) -> str | None:
    """The database's revision; None if it is empty. SchemaTooNewError for one that this code does not know."""
    tables = inspect(connection).get_table_names()
    if _VERSIONS.name not in tables:
        if tables:
            raise RegistryError("the database is not an event log: it has tables and no revision")
        return None
    found = connection.scalar(select(_VERSIONS.c.version_num))
    if found is not None and found not in REVISIONS:
        raise SchemaTooNewError(
            f"the event log is of revision {found}, which is later than this version's {HEAD}: use a later version"
        )
    return found


def upgrade(engine: Engine) -> None:
    """Bring a database to this code's revision, in one transaction; an empty one, too."""
    with engine.connect() as connection:
        if revision(connection) == HEAD:
            return
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "head")


def check_current(connection: Connection) -> None:
    """SchemaTooOldError unless the database, which may only be read, is of this code's revision and views."""
    found = revision(connection)
    if found != HEAD:
        raise SchemaTooOldError(
            f"the event log is of revision {found}, this version reads {HEAD}: a command that writes migrates it"
        )
    if meta_value(connection, VIEWS_VERSION_KEY) != str(VIEWS_VERSION):
        raise SchemaTooOldError("the views are of another version of this software: a command that writes folds them")


def meta_value(connection: Connection, key: str) -> str | None:
    """One value of `meta`."""
    value = connection.scalar(select(meta.c.value).where(meta.c.key == key))
    return None if value is None else str(value)


def views_seq(connection: Connection) -> int:
    """The event that the views are folded up to."""
    return int(meta_value(connection, VIEWS_SEQ_KEY) or 0)


def root_of_command_line(arguments: Mapping[str, str], environment: Mapping[str, str] | None = None) -> Path:
    """The root that `alembic -x root=DIR` means."""
    environment = os.environ if environment is None else environment
    return Path(arguments.get("root") or environment.get("ARTIFACTSTORE_ROOT") or "var")
