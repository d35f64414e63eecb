"""The tables: the log, its meta data, and the views. Digests and ids are bytes, times are the log's own text.

Text that is a key or is searched by range sorts by code point: so does SQLite by itself; PostgreSQL is told.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import BigInteger, Column, Index, Integer, LargeBinary, MetaData, Table, Text, UniqueConstraint
from sqlalchemy.types import TypeEngine

#: Of the fold: raise it whenever the same log would fold into other rows, and the views are rebuilt at the next start.
VIEWS_VERSION = 2

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
            Column("live_versions", _NUMBER, nullable=False),
            Column("live_bytes", _NUMBER, nullable=False),
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
        self._add_searches(metadata, prefix)
        self._add_packages(metadata, prefix)
        self._add_indexes(prefix)

    def _add_searches(self, metadata: MetaData, prefix: str) -> None:
        self.artifact_labels = Table(
            f"{prefix}artifact_labels",
            metadata,
            Column("key", _KEY_TEXT, primary_key=True),
            Column("namespace", _KEY_TEXT, primary_key=True),
            Column("name", _KEY_TEXT, primary_key=True),
            Column("version", _NUMBER, primary_key=True),
            Column("value", _KEY_TEXT, nullable=False),
            Column("artifact_id", _ID, nullable=False),
            sqlite_with_rowid=False,
        )
        self.artifact_inputs = Table(
            f"{prefix}artifact_inputs",
            metadata,
            Column("artifact_id", _ID, primary_key=True),
            Column("position", Integer, primary_key=True, autoincrement=False),
            Column("kind", Text, nullable=False),
            Column("target", LargeBinary(32), nullable=False),
            sqlite_with_rowid=False,
        )
        self.attestations = Table(
            f"{prefix}attestations",
            metadata,
            Column("blake3", _DIGEST, primary_key=True),
            Column("seq", _NUMBER, primary_key=True, autoincrement=False),
            Column("statement", _DIGEST, nullable=False),
            Column("predicate_type", Text, nullable=False),
            Column("signature", Text, nullable=False),
            Column("key_id", Text),
            Column("created_at", Text, nullable=False),
            Column("created_by", Text, nullable=False),
            sqlite_with_rowid=False,
        )

    def _add_packages(self, metadata: MetaData, prefix: str) -> None:
        self.packages = Table(
            f"{prefix}packages",
            metadata,
            Column("id", _ID, primary_key=True),
            Column("namespace", _KEY_TEXT, nullable=False),
            Column("name", _KEY_TEXT, nullable=False),
            Column("manifest", _DIGEST, nullable=False),
            Column("members", _NUMBER, nullable=False),
            Column("size_bytes", _NUMBER, nullable=False),
            Column("supersedes", _ID),
            Column("superseded_by", _ID),
            Column("created_at", Text, nullable=False),
            Column("created_by", Text, nullable=False),
            Column("created_seq", _NUMBER, nullable=False),
            sqlite_with_rowid=False,
        )
        self.package_members = Table(
            f"{prefix}package_members",
            metadata,
            Column("package_id", _ID, primary_key=True),
            Column("position", Integer, primary_key=True, autoincrement=False),
            Column("name", Text, nullable=False),
            Column("blake3", _DIGEST, nullable=False),
            Column("media_type", Text, nullable=False),
            Column("artifact_id", _ID),
            sqlite_with_rowid=False,
        )
        self.tokens = Table(
            f"{prefix}tokens",
            metadata,
            Column("id", _ID, primary_key=True),
            Column("name", Text, nullable=False),
            Column("secret_hash", LargeBinary(32), nullable=False),
            Column("scopes", Text, nullable=False),
            Column("namespaces", Text, nullable=False),
            Column("expires_at", Text),
            Column("revoked_at", Text),
            Column("created_at", Text, nullable=False),
            Column("created_by", Text, nullable=False),
            Column("created_seq", _NUMBER, nullable=False),
            sqlite_with_rowid=False,
        )
        self.namespace_usage = Table(
            f"{prefix}namespace_usage",
            metadata,
            Column("namespace", _KEY_TEXT, primary_key=True),
            Column("objects", _NUMBER, nullable=False),
            Column("size_bytes", _NUMBER, nullable=False),
            sqlite_with_rowid=False,
        )

    def _add_indexes(self, prefix: str) -> None:
        artifacts, retrievals, labels = self.artifacts.c, self.retrievals.c, self.artifact_labels.c
        packages, members = self.packages.c, self.package_members.c
        place = (artifacts.namespace, artifacts.name, artifacts.version)  # the order of every search
        label_place = (labels.namespace, labels.name, labels.version)
        #: Those that a fold looks for, or has to break on: a rebuild makes them first.
        self.fold_indexes = (
            Index(f"{prefix}objects_sha256", self.objects.c.sha256, unique=True),
            Index(f"{prefix}packages_manifest", packages.manifest, unique=True),
        )
        deleting = self.objects.c.state == "deleting"  # few rows at any time: a start need not look at the others
        kind = artifacts.kind.is_not(None)
        self.indexes = (
            *self.fold_indexes,
            Index(f"{prefix}objects_deleting", self.objects.c.blake3, sqlite_where=deleting, postgresql_where=deleting),
            Index(f"{prefix}artifacts_blake3", artifacts.blake3, *place),
            Index(f"{prefix}artifacts_kind", artifacts.kind, *place, sqlite_where=kind, postgresql_where=kind),
            Index(f"{prefix}artifacts_media_type", artifacts.media_type, *place),
            Index(f"{prefix}artifact_labels_value", labels.key, labels.value, *label_place),
            Index(f"{prefix}artifact_inputs_target", self.artifact_inputs.c.target),
            Index(f"{prefix}attestations_statement", self.attestations.c.statement),
            Index(f"{prefix}packages_seq", packages.created_seq),
            Index(f"{prefix}packages_namespace", packages.namespace, packages.created_seq),
            Index(f"{prefix}packages_name", packages.namespace, packages.name, packages.created_seq),
            Index(f"{prefix}tokens_seq", self.tokens.c.created_seq),
            Index(f"{prefix}package_members_blake3", members.blake3),
            Index(f"{prefix}retrievals_artifact", retrievals.artifact_id, retrievals.minute, retrievals.actor),
            Index(f"{prefix}retrievals_blake3", retrievals.blake3, retrievals.minute, retrievals.actor),
        )

    def all(self) -> tuple[Table, ...]:
        """Every view table, in the order in which they are compared."""
        return (
            self.objects,
            self.object_namespaces,
            self.names,
            self.artifacts,
            self.artifact_labels,
            self.artifact_inputs,
            self.attestations,
            self.packages,
            self.package_members,
            self.tokens,
            self.namespace_usage,
            self.retrievals,
        )


views = ViewTables(metadata)

#: Answers to requests that named an idempotency key. No view: it is not folded, and a rebuild leaves it alone.
requests = Table(
    "requests",
    metadata,
    Column("actor", _KEY_TEXT, primary_key=True),
    Column("key", _KEY_TEXT, primary_key=True),
    Column("fingerprint", _DIGEST, nullable=False),
    Column("answer", LargeBinary, nullable=False),
    Column("created_at", _KEY_TEXT, nullable=False, index=True),
    sqlite_with_rowid=False,
)
