"""The views of labels, provenance, attestations, packages, tokens and usage, and the answers to keyed requests.

The views are dropped and made anew, empty: whoever opens the log next folds them, since version 0 is no code's.
"""

from __future__ import annotations

from importlib import import_module

import sqlalchemy as sa
from alembic import op

revision = "0004_registry"
down_revision = "0003_deleting"
branch_labels = None
depends_on = None

number = sa.BigInteger().with_variant(sa.Integer, "sqlite")
key_text = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
digest = sa.LargeBinary(32)
identifier = sa.LargeBinary(16)

OLD_VIEWS = ("retrievals", "artifacts", "names", "object_namespaces", "objects")
NEW_VIEWS = (
    *("namespace_usage", "tokens", "package_members", "packages", "attestations", "artifact_inputs"),
    *("artifact_labels", *OLD_VIEWS),
)


def upgrade() -> None:
    for table in OLD_VIEWS:
        op.drop_table(table)
    _objects_and_names()
    _artifacts()
    _packages_and_tokens()
    _indexes()
    op.create_table(
        "requests",
        sa.Column("actor", key_text, primary_key=True),
        sa.Column("key", key_text, primary_key=True),
        sa.Column("fingerprint", digest, nullable=False),
        sa.Column("answer", sa.LargeBinary, nullable=False),
        sa.Column("created_at", key_text, nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_requests_created_at", "requests", ["created_at"])
    _fold_anew()


def _fold_anew() -> None:
    op.execute(sa.text("UPDATE meta SET value = '0' WHERE key IN ('views_version', 'views_seq')"))


def _objects_and_names() -> None:
    op.create_table(
        "objects",
        sa.Column("blake3", digest, primary_key=True),
        sa.Column("sha256", digest, nullable=False),
        sa.Column("size_bytes", number, nullable=False),
        sa.Column("backend_id", sa.Text, nullable=False),
        sa.Column("primary_algorithm", sa.Text, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("damage", sa.Text),
        sa.Column("created_at", sa.Text, nullable=False),
        sa.Column("created_seq", number, nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "object_namespaces",
        sa.Column("blake3", digest, primary_key=True),
        sa.Column("namespace", key_text, primary_key=True),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "names",
        sa.Column("namespace", key_text, primary_key=True),
        sa.Column("name", key_text, primary_key=True),
        sa.Column("latest_version", number, nullable=False),
        sa.Column("latest_id", identifier, nullable=False),
        sa.Column("tombstoned_through", number, nullable=False),
        sa.Column("live_versions", number, nullable=False),
        sa.Column("live_bytes", number, nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "namespace_usage",
        sa.Column("namespace", key_text, primary_key=True),
        sa.Column("objects", number, nullable=False),
        sa.Column("size_bytes", number, nullable=False),
        sqlite_with_rowid=False,
    )


def _artifacts() -> None:
    op.create_table(
        "artifacts",
        sa.Column("id", identifier, primary_key=True),
        sa.Column("namespace", key_text, nullable=False),
        sa.Column("name", key_text, nullable=False),
        sa.Column("version", number, nullable=False),
        sa.Column("blake3", digest, nullable=False),
        sa.Column("kind", sa.Text),
        sa.Column("media_type", sa.Text, nullable=False),
        sa.Column("labels", sa.Text, nullable=False),
        sa.Column("provenance", sa.Text),
        sa.Column("retention", sa.Text),
        sa.Column("created_at", sa.Text, nullable=False),
        sa.Column("created_by", sa.Text, nullable=False),
        sa.Column("revision", sa.Integer, nullable=False),
        sa.UniqueConstraint("namespace", "name", "version"),
    )
    op.create_table(
        "artifact_labels",
        sa.Column("key", key_text, primary_key=True),
        sa.Column("namespace", key_text, primary_key=True),
        sa.Column("name", key_text, primary_key=True),
        sa.Column("version", number, primary_key=True),
        sa.Column("value", key_text, nullable=False),
        sa.Column("artifact_id", identifier, nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "artifact_inputs",
        sa.Column("artifact_id", identifier, primary_key=True),
        sa.Column("position", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("target", digest, nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "attestations",
        sa.Column("blake3", digest, primary_key=True),
        sa.Column("seq", number, primary_key=True, autoincrement=False),
        sa.Column("statement", digest, nullable=False),
        sa.Column("predicate_type", sa.Text, nullable=False),
        sa.Column("signature", sa.Text, nullable=False),
        sa.Column("key_id", sa.Text),
        sa.Column("created_at", sa.Text, nullable=False),
        sa.Column("created_by", sa.Text, nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "retrievals",
        sa.Column("seq", number, primary_key=True, autoincrement=False),
        sa.Column("position", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("blake3", digest, nullable=False),
        sa.Column("artifact_id", identifier),
        sa.Column("actor", key_text, nullable=False),
        sa.Column("minute", key_text, nullable=False),
        sa.Column("count", number, nullable=False),
        sa.Column("size_bytes", number, nullable=False),
        sqlite_with_rowid=False,
    )


def _packages_and_tokens() -> None:
    op.create_table(
        "packages",
        sa.Column("id", identifier, primary_key=True),
        sa.Column("namespace", key_text, nullable=False),
        sa.Column("name", key_text, nullable=False),
        sa.Column("manifest", digest, nullable=False),
        sa.Column("members", number, nullable=False),
        sa.Column("size_bytes", number, nullable=False),
        sa.Column("supersedes", identifier),
        sa.Column("superseded_by", identifier),
        sa.Column("created_at", sa.Text, nullable=False),
        sa.Column("created_by", sa.Text, nullable=False),
        sa.Column("created_seq", number, nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "package_members",
        sa.Column("package_id", identifier, primary_key=True),
        sa.Column("position", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("blake3", digest, nullable=False),
        sa.Column("media_type", sa.Text, nullable=False),
        sa.Column("artifact_id", identifier),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "tokens",
        sa.Column("id", identifier, primary_key=True),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("secret_hash", digest, nullable=False),
        sa.Column("scopes", sa.Text, nullable=False),
        sa.Column("namespaces", sa.Text, nullable=False),
        sa.Column("expires_at", sa.Text),
        sa.Column("revoked_at", sa.Text),
        sa.Column("created_at", sa.Text, nullable=False),
        sa.Column("created_by", sa.Text, nullable=False),
        sa.Column("created_seq", number, nullable=False),
        sqlite_with_rowid=False,
    )


def _indexes() -> None:
    place = ["namespace", "name", "version"]
    op.create_index("objects_sha256", "objects", ["sha256"], unique=True)
    deleting = sa.text("state = 'deleting'")
    op.create_index("objects_deleting", "objects", ["blake3"], sqlite_where=deleting, postgresql_where=deleting)
    op.create_index("packages_manifest", "packages", ["manifest"], unique=True)
    op.create_index("artifacts_blake3", "artifacts", ["blake3", *place])
    kind = sa.text("kind IS NOT NULL")
    op.create_index("artifacts_kind", "artifacts", ["kind", *place], sqlite_where=kind, postgresql_where=kind)
    op.create_index("artifacts_media_type", "artifacts", ["media_type", *place])
    op.create_index("artifact_labels_value", "artifact_labels", ["key", "value", *place])
    op.create_index("artifact_inputs_target", "artifact_inputs", ["target"])
    op.create_index("attestations_statement", "attestations", ["statement"])
    op.create_index("packages_seq", "packages", ["created_seq"])
    op.create_index("packages_namespace", "packages", ["namespace", "created_seq"])
    op.create_index("tokens_seq", "tokens", ["created_seq"])
    op.create_index("packages_name", "packages", ["namespace", "name", "created_seq"])
    op.create_index("package_members_blake3", "package_members", ["blake3"])
    op.create_index("retrievals_artifact", "retrievals", ["artifact_id", "minute", "actor"])
    op.create_index("retrievals_blake3", "retrievals", ["blake3", "minute", "actor"])


def downgrade() -> None:
    op.drop_table("requests")
    for table in NEW_VIEWS:
        op.drop_table(table)
    import_module("artifactstore.registry.migrations.versions.0002_views").create_views()
    import_module("artifactstore.registry.migrations.versions.0003_deleting").upgrade()
    _fold_anew()
