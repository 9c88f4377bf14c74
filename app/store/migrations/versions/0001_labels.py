"""Create the tables of label sets, labels, prototypes and removals."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_BYTEWISE = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
_ROW_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    """Create the tables."""
    op.create_table(
        "label_sets",
        sa.Column("id", _ROW_ID, nullable=False),
        sa.Column("name", _BYTEWISE, nullable=False),
        sa.Column("revision", sa.BigInteger(), nullable=False),
        sa.Column("complete_since", sa.BigInteger(), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("deleted", sa.Boolean(), nullable=False),
        sa.Column("created_at", _TIME, nullable=False),
        sa.Column("updated_at", _TIME, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_label_sets"),
        sa.UniqueConstraint("name", name="uq_label_sets_name"),
    )
    op.create_table(
        "labels",
        sa.Column("id", _ROW_ID, nullable=False),
        sa.Column("set_id", _ROW_ID, nullable=False),
        sa.Column("key", _BYTEWISE, nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("prompts", sa.JSON(), nullable=False),
        sa.Column("aliases", sa.JSON(), nullable=False),
        sa.Column("description", sa.Text(), nullable=True),
        sa.Column("language", sa.Text(), nullable=True),
        sa.Column("threshold", sa.Float(), nullable=True),
        sa.Column("enabled", sa.Boolean(), nullable=False),
        sa.Column("metadata", sa.JSON(), nullable=False),
        sa.Column("search_text", sa.Text(), nullable=False),
        sa.Column("text_hash", sa.String(64), nullable=False),
        sa.Column("revision", sa.BigInteger(), nullable=False),
        sa.Column("created_at", _TIME, nullable=False),
        sa.Column("updated_at", _TIME, nullable=False),
        sa.ForeignKeyConstraint(
            ["set_id"], ["label_sets.id"], name="fk_labels_set_id", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_labels"),
        sa.UniqueConstraint("set_id", "key", name="uq_labels_set_id_key"),
    )
    op.create_index("ix_labels_set_id_revision", "labels", ["set_id", "revision"])
    op.create_table(
        "prototypes",
        sa.Column("label_id", _ROW_ID, autoincrement=False, nullable=False),
        sa.Column("text_space", _BYTEWISE, nullable=False),
        sa.Column("text_hash", sa.String(64), nullable=False),
        sa.Column("texts", sa.JSON(), nullable=False),
        sa.Column("vectors", sa.LargeBinary(), nullable=False),
        sa.Column("background", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(
            ["label_id"], ["labels.id"], name="fk_prototypes_label_id", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("label_id", "text_space", name="pk_prototypes"),
    )
    op.create_table(
        "removals",
        sa.Column("set_id", _ROW_ID, autoincrement=False, nullable=False),
        sa.Column("key", _BYTEWISE, nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("revision", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["set_id"], ["label_sets.id"], name="fk_removals_set_id", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("set_id", "key", name="pk_removals"),
    )
    op.create_index("ix_removals_set_id_revision", "removals", ["set_id", "revision"])


def downgrade() -> None:
    """Drop the tables."""
    op.drop_table("removals")
    op.drop_table("prototypes")
    op.drop_table("labels")
    op.drop_table("label_sets")
