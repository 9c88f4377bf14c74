"""Frames to embeddings: preprocessing, networks, numeric precision and runtimes.

`networks` defines `Encoder`; `runtime` measures and selects what runs it.
"""
