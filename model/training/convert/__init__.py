"""Checkpoints and weights of other projects: image-text models, the official code, ImageNet.

Used by `kinolex checkpoint` and by runs that start from such weights.
"""
