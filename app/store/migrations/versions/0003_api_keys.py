"""Create the tables of API keys and of their use."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_BYTEWISE = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
_TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    """Create the tables."""
    op.create_table(
        "api_keys",
        sa.Column("id", _BYTEWISE, nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("former_digest", sa.String(64), nullable=True),
        sa.Column("former_until", _TIME, nullable=True),
        sa.Column("scopes", sa.JSON(), nullable=False),
        sa.Column("label_sets", sa.JSON(none_as_null=True), nullable=True),
        sa.Column("requests_per_minute", sa.BigInteger(), nullable=True),
        sa.Column("requests_per_day", sa.BigInteger(), nullable=True),
        sa.Column("video_seconds_per_minute", sa.BigInteger(), nullable=True),
        sa.Column("video_seconds_per_day", sa.BigInteger(), nullable=True),
        sa.Column("created_by", _BYTEWISE, nullable=True),
        sa.Column("limited_by", sa.JSON(), nullable=False),
        sa.Column("created_at", _TIME, nullable=False),
        sa.Column("rotated_at", _TIME, nullable=True),
        sa.Column("last_used_at", _TIME, nullable=True),
        sa.Column("revoked_at", _TIME, nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_api_keys"),
    )
    op.create_table(
        "api_use",
        sa.Column("key_id", _BYTEWISE, nullable=False),
        sa.Column("quota", sa.String(32), nullable=False),
        sa.Column("window", sa.BigInteger(), nullable=False),
        sa.Column("used", sa.Float(), nullable=False),
        sa.ForeignKeyConstraint(
            ["key_id"], ["api_keys.id"], name="fk_api_use_key_id", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("key_id", "quota", name="pk_api_use"),
    )


def downgrade() -> None:
    """Drop the tables."""
    op.drop_table("api_use")
    op.drop_table("api_keys")
