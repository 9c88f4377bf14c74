"""Alembic's folder: each file of `versions` upgrades the schema by one revision, and back."""
