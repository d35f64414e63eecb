"""The views, empty: whoever opens the log next folds them, since version 0 is no code's."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002_views"
down_revision = "0001_event_log"
branch_labels = None
depends_on = None

number = sa.BigInteger().with_variant(sa.Integer, "sqlite")
key_text = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
digest = sa.LargeBinary(32)
identifier = sa.LargeBinary(16)


def upgrade() -> None:
    create_views()
    meta = sa.table("meta", sa.column("key", sa.Text), sa.column("value", sa.Text))
    op.bulk_insert(meta, [{"key": "views_version", "value": "0"}, {"key": "views_seq", "value": "0"}])


def create_views() -> None:
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
        sqlite_with_rowid=False,
    )
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
    op.create_index("objects_sha256", "objects", ["sha256"], unique=True)
    op.create_index("artifacts_blake3", "artifacts", ["blake3"])
    op.create_index("retrievals_artifact", "retrievals", ["artifact_id", "minute", "actor"])
    op.create_index("retrievals_blake3", "retrievals", ["blake3", "minute", "actor"])


def downgrade() -> None:
    op.execute(sa.text("DELETE FROM meta WHERE key IN ('views_version', 'views_seq')"))
    for table in ("retrievals", "artifacts", "names", "object_namespaces", "objects"):
        op.drop_table(table)
