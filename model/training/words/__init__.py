"""Texts of training data: label vectors, held-out classes, overlaps, phrases from captions.

Imports manifests from `data`; training, measuring and comparing import it.
"""
