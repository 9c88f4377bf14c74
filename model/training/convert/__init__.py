"""Weights made elsewhere: image-text models, the official code, ImageNet packages.

Used by `kinolex checkpoint` and by runs that start from such weights.
"""
