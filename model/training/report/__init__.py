"""Evaluations as pages: HTML, plots, maps.

Imports `measure`; shipping a checkpoint does not import this room.
"""
