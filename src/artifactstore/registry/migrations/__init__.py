"""The database's revisions, run by alembic (see `registry.migration`)."""
