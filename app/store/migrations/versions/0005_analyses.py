"""Create the tables of kept analyses."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

_BYTEWISE = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
_ROW_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    """Create the tables."""
    op.create_table(
        "archive",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("revision", sa.BigInteger(), nullable=False),
        sa.Column("complete_since", sa.BigInteger(), nullable=False),
        sa.Column("created_at", _TIME, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_archive"),
    )
    op.create_table(
        "analyses",
        sa.Column("id", _ROW_ID, nullable=False),
        sa.Column("sha256", sa.String(64), nullable=False),
        sa.Column("video_space", _BYTEWISE, nullable=False),
        sa.Column("model_id", sa.Text(), nullable=False),
        sa.Column("revision", sa.BigInteger(), nullable=False),
        sa.Column("kept_at", _TIME, nullable=False),
        sa.Column("duration", sa.Float(), nullable=False),
        sa.Column("label_set", _BYTEWISE, nullable=True),
        sa.Column("metadata", sa.JSON(), nullable=False),
        sa.Column("details", sa.JSON(), nullable=False),
        sa.Column("window_count", sa.Integer(), nullable=False),
        sa.Column("size_bytes", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_analyses"),
        sa.UniqueConstraint("sha256", "video_space", name="uq_analyses_sha256_video_space"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_analyses_video_space_revision", "analyses", ["video_space", "revision"])
    op.create_index("ix_analyses_kept_at_size_bytes", "analyses", ["kept_at", "size_bytes"])
    op.create_table(
        "analysis_vectors",
        sa.Column("analysis_id", _ROW_ID, autoincrement=False, nullable=False),
        sa.Column("frames", sa.JSON(), nullable=False),
        sa.Column("spans", sa.LargeBinary(), nullable=False),
        sa.Column("windows", sa.LargeBinary(), nullable=False),
        sa.Column("whole", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(
            ["analysis_id"],
            ["analyses.id"],
            name="fk_analysis_vectors_analysis_id",
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("analysis_id", name="pk_analysis_vectors"),
    )
    op.create_table(
        "analysis_removals",
        sa.Column("analysis_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("window_count", sa.Integer(), nullable=False),
        sa.Column("revision", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("analysis_id", name="pk_analysis_removals"),
    )
    op.create_index("ix_analysis_removals_revision", "analysis_removals", ["revision"])


def downgrade() -> None:
    """Drop the tables."""
    op.drop_table("analysis_removals")
    op.drop_table("analysis_vectors")
    op.drop_table("analyses")
    op.drop_table("archive")
