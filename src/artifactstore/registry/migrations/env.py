"""Alembic's entry: over a connection that `registry.migration` hands in, or, from the command line, over a root.

The root is that of `alembic -x root=DIR ...`, else of ARTIFACTSTORE_ROOT, else `./var`.
"""

from __future__ import annotations

from alembic import context
from sqlalchemy import Connection

from artifactstore.registry.migration import database_of_command_line
from artifactstore.registry.schema import metadata
from artifactstore.registry.sqlite import writer_engine


def run(connection: Connection) -> None:
    context.configure(connection=connection, target_metadata=metadata, transactional_ddl=True)
    with context.begin_transaction():
        context.run_migrations()


if context.is_offline_mode():
    context.configure(dialect_name="sqlite", literal_binds=True, dialect_opts={"paramstyle": "named"})
    with context.begin_transaction():
        context.run_migrations()
elif (handed_in := context.config.attributes.get("connection")) is not None:
    run(handed_in)
else:
    engine = writer_engine(database_of_command_line(context.get_x_argument(as_dictionary=True)))
    with engine.begin() as opened:
        run(opened)
    engine.dispose()
