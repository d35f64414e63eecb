"""An index of the objects that are being deleted, so that a start finds them without reading all objects."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003_deleting"
down_revision = "0002_views"
branch_labels = None
depends_on = None


def upgrade() -> None:
    deleting = sa.text("state = 'deleting'")
    op.create_index("objects_deleting", "objects", ["blake3"], sqlite_where=deleting, postgresql_where=deleting)


def downgrade() -> None:
    op.drop_index("objects_deleting", "objects")
