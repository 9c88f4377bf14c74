"""Create the table of examples: embeddings of videos that show a label."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_BYTEWISE = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
_ROW_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Create the table."""
    op.create_table(
        "examples",
        sa.Column("label_id", _ROW_ID, autoincrement=False, nullable=False),
        sa.Column("video_space", _BYTEWISE, nullable=False),
        sa.Column("sha256", sa.String(64), nullable=False),
        sa.Column("vector", sa.LargeBinary(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["label_id"], ["labels.id"], name="fk_examples_label_id", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("label_id", "video_space", "sha256", name="pk_examples"),
    )


def downgrade() -> None:
    """Drop the table."""
    op.drop_table("examples")
