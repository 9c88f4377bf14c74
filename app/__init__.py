"""Kinolex's HTTP service."""
