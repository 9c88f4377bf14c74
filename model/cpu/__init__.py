"""Sharing processor cores: torch threads of each thread, and scheduler time slices.

Imports nothing of Kinolex and loads torch only when it is used.
"""
