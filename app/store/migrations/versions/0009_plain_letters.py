"""Compute the keys of stored labels with letters of full width, ligatures or curly quotes again."""

from alembic import op

from app.store.migrations.label_keys import compute_keys_again

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Rename the labels whose key has changed; a name that is taken gets a number."""
    compute_keys_again(op.get_bind())


def downgrade() -> None:
    """Keep the keys: the older release finds these labels under their plain spelling."""
