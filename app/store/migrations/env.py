"""Alembic's environment script: runs migrations on the connection that the caller passes."""

from alembic import context

import app.store.access.tables  # adds its tables to Base
import app.store.analyses.tables  # the same
import app.store.jobs.tables  # noqa: F401  # the same
from app.store.tables import Base

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=Base.metadata,
    # SQLite cannot alter a column in place; Alembic then copies the table
    render_as_batch=True,
    compare_type=True,
)
with context.begin_transaction():
    context.run_migrations()
