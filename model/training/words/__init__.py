"""Texts of training data: label vectors, held-out classes, overlaps, phrases from captions.

Imports `data` only; every other room of training may import it.
"""
