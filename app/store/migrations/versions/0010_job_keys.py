"""Add the API key of a job; jobs that are stored already count against no quota."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

_BYTEWISE = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    """Add the column."""
    op.add_column("jobs", sa.Column("key_id", _BYTEWISE, nullable=True))


def downgrade() -> None:
    """Drop the column."""
    op.drop_column("jobs", "key_id")
