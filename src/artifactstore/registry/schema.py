"""The tables: the log, its meta data, and the views. Digests and ids are bytes, times are the log's own text.

Text that is a key or is searched by range sorts by code point: so does SQLite by itself; PostgreSQL is told.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import BigInteger, Column, Index, Integer, LargeBinary, MetaData, Table, Text, UniqueConstraint
from sqlalchemy.types import TypeEngine

#: Of the fold: raise it whenever the same log would fold into other rows, and the views are rebuilt at the next start.
VIEWS_VERSION = 1

#: Keys of `meta`.
LOG_ID = "log_id"
VIEWS_VERSION_KEY = "views_version"
VIEWS_SEQ_KEY = "views_seq"

_NUMBER: TypeEngine[Any] = BigInteger().with_variant(Integer, "sqlite")
_KEY_TEXT: TypeEngine[Any] = Text().with_variant(Text(collation="C"), "postgresql")
_DIGEST = LargeBinary(32)
_ID = LargeBinary(16)

metadata = MetaData()

events = Table(
    "events",
    metadata,
    Column("seq", _NUMBER, primary_key=True, autoincrement=False),
    Column("id", _ID, nullable=False),
    Column("type", Text, nullable=False),
    Column("version", Integer, nullable=False),
    Column("subject", Text, nullable=False),
    Column("actor", Text, nullable=False),
    Column("time", Text, nullable=False),
    Column("salt", LargeBinary(16), nullable=False),
    Column("payload", LargeBinary, nullable=False),
    Column("leaf", _DIGEST, nullable=False),
)

meta = Table(
    "meta",
    metadata,
    Column("key", _KEY_TEXT, primary_key=True),
    Column("value", Text, nullable=False),
)


class ViewTables:
    """The view tables under names with a prefix: none for the live ones, another for those a rebuild folds into."""

    def __init__(self, metadata: MetaData, prefix: str = "") -> None:
        self.prefix = prefix
        self.objects = Table(
            f"{prefix}objects",
            metadata,
            Column("blake3", _DIGEST, primary_key=True),
            Column("sha256", _DIGEST, nullable=False),
            Column("size_bytes", _NUMBER, nullable=False),
            Column("backend_id", Text, nullable=False),
            Column("primary_algorithm", Text, nullable=False),
            Column("state", Text, nullable=False),
            Column("damage", Text),
            Column("created_at", Text, nullable=False),
            Column("created_seq", _NUMBER, nullable=False),
            sqlite_with_rowid=False,
        )
        self.object_namespaces = Table(
            f"{prefix}object_namespaces",
            metadata,
            Column("blake3", _DIGEST, primary_key=True),
            Column("namespace", _KEY_TEXT, primary_key=True),
            sqlite_with_rowid=False,
        )
        self.names = Table(
            f"{prefix}names",
            metadata,
            Column("namespace", _KEY_TEXT, primary_key=True),
            Column("name", _KEY_TEXT, primary_key=True),
            Column("latest_version", _NUMBER, nullable=False),
            Column("latest_id", _ID, nullable=False),
            Column("tombstoned_through", _NUMBER, nullable=False),
            sqlite_with_rowid=False,
        )
        self.artifacts = Table(
            f"{prefix}artifacts",
            metadata,
            Column("id", _ID, primary_key=True),
            Column("namespace", _KEY_TEXT, nullable=False),
            Column("name", _KEY_TEXT, nullable=False),
            Column("version", _NUMBER, nullable=False),
            Column("blake3", _DIGEST, nullable=False),
            Column("kind", Text),
            Column("media_type", Text, nullable=False),
            Column("labels", Text, nullable=False),
            Column("provenance", Text),
            Column("retention", Text),
            Column("created_at", Text, nullable=False),
            Column("created_by", Text, nullable=False),
            Column("revision", Integer, nullable=False),
            UniqueConstraint("namespace", "name", "version"),
        )
        self.retrievals = Table(
            f"{prefix}retrievals",
            metadata,
            Column("seq", _NUMBER, primary_key=True, autoincrement=False),
            Column("position", Integer, primary_key=True, autoincrement=False),
            Column("blake3", _DIGEST, nullable=False),
            Column("artifact_id", _ID),
            Column("actor", _KEY_TEXT, nullable=False),
            Column("minute", _KEY_TEXT, nullable=False),
            Column("count", _NUMBER, nullable=False),
            Column("size_bytes", _NUMBER, nullable=False),
            sqlite_with_rowid=False,
        )
        objects, artifacts, retrievals = self.objects.c, self.artifacts.c, self.retrievals.c
        self.sha256_index = Index(f"{prefix}objects_sha256", objects.sha256, unique=True)
        deleting = objects.state == "deleting"  # few rows at any time: a start need not look at the others
        self.indexes = (
            self.sha256_index,
            Index(f"{prefix}objects_deleting", objects.blake3, sqlite_where=deleting, postgresql_where=deleting),
            Index(f"{prefix}artifacts_blake3", artifacts.blake3),
            Index(f"{prefix}retrievals_artifact", retrievals.artifact_id, retrievals.minute, retrievals.actor),
            Index(f"{prefix}retrievals_blake3", retrievals.blake3, retrievals.minute, retrievals.actor),
        )

    def all(self) -> tuple[Table, ...]:
        """Every view table, in the order in which they are compared."""
        return (self.objects, self.object_namespaces, self.names, self.artifacts, self.retrievals)


views = ViewTables(metadata)
