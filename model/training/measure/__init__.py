"""Evaluation of a checkpoint: embeddings of samples, metrics, intervals, protocols.

`evaluate` is the entry point. Results are values; `report` renders them.
"""
