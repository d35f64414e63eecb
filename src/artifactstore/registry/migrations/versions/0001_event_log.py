"""The event log and its meta data."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from uuid_utils.compat import uuid7

revision = "0001_event_log"
down_revision = None
branch_labels = None
depends_on = None

number = sa.BigInteger().with_variant(sa.Integer, "sqlite")
key_text = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    op.create_table(
        "events",
        sa.Column("seq", number, primary_key=True, autoincrement=False),
        sa.Column("id", sa.LargeBinary(16), nullable=False),
        sa.Column("type", sa.Text, nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("subject", sa.Text, nullable=False),
        sa.Column("actor", sa.Text, nullable=False),
        sa.Column("time", sa.Text, nullable=False),
        sa.Column("salt", sa.LargeBinary(16), nullable=False),
        sa.Column("payload", sa.LargeBinary, nullable=False),
        sa.Column("leaf", sa.LargeBinary(32), nullable=False),
    )
    meta = op.create_table(
        "meta",
        sa.Column("key", key_text, primary_key=True),
        sa.Column("value", sa.Text, nullable=False),
    )
    op.bulk_insert(meta, [{"key": "log_id", "value": str(uuid7())}])


def downgrade() -> None:
    op.drop_table("meta")
    op.drop_table("events")
