"""Texts of training data: label vectors, held-out classes, overlaps, phrases from captions.

Reads manifests from `data`.
"""
