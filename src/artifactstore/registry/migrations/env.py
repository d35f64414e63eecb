"""Alembic's entry: over a connection that `registry.migration` hands in, or, from the command line, over a root.

The root is that of `alembic -x root=DIR ...`, else of ARTIFACTSTORE_ROOT, else `./var`.
"""

from __future__ import annotations

from pathlib import Path

from alembic import context
from alembic.util import CommandError
from sqlalchemy import Connection

from artifactstore.domain.errors import RootError
from artifactstore.registry.migration import DATABASE_FILE, root_of_command_line
from artifactstore.registry.schema import metadata
from artifactstore.registry.sqlite import writer_engine
from artifactstore.storage.root import open_root


def run(connection: Connection) -> None:
    context.configure(connection=connection, target_metadata=metadata, transactional_ddl=True)
    with context.begin_transaction():
        context.run_migrations()


def migrate(path: Path) -> None:
    """As the one process that writes the root: a gateway that runs has to be stopped first."""
    try:
        root = open_root(path, writer=True)
    except RootError as error:
        raise CommandError(str(error)) from error
    engine = writer_engine(root.registry / DATABASE_FILE)
    try:
        with engine.begin() as opened:
            run(opened)
    finally:
        engine.dispose()
        root.close()


if context.is_offline_mode():
    context.configure(dialect_name="sqlite", literal_binds=True, dialect_opts={"paramstyle": "named"})
    with context.begin_transaction():
        context.run_migrations()
elif (handed_in := context.config.attributes.get("connection")) is not None:
    run(handed_in)
else:
    migrate(root_of_command_line(context.get_x_argument(as_dictionary=True)))
