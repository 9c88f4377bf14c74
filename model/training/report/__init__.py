"""Evaluations as HTML pages with plots and maps.

Imports `measure` and `words`; `train`, `run` and `ship` do not import this room.
"""
