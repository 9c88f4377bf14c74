"""Alembic's folder: each file of `versions` takes the database one step up and back down."""
