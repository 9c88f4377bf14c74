"""Remove invisible characters from the names of stored labels, and compute their keys again."""

from alembic import op

from app.store.migrations.label_keys import compute_keys_again

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Rename the labels whose key has changed; a name that is taken gets a number."""
    compute_keys_again(op.get_bind())


def downgrade() -> None:
    """Keep the names: they are valid for the older release too."""
