"""Evaluation of a checkpoint: embeddings of samples, metrics, intervals, protocols.

`evaluate` is the entrance. Figures are values; pages are drawn in `report`.
"""
