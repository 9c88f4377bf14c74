"""Refine a trained checkpoint for everyday footage, from features that are computed once.

Weights between the initial and the trained ones, a linear layer fitted again, knowledge, and scores
that are fitted on everyday videos. `refine.py` is the way; only the CLI comes in.
"""
